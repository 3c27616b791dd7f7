"""`kinetics annotations`: sets by path, dataset or edition; what changed and what is shared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets import cli
from kinetics_assets.core.settings import AnnotationSettings
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets_tests.small_lists import HEADER, small_settings, write_lists

Say = Callable[..., str]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Return a function that runs the verb beside a demo with two editions of its train list."""
    settings = small_settings(tmp_path)
    write_lists(tmp_path / "lists", rows={"zumba": ["ccccccccccc"]})
    run_annotations(settings)
    write_lists(tmp_path / "newer", rows={"zumba": ["ddddddddddd", "ddddddddddd"]})
    newer = AnnotationSettings(source=str(tmp_path / "newer"))
    run_annotations(replace(settings, annotations=newer))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> str:
        assert cli.run(["annotations", *arguments, "--root", str(settings.root)]) == code
        told = capsys.readouterr()
        return told.err if code else told.out

    return run


def edition_of(folder: Path, row: str) -> str:
    """Return the beginning of the edition whose list has a row."""
    (found,) = (path for path in folder.rglob("editions/*/*.csv") if row in path.read_text())
    return found.parent.name[:6]


def test_two_editions_differ_by_their_rows(say: Say, tmp_path: Path) -> None:
    """An edition that was kept is compared with the current list, and with a file of itself."""
    before = f"demo:{edition_of(tmp_path, 'ccccccccccc')}"
    lines = say("diff", before, "demo/train", "--rows").splitlines()
    assert lines == [
        "removed\tccccccccccc_000000_000010\tzumba",
        "added\tddddddddddd_000000_000010\tzumba",
    ]
    found = json.loads(say("diff", before, "demo/train", "--json"))
    assert found["counts"]["unchanged"] == 1
    assert found["added"] == [{"clip": "ddddddddddd_000000_000010", "label": "zumba"}]
    assert set(found["classes"]) == {"zumba"}
    assert say("diff", before, "lists/train.csv", "--rows") == ""
    told = say("diff", before, "demo/train")
    assert "1 added" in told
    assert "zumba" in told


def test_a_list_of_another_dataset_is_understood(say: Say, tmp_path: Path) -> None:
    """Labels may be those of any dataset; leakage is told by clip, by class and in seconds."""
    rows = (
        "passing american football (not in game),ddddddddddd,4,14,val\n"
        "riding a bike,bbbbbbbbbbb,10,20,val\nriding a bike,eeeeeeeeeee,0,10,val\n"
    )
    (tmp_path / "600.csv").write_text(HEADER + rows)
    found = json.loads(say("leakage", "600.csv", "demo", "--json"))
    assert found["clips"] == [
        {
            "clip": "bbbbbbbbbbb_000010_000020",
            "label": "riding a bike",
            "other": {"clip": "bbbbbbbbbbb_000000_000010", "label": "abseiling"},
            "shared_seconds": 0,
            "share": 0.0,
        },
        {
            "clip": "ddddddddddd_000004_000014",
            "label": "passing american football (not in game)",
            "other": {"clip": "ddddddddddd_000000_000010", "label": "zumba"},
            "shared_seconds": 6,
            "share": 0.6,
        },
    ]
    assert found["counts"]["rows_other"] == 3
    assert len(say("leakage", "600.csv", "demo/train", "--rows").splitlines()) == 1
    assert "1 of these overlap" in say("leakage", "600.csv", "demo")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing.csv", "no list nothing.csv"),
        ("demos", "demos"),
        ("demo/trains", "trains"),
        ("demo/test", "no test list"),
        ("demo:ffffffff", "0 editions"),
        ("demo:", "editions that begin"),
        ("demo/train:ffffffff", "no list"),
        ("600", "600"),
    ],
)
def test_a_set_that_does_not_exist_is_an_error(say: Say, name: str, words: str) -> None:
    """The message names what was given and what could have been."""
    assert words in say("leakage", name, "demo", code=2)
    assert words in say("diff", "demo", name, code=2)


def test_what_leaks_is_written_as_a_list_of_clips_to_leave_out(say: Say, tmp_path: Path) -> None:
    """Each clip of A once, with its reason and where both sets are from; none by time, if asked."""
    rows = "riding a bike,bbbbbbbbbbb,10,20,val\nriding a bike,eeeeeeeeeee,0,10,val\n"
    (tmp_path / "600.csv").write_text(HEADER + rows)
    found = say("leakage", "600.csv", "demo/val", "--json", "--write-exclusion", "out.csv")
    assert json.loads(found)["counts"]["same_video"] == 1
    text = (tmp_path / "out.csv").read_text()
    sha256 = hashlib.sha256((tmp_path / "600.csv").read_bytes()).hexdigest()
    assert f"# clips of: 600.csv, sha256 {sha256}, 2 rows\n" in text
    kept = hashlib.sha256((tmp_path / "lists" / "val.csv").read_bytes()).hexdigest()
    assert f"# clips of the other set: demo/val, sha256 {kept}, 1 rows\n" in text
    assert text.splitlines()[-2:] == [
        "youtube_id,time_start,time_end,reason",
        "bbbbbbbbbbb,10,20,shares 0 of 10 s with bbbbbbbbbbb_000000_000010 of demo/val",
    ]
    say("leakage", "600.csv", "demo", "--write-exclusion", "out.csv", "--overlapping")
    assert (tmp_path / "out.csv").read_text().endswith("time_end,reason\n")
    assert "--write-exclusion" in say("leakage", "600.csv", "demo", "--overlapping", code=2)

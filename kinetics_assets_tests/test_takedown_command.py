"""`kinetics takedown` as a user meets it: what it asks, what it says, what it leaves alone."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from kinetics_assets.cli import run
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.takedowns import FILE_NAME, read_takedowns
from kinetics_assets_tests.handmade import CLIP, GOOD, HEAD, Dataset, build
from kinetics_assets_tests.trees import files_and_times


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A whole dataset under a root of its own."""
    return build(Settings(root=tmp_path / "root", dataset="demo"))


def takedown(dataset: Dataset, *arguments: str) -> int:
    """Return the exit code of the command."""
    return run(["takedown", "--root", str(dataset.settings.root), *arguments])


def test_a_dry_run_names_what_would_go_and_changes_nothing(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every file and folder, the rows, the size; no byte and no time is another afterwards."""
    before = files_and_times(dataset.settings.root)
    assert takedown(dataset, CLIP.name, "--dry-run") == 0
    said = capsys.readouterr().out
    for path in dataset.layout.base.rglob(f"{CLIP.name}*"):
        assert str(path) in said
    assert "demo train abseiling" in said
    assert files_and_times(dataset.settings.root) == before
    assert not (dataset.settings.root / FILE_NAME).exists()


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0)])
def test_it_asks_before_it_deletes(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    """No means that nothing happens; yes deletes."""
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    before = files_and_times(dataset.settings.root)
    assert takedown(dataset, CLIP.name) == code
    assert (files_and_times(dataset.settings.root) == before) is (code == 1)
    assert any(dataset.layout.base.rglob(f"{CLIP.name}*")) is (code == 1)


def test_what_was_deleted_and_kept_is_told_and_all_agrees(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows that are kept are counted; names out of the root are told of; verify is content."""
    video = next(dataset.layout.base.rglob(f"videos_train/**/{CLIP.name}.mp4"))
    outer = dataset.settings.root.parent / "outer.mp4"
    outer.hardlink_to(video)
    assert takedown(dataset, CLIP.name, "--yes", "--reason", "by letter") == 0
    said = capsys.readouterr().out
    assert f"deleted: {video}" in said
    assert "4 rows now say taken_down" in said
    assert f"{video} have 1 more names outside" in said
    assert "3 lines taken out of file lists" in said
    assert outer.exists()
    assert not dataset.problems()
    assert not dataset.frames().exists()
    assert [e.reason for e in read_takedowns(dataset.settings.root).entries] == ["by letter"]


def test_ids_that_begin_with_a_hyphen_are_no_options(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    """`-hhh...` is a video and not a call for help; so are ids of two hyphens, and after `--`."""
    ids = ["-hhhhhhhhhh", "--nQbRBEz2s", "-yyyyyyyyyy_000001_000011"]
    assert takedown(dataset, *ids[:2], "--yes", "--", ids[2]) == 0
    assert [e.what for e in read_takedowns(dataset.settings.root).entries] == sorted(ids)
    clip = GOOD[HEAD][1].name
    assert clip.startswith("-")
    assert takedown(dataset, clip, "--yes") == 0
    assert not list(dataset.layout.base.rglob(f"{clip}*"))
    capsys.readouterr()
    assert takedown(dataset, "--yse") == 2
    assert "No such option" in capsys.readouterr().err


def test_the_record_is_shown_and_taken_back(
    dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without arguments it is listed; `--restore` takes an entry out, and nothing else."""
    assert takedown(dataset, CLIP.name, "--yes", "--dataset", "demo", "--reason", "asked") == 0
    capsys.readouterr()
    assert takedown(dataset) == 0
    assert f"{CLIP.name}  demo  the clip was taken down on" in capsys.readouterr().out
    assert takedown(dataset, CLIP.name, "--restore") == 0
    assert json.loads((dataset.settings.root / FILE_NAME).read_text())["takedowns"] == []
    assert takedown(dataset, CLIP.name, "--restore") == 2
    assert "not recorded" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["abseiling"], [CLIP.name, "--dataset", "kinetics400"], [CLIP.name, "--dataset", "k400"]],
)
def test_what_cannot_be_meant_is_refused(dataset: Dataset, arguments: list[str]) -> None:
    """Neither clip nor video, a dataset that is not there, one that does not exist: exit code 2."""
    before = files_and_times(dataset.settings.root)
    assert takedown(dataset, *arguments, "--yes") == 2
    assert files_and_times(dataset.settings.root) == before


def test_a_folder_that_was_not_looked_into_is_no_success(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind a link there may be more: it is told of, and the exit code is 1."""
    (tmp_path / "theirs").mkdir()
    (dataset.layout.base / "link").symlink_to(tmp_path / "theirs")
    assert takedown(dataset, CLIP.name, "--yes") == 1
    assert f"Not looked into: {dataset.layout.base / 'link'}" in capsys.readouterr().out

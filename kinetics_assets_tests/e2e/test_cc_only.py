"""`kinetics prepare --cc-only` from the command line to the rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinetics_assets.cli import run
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets_tests.small_lists import small_settings

LABEL = "abseiling"
HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with lists of a handful of rows, which do not tell licences."""
    for name in ("DAGSTER_HOME", "KINETICS_DATASETS", "KINETICS_SOURCES__CC_ONLY"):
        monkeypatch.delenv(name, raising=False)
    settings = small_settings(tmp_path)
    run_annotations(settings)
    return settings.root


@pytest.mark.slow
def test_licences_are_kept_to_for_one_command(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused before a run starts where the list is silent; else the rest is left out.

    The class is done although its one other clip is skipped; without the flag that one is wanted.
    """
    command = ["prepare", "demo", "--root", str(root), "--split", "train", "--stage", "videos"]
    assert run([*command, "--cc-only"]) == 2
    said = capsys.readouterr().err
    assert "is_cc" in said
    assert str(root / "demo/annotations/kinetics_train.csv") in said
    (tmp_path / "lists/train.csv").write_text(f"{HEADER}{LABEL},aaaaaaaaaaa,0,10,train,0\n")
    settings = load_settings("demo", root=root)
    run_annotations(settings)
    assert run([*command, "--cc-only"]) == 0
    (row,) = read_manifest(Layout.of(settings), Split.TRAIN, Stage.VIDEOS, LABEL)
    assert (row.status, row.reason) == (Status.SKIPPED, Reason.FILTERED)
    assert run(command) == 1
    (row,) = read_manifest(Layout.of(settings), Split.TRAIN, Stage.VIDEOS, LABEL)
    assert (row.status, row.reason) == (Status.PENDING, Reason.NOT_AT_SOURCE)

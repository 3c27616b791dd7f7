"""Manifests on the disk: overlaid by journals, rewritten only when they change, damage named."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.journal import Journal
from kinetics_assets.io.manifests import read_columns, read_known, read_manifest, write_manifest
from kinetics_assets_tests.core.rows import row
from kinetics_assets_tests.io.children import child, said

WHERE = (Split.TRAIN, Stage.VIDEOS, "massaging person's head")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return a layout below a new folder."""
    return Layout.of(Settings(root=tmp_path, dataset="demo"))


def test_rows_are_read_back(layout: Layout) -> None:
    """What was written is read, and a stage that never ran has no rows."""
    assert read_manifest(layout, *WHERE) == []
    assert read_known(layout, *WHERE) == []
    assert read_columns(layout, *WHERE, names=("youtube_id",)) is None
    assert write_manifest(layout, *WHERE, rows=[row(1), row(0)])
    assert read_manifest(layout, *WHERE) == [row(0), row(1)]
    columns = read_columns(layout, *WHERE, names=("youtube_id",))
    assert columns is not None
    assert columns["youtube_id"].to_pylist() == [row(n).clip.youtube_id for n in range(2)]
    assert [p.name for p in layout.manifests(Split.TRAIN, Stage.VIDEOS).iterdir()] == [
        "massaging_person's_head.parquet"
    ]


def test_an_unchanged_manifest_is_not_touched(layout: Layout) -> None:
    """Sensors look at the file's time; it changes with the rows only."""
    assert write_manifest(layout, *WHERE, rows=[row(0), row(1)])
    path = layout.manifest(*WHERE)
    before = path.stat()
    assert not write_manifest(layout, *WHERE, rows=[row(1), row(0)])
    after = path.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert write_manifest(layout, *WHERE, rows=[row(0)])


def test_the_journal_of_a_killed_step_counts(layout: Layout) -> None:
    """Verdicts reached before SIGKILL overlay the manifest; the last verdict on a clip wins."""
    write_manifest(layout, *WHERE, rows=[row(0, Status.PENDING), row(1, Status.PENDING)])
    code = """
import sys, pathlib
from kinetics_assets.core.manifest import Status
from kinetics_assets.io.journal import Journal
from kinetics_assets_tests.core.rows import row
with Journal(pathlib.Path(sys.argv[1])) as journal:
    journal.append(row(0, Status.PENDING, attempts=5))
    journal.append(row(0))
    journal.append(row(2))
    print("written", flush=True)
    sys.stdin.readline()
"""
    with child(code, layout.journal(*WHERE)) as step:
        assert said(step) == "written"
        step.send_signal(signal.SIGKILL)
        step.wait()
    known = {r.clip: r for r in read_known(layout, *WHERE)}
    assert sorted(known.values(), key=lambda r: r.clip) == [row(0), row(1, Status.PENDING), row(2)]
    assert len(read_manifest(layout, *WHERE)) == 2


def test_a_damaged_manifest_is_named_with_its_remedy(layout: Layout) -> None:
    """The user learns which file is damaged and what to do; rows are never made up."""
    write_manifest(layout, *WHERE, rows=[row(0, reason=Reason.NETWORK)])
    path = layout.manifest(*WHERE)
    path.write_bytes(path.read_bytes()[:-20])
    with Journal(layout.journal(*WHERE)) as journal:
        journal.append(row(1))
    with pytest.raises(InternalError, match="damaged") as caught:
        read_known(layout, *WHERE)
    with pytest.raises(InternalError, match="damaged"):
        read_columns(layout, *WHERE, names=("youtube_id",))
    assert str(path) in caught.value.message
    assert "Delete the file" in caught.value.remedy

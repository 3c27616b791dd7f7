"""The status of a dataset: counts, reasons and gaps, from manifests and journals."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kinetics_assets.core.annotations import parse_list
from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import set_current, store_list
from kinetics_assets.io.journal import Journal
from kinetics_assets.io.manifests import write_manifest
from kinetics_assets.stages.status import StatusReader, read_status

if TYPE_CHECKING:
    from pathlib import Path

CLIPS = [ClipId(f"{letter * 11}", 0, 10) for letter in "ABCD"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings of a dataset with lists: four clips of one class, one of another."""
    settings = Settings(root=tmp_path, dataset="demo")
    rows = [("zumba", clip) for clip in CLIPS] + [("abseiling", ClipId("Z" * 11, 0, 10))]
    lines = ["label,youtube_id,time_start,time_end,split"]
    lines += [f"{label},{c.youtube_id},0,10,train" for label, c in rows]
    data = "\n".join(lines).encode()
    parsed = parse_list(data, dataset="demo", split=Split.TRAIN, name="train.csv")
    layout = Layout.of(settings)
    info = store_list(layout, data, parsed, name="train.csv", source_address="here")
    set_current(layout, {Split.TRAIN: info})
    return settings


def _row(clip: ClipId, status: Status, reason: Reason | None = None) -> ManifestRow:
    return ManifestRow(clip, "zumba", "e", status, reason)


def _write(settings: Settings, stage: Stage, *rows: ManifestRow) -> None:
    write_manifest(Layout.of(settings), Split.TRAIN, stage, "zumba", rows=rows)


def test_a_dataset_without_lists_has_no_totals(tmp_path: Path) -> None:
    """Nothing is made up before the annotations are there."""
    status = read_status(Settings(root=tmp_path, dataset="demo"))
    assert (status.editions, status.totals, status.failures()) == ({}, (), [])


def test_rows_that_no_step_has_looked_at_are_counted_as_not_run(settings: Settings) -> None:
    """Every annotation row is in the counts of every stage, from the beginning."""
    status = read_status(settings)
    assert [total.annotated for total in status.totals] == [5, 5, 5, 5]
    assert all(total.counts == {Status.PENDING: 5} for total in status.totals)
    assert all(total.reasons == {"not run": 5} for total in status.totals)
    assert all(total.completeness == 0 for total in status.totals)


def test_losses_are_counted_by_reason_and_do_not_lower_completeness(settings: Settings) -> None:
    """A dead link is told, and the share is of the rows that can be had; so downstream, too."""
    good = [_row(clip, Status.OK) for clip in CLIPS[:2]]
    dead = _row(CLIPS[2], Status.UNAVAILABLE, Reason.GONE)
    _write(settings, Stage.VIDEOS, *good, dead, _row(CLIPS[3], Status.PENDING, Reason.NETWORK))
    blocked = [_row(clip, Status.BLOCKED, Reason.UPSTREAM) for clip in CLIPS[2:]]
    _write(settings, Stage.FLOW, *good, *blocked)
    status = StatusReader(settings).read(labels=["zumba"], stages=[Stage.VIDEOS, Stage.FLOW])
    videos, flow = status.totals
    assert videos.counts == {Status.OK: 2, Status.UNAVAILABLE: 1, Status.PENDING: 1}
    assert videos.reasons == {"gone": 1, "network": 1}
    assert (videos.completeness, flow.completeness) == (pytest.approx(2 / 3),) * 2
    assert (videos.decided, flow.decided) == (4, 4)
    assert [(stage, row.clip) for _, stage, row in status.failures()] == [
        (Stage.VIDEOS, CLIPS[2]),
        (Stage.VIDEOS, CLIPS[3]),
    ]


def test_a_running_steps_journal_counts_at_once(settings: Settings) -> None:
    """What a step has journaled is seen before the manifest is written, and marked as running."""
    _write(settings, Stage.VIDEOS, *[_row(clip, Status.PENDING) for clip in CLIPS])
    reader = StatusReader(settings)
    assert reader.read(labels=["zumba"]).totals[0].decided == 0
    with Journal(Layout.of(settings).journal(Split.TRAIN, Stage.VIDEOS, "zumba")) as journal:
        journal.append(_row(CLIPS[0], Status.OK))
        seen = reader.read(labels=["zumba"]).totals[0]
        assert (seen.decided, seen.is_running) == (1, True)
        journal.append(_row(CLIPS[1], Status.OK))
        assert reader.read(labels=["zumba"]).totals[0].decided == 2


def test_a_reader_sees_a_manifest_that_was_replaced(settings: Settings) -> None:
    """What was read once is read again when the file changes."""
    reader = StatusReader(settings)
    _write(settings, Stage.VIDEOS, _row(CLIPS[0], Status.OK))
    assert reader.read().totals[0].counts[Status.OK] == 1
    _write(settings, Stage.VIDEOS, *[_row(clip, Status.OK) for clip in CLIPS])
    assert reader.read().totals[0].counts[Status.OK] == 4


def test_json_has_every_class_and_every_failure(settings: Settings) -> None:
    """The JSON form is plain values, down to the class and the clip."""
    failed = replace(_row(CLIPS[0], Status.CORRUPT, Reason.UNDECODABLE), reason_text="bad")
    _write(settings, Stage.VIDEOS, failed)
    found = read_status(settings).to_json()
    assert found["stages"][0]["classes"]["zumba"]["missing"] == 3
    assert found["stages"][0]["classes"]["abseiling"]["counts"] == {}
    assert found["failures"][0]["clip"] == CLIPS[0].name
    assert found["failures"][0]["text"] == "bad"

"""Tests of clips that are not wanted: skipped in every stage, and due again when they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import SettingsError
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import AnnotationSettings, ListSettings, SourceSettings
from kinetics_assets.core.stages import CLASS_STAGES, Stage
from kinetics_assets.io.annotation_store import load_class_rows
from kinetics_assets.io.manifests import read_manifest, write_manifest
from kinetics_assets.io.takedowns import change_takedowns
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.filelists import run_filelists
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.retire import read_retired
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets.verify import verify_dataset
from kinetics_assets_tests.trees import files_and_times, public_files

EVIDENCE = 3


def run_all(order: ClassOrder) -> dict[Stage, dict[ClipId, ManifestRow]]:
    """Run the four stages of a class and return their rows."""
    return {s: {row.clip: row for row in run_stage(s, order).rows} for s in CLASS_STAGES}


def needed(order: ClassOrder) -> list[Stage]:
    """Return the stages that a run is needed for."""
    return [stage for stage in CLASS_STAGES if needs_work(stage, order, now=now_utc())]


@pytest.fixture
def licensed(order: ClassOrder, tmp_path: Path) -> ClassOrder:
    """The class under a list that gives every second of its clips as Creative Commons."""
    clips = load_class_rows(order.layout, order.split, order.label).clips
    lines = ["label,youtube_id,time_start,time_end,split,is_cc"]
    lines += [
        f"{clip.label},{clip.id.youtube_id},{clip.id.start_seconds},{clip.id.end_seconds},train,"
        f"{number % 2}"
        for number, clip in enumerate(clips)
    ]
    path = tmp_path / "train.csv"
    path.write_text("\n".join([*lines, ""]))
    settings = replace(
        order.settings,
        annotations=AnnotationSettings(source=str(path)),
        filelists=ListSettings(min_share=0.0),
    )
    run_annotations(settings)
    return replace(order, settings=settings)


@pytest.fixture
def free(licensed: ClassOrder) -> ClassOrder:
    """The same class with `cc_only` set."""
    sources = replace(licensed.settings.sources, cc_only=True)
    return replace(licensed, settings=replace(licensed.settings, sources=sources))


def is_filtered(row: ManifestRow) -> bool:
    """Return whether `cc_only` left the row out."""
    return (row.status, row.reason) == (Status.SKIPPED, Reason.FILTERED)


def test_only_free_clips_are_fetched_and_the_rest_is_skipped_in_every_stage(
    free: ClassOrder,
) -> None:
    """Rows with is_cc = 0 say so in all stages, cost no attempt, and do not hold the class back."""
    annotated = load_class_rows(free.layout, free.split, free.label)
    assert annotated.creative_commons is not None
    assert 0 < len(annotated.creative_commons) < len(annotated.clips)
    for rows in run_all(free).values():
        left_out = {clip for clip, row in rows.items() if is_filtered(row)}
        assert left_out == {clip.id for clip in annotated.clips} - annotated.creative_commons
        assert all("is_cc" in rows[clip].reason_text for clip in left_out)
        assert not any(rows[clip].attempts for clip in left_out)
    assert not needed(free)
    report = run_stage(Stage.VIDEOS, free)
    assert report.summary.wanted == len(annotated.creative_commons)
    assert not any(row.reason is Reason.FILTERED for row in report.failures)


def test_clips_that_were_there_are_retired_and_leave_the_lists(
    licensed: ClassOrder, free: ClassOrder
) -> None:
    """Their files go to the retired folder, row included; verify agrees and the lists are short."""
    before = run_all(licensed)
    whole = run_filelists(licensed.settings, Split.TRAIN).lines
    after = run_all(free)
    lists = run_filelists(free.settings, Split.TRAIN)
    for stage, kind in ((Stage.VIDEOS, "videos"), (Stage.FLOW, "flow")):
        gone = {c for c, row in before[stage].items() if row.status is Status.OK} - {
            c for c, row in after[stage].items() if row.status is Status.OK
        }
        assert gone
        assert {n for k, n in lists.lines.items() if k == kind} == {
            n - len(gone) for k, n in whole.items() if k == kind
        }
        path = free.layout.retired_manifest(free.split, stage, free.label)
        kept = {row.clip: row for row in read_retired(path)}
        assert {clip for clip in kept if kept[clip].status is Status.OK} == gone
        folder = free.layout.retired_class(free.split, stage, free.label)
        for clip in gone:
            assert not (free.layout.base / before[stage][clip].path).exists()
            assert (folder / Path(before[stage][clip].path).name).exists()
    report = verify_dataset(free.settings)
    assert report.is_clean, report.findings
    assert not any("do not follow" in note for note in report.notes)


def test_turning_it_off_makes_exactly_those_rows_due(
    licensed: ClassOrder, free: ClassOrder
) -> None:
    """The tree is then the one of a run that never left anything out; free clips stay untouched."""
    before = run_all(licensed)
    public = {n: d for n, d in public_files(free.layout.base).items() if "retired" not in n}
    run_all(free)
    kept = files_and_times(free.layout.videos(free.split))
    filtered = {
        row.clip
        for row in read_manifest(free.layout, free.split, Stage.VIDEOS, free.label)
        if is_filtered(row)
    }
    assert needed(licensed) == list(CLASS_STAGES)
    report = run_stage(Stage.VIDEOS, licensed)
    assert report.changed == len(filtered)
    after = {Stage.VIDEOS: {row.clip: row for row in report.rows}} | run_all(licensed)
    for stage, rows in after.items():
        assert {c: r.status for c, r in rows.items()} == {
            c: r.status for c, r in before[stage].items()
        }
    again = {n: d for n, d in public_files(free.layout.base).items() if "retired" not in n}
    assert again == public
    now = files_and_times(free.layout.videos(free.split))
    assert kept.items() <= now.items()


def test_what_was_tried_is_still_known_afterwards(licensed: ClassOrder, free: ClassOrder) -> None:
    """A clip that failed before it was left out goes on with its count when it is wanted again."""
    rows = run_stage(Stage.VIDEOS, free).rows
    clip = next(row.clip for row in rows if is_filtered(row))
    pending = [
        replace(row, status=Status.PENDING, reason=Reason.NETWORK, attempts=EVIDENCE)
        if row.clip == clip
        else row
        for row in rows
    ]
    write_manifest(free.layout, free.split, Stage.VIDEOS, free.label, rows=pending)
    skipped = next(row for row in run_stage(Stage.VIDEOS, free).rows if row.clip == clip)
    assert is_filtered(skipped)
    wanted = next(row for row in run_stage(Stage.VIDEOS, licensed).rows if row.clip == clip)
    assert wanted.attempts == EVIDENCE + 1


def test_a_list_that_does_not_tell_licences_is_refused(
    order: ClassOrder, changed: Callable[..., ClassOrder]
) -> None:
    """The error names the list and the lists that have the column; nothing is fetched."""
    sources = replace(order.settings.sources, cc_only=True)
    with pytest.raises(SettingsError, match="no is_cc column") as caught:
        run_stage(Stage.VIDEOS, changed(sources=sources))
    assert str(order.layout.annotation_list(order.split)) in caught.value.message
    assert "backup" in caught.value.remedy
    with pytest.raises(SettingsError, match="is_cc"):
        needs_work(Stage.VIDEOS, changed(sources=sources), now=now_utc())
    assert not order.layout.videos(order.split).exists()


def test_a_class_without_rows_needs_no_licences(changed: Callable[..., ClassOrder]) -> None:
    """There is nothing to leave out of it, whatever its list tells."""
    empty = replace(changed(sources=SourceSettings(cc_only=True)), label="zumba")
    assert run_stage(Stage.VIDEOS, empty).summary.completeness == 1


def test_a_recorded_takedown_is_never_fetched(order: ClassOrder) -> None:
    """In no stage, with `retry_now` neither; the row tells when and why."""
    clip = load_class_rows(order.layout, order.split, order.label).clips[0].id
    _take_down(order, clip.youtube_id)
    for stage, rows in run_all(order).items():
        row = {r.clip: r for r in run_stage(stage, order, retry_now=True).rows}[clip]
        assert rows[clip] == row
        assert (row.status, row.reason) == (Status.SKIPPED, Reason.TAKEN_DOWN)
        assert "the uploader asked" in row.reason_text
    assert not list(order.layout.base.rglob(f"{clip.youtube_id}*"))


def test_a_step_finishes_a_takedown_that_was_killed(order: ClassOrder) -> None:
    """With the entry recorded and the files still there, the next step deletes, not retires."""
    rows = run_all(order)
    clip = next(c for c, row in rows[Stage.VIDEOS].items() if row.status is Status.OK)
    _take_down(order, clip.name)
    run_all(order)
    assert not [path for path in order.layout.base.rglob(f"{clip.name}*") if path.exists()]
    for stage in CLASS_STAGES:
        path = order.layout.retired_manifest(order.split, stage, order.label)
        (kept,) = read_retired(path)
        assert (kept.clip, kept.status, kept.reason) == (
            clip,
            Status.SKIPPED,
            Reason.TAKEN_DOWN,
        )
        assert kept.sha256 == rows[stage][clip].sha256
    assert verify_dataset(order.settings).is_clean


def _take_down(order: ClassOrder, what: str) -> None:
    """Record a takedown, deleting nothing."""
    change_takedowns(
        order.settings.root,
        lambda known: known.added([what], dataset="", reason="the uploader asked", now=now_utc()),
    )

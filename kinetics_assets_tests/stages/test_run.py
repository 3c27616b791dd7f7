"""Tests of what every stage promises: one row per row, nothing redone, faults are no verdicts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import DiskFull, InternalError, PermissionDenied
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import (
    AnnotationSettings,
    FrameRecipe,
    Limits,
    ResizeRecipe,
    SourceSettings,
)
from kinetics_assets.core.stages import CLASS_STAGES, Stage
from kinetics_assets.io.annotation_store import load_class_rows
from kinetics_assets.io.atomic import sha256_of
from kinetics_assets.io.journal import Journal
from kinetics_assets.io.manifests import read_manifest, write_manifest
from kinetics_assets.stages import files
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.report import StageReport
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets_tests.trees import files_and_times, public_files


def run_all(order: ClassOrder) -> dict[Stage, StageReport]:
    """Run the four stages of a class in graph order."""
    return {stage: run_stage(stage, order) for stage in CLASS_STAGES}


def test_every_annotation_row_has_one_row_in_every_stage(
    changed: Callable[..., ClassOrder],
) -> None:
    """Each stage's manifest has exactly the clips of the list, each with a status.

    By two workers; the other tests have one, which starts half as many processes.
    """
    order = changed(limits=Limits(workers=2, min_free_bytes=0))
    reports = run_all(order)
    clips = load_class_rows(order.layout, order.split, order.label).clips
    assert len(clips) == 6
    for stage, report in reports.items():
        rows = read_manifest(order.layout, order.split, stage, order.label)
        assert sorted(row.annotation for row in rows) == sorted(clips)
        assert tuple(rows) == report.rows
        assert report.summary.rows == len(clips)
        assert sum(report.summary.counts.values()) == len(clips)


def test_a_second_run_changes_no_byte_and_is_not_needed(order: ClassOrder) -> None:
    """After a run nothing needs work, and running again touches no file."""
    run_all(order)
    before = files_and_times(order.layout.base)
    assert not any(needs_work(stage, order, now=now_utc()) for stage in CLASS_STAGES)
    reports = run_all(order)
    assert files_and_times(order.layout.base) == before
    assert all(report.changed == 0 for report in reports.values())


def test_blocked_rows_say_why(order: ClassOrder) -> None:
    """A clip without a video is blocked in every later stage, with the video's own reason."""
    reports = run_all(order)
    missing = {row.clip for row in reports[Stage.VIDEOS].failures}
    assert missing
    for stage in (Stage.RESIZED, Stage.RAWFRAMES, Stage.FLOW):
        blocked = [row for row in reports[stage].rows if row.status is Status.BLOCKED]
        assert {row.clip for row in blocked} == missing
        assert all(row.reason is Reason.UPSTREAM for row in blocked)
        assert all("not_at_source" in row.reason_text for row in blocked)


def test_a_missing_output_is_made_again(order: ClassOrder) -> None:
    """Files that were deleted behind our back are noticed, and come back with the same bytes."""
    run_all(order)
    before = public_files(order.layout.base)
    rows = [
        next(r for r in run_stage(s, order).rows if r.status is Status.OK) for s in CLASS_STAGES
    ]
    for path in {order.layout.base / row.path for row in rows}:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert all(needs_work(stage, order, now=now_utc()) for stage in CLASS_STAGES)
    run_all(order)
    assert public_files(order.layout.base) == before


def test_an_input_that_went_missing_blocks_its_clip_only(order: ClassOrder) -> None:
    """A video deleted behind our back is no crash of the next stage: its clip is blocked."""
    row = next(r for r in run_stage(Stage.VIDEOS, order).rows if r.status is Status.OK)
    (order.layout.base / row.path).unlink()
    for stage in (Stage.RESIZED, Stage.RAWFRAMES, Stage.FLOW):
        report = run_stage(stage, order)
        assert report.summary.ok == 3
        blocked = next(r for r in report.rows if r.clip == row.clip)
        assert (blocked.status, blocked.reason) == (Status.BLOCKED, Reason.UPSTREAM)
        assert "gone" in blocked.reason_text


def test_asking_whether_work_is_needed_touches_no_file(order: ClassOrder) -> None:
    """The question deletes nothing, even where an output has lost its input; the run does.

    Cause: planning and removal were one function, so a look at the plan took files away.
    """
    reports = run_all(order)
    lost = next(row for row in reports[Stage.VIDEOS].rows if row.status is Status.OK)
    gone = replace(lost, status=Status.CORRUPT, reason=Reason.UNDECODABLE, path="")
    rows = [gone if row.clip == lost.clip else row for row in reports[Stage.VIDEOS].rows]
    write_manifest(order.layout, order.split, Stage.VIDEOS, order.label, rows=rows)
    before = files_and_times(order.layout.base)
    assert needs_work(Stage.RESIZED, order, now=now_utc())
    assert needs_work(Stage.FLOW, order, now=now_utc())
    assert files_and_times(order.layout.base) == before
    run_stage(Stage.RESIZED, order)
    assert not order.layout.resized_video(order.split, order.label, lost.clip).exists()


def test_a_changed_recipe_makes_outputs_stale(
    order: ClassOrder, changed: Callable[..., ClassOrder]
) -> None:
    """Another size is another digest: every output of the stage is made again, none is mixed."""
    run_all(order)
    smaller = changed(resized=ResizeRecipe(short_side_px=48), rawframes=FrameRecipe(size="48"))
    assert not needs_work(Stage.VIDEOS, smaller, now=now_utc())
    reports = run_all(smaller)
    assert reports[Stage.VIDEOS].changed == 0
    for stage in (Stage.RESIZED, Stage.RAWFRAMES, Stage.FLOW):
        ok = [row for row in reports[stage].rows if row.status is Status.OK]
        assert ok
        assert all(min(row.width_px or 0, row.height_px or 0) == 48 for row in ok)


def test_a_journal_line_without_its_output_is_not_believed(order: ClassOrder) -> None:
    """A step killed between journal and rename leaves an ok line; the clip is done again."""
    layout, stage = order.layout, Stage.VIDEOS
    report = run_stage(stage, order)
    row = next(row for row in report.rows if row.status is Status.OK)
    (layout.base / row.path).unlink()
    layout.manifest(order.split, stage, order.label).unlink()
    with Journal(layout.journal(order.split, stage, order.label)) as journal:
        journal.append(row)
    again = run_stage(stage, order)
    assert (layout.base / row.path).is_file()
    assert not layout.journal(order.split, stage, order.label).exists()
    assert again.data_version == report.data_version


def test_a_later_stage_believes_no_line_without_its_output(order: ClassOrder) -> None:
    """Killed before the rename, with an old file of equal size: the old one is the input."""
    layout, stage = order.layout, Stage.VIDEOS
    before = next(row for row in run_stage(stage, order).rows if row.status is Status.OK)
    claimed = replace(before, sha256="0" * 64, finished_at=now_utc())
    with Journal(layout.journal(order.split, stage, order.label)) as journal:
        journal.append(claimed)
    rows = run_stage(Stage.RESIZED, order).rows
    made = next(row for row in rows if row.clip == before.clip)
    assert made.status is Status.OK
    assert made.digest.endswith(before.sha256[:16])
    assert layout.journal(order.split, stage, order.label).exists(), "it is not this stage's"


def test_an_input_that_goes_while_it_is_hashed_is_not_there(
    order: ClassOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of the stage before may run at the same time; that is no reason to fail."""
    layout, stage = order.layout, Stage.VIDEOS
    row = next(row for row in run_stage(stage, order).rows if row.status is Status.OK)
    path = layout.base / row.path
    with Journal(layout.journal(order.split, stage, order.label)) as journal:
        journal.append(row)

    def gone(hashed: Path) -> str:
        if hashed == path:
            hashed.unlink()
        return sha256_of(hashed)

    monkeypatch.setattr(files, "sha256_of", gone)
    rows = run_stage(Stage.RESIZED, order).rows
    assert not path.exists()
    assert next(made for made in rows if made.clip == row.clip).status is not Status.OK
    assert any(made.status is Status.OK for made in rows)


def test_a_journal_keeps_verdicts_of_a_killed_step(order: ClassOrder) -> None:
    """Verdicts in the journal survive: the clip is neither asked for again nor forgotten."""
    layout, stage = order.layout, Stage.VIDEOS
    report = run_stage(stage, order)
    layout.manifest(order.split, stage, order.label).unlink()
    evidence = "seen before the crash"
    with Journal(layout.journal(order.split, stage, order.label)) as journal:
        for row in report.rows:
            journal.append(replace(row, reason_text=evidence) if row.reason else row)
    again = run_stage(stage, order)
    assert again.changed == 0
    assert {row.reason_text for row in again.failures} == {evidence}


def test_a_full_disk_is_no_verdict(order: ClassOrder, changed: Callable[..., ClassOrder]) -> None:
    """Too little space fails the step before it begins, and no clip gets a row for it."""
    tight = changed(limits=Limits(workers=2, min_free_bytes=2**62))
    with pytest.raises(DiskFull, match="free"):
        run_stage(Stage.VIDEOS, tight)
    assert read_manifest(order.layout, order.split, Stage.VIDEOS, order.label) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_no_verdict(order: ClassOrder) -> None:
    """A folder that cannot be written fails the step, and no clip is blamed."""
    folder = order.layout.videos(order.split)
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.raises(PermissionDenied):
        run_stage(Stage.VIDEOS, order)
    rows = read_manifest(order.layout, order.split, Stage.VIDEOS, order.label)
    assert all(row.status is Status.PENDING and row.reason is None for row in rows)


def test_rows_that_left_the_list_are_retired(order: ClassOrder, tmp_path: Path) -> None:
    """A row that is no longer in the list leaves the manifest; its files move to `retired`."""
    reports = run_all(order)
    gone = next(row for row in reports[Stage.VIDEOS].rows if row.status is Status.OK)
    frames = order.layout.frames(order.split, order.label, gone.clip)
    assert frames.is_dir()
    path = order.layout.annotation_list(Split.TRAIN)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    shorter = tmp_path / "train.csv"
    shorter.write_text(
        "".join(line for line in lines if gone.clip.youtube_id not in line), encoding="utf-8"
    )
    run_annotations(replace(order.settings, annotations=AnnotationSettings(source=str(shorter))))
    again = run_all(order)
    assert all(gone.clip not in {row.clip for row in report.rows} for report in again.values())
    assert not frames.exists()
    assert not (order.layout.base / gone.path).exists()
    retired = order.layout.retired(order.split)
    assert (retired / "videos" / order.label / Path(gone.path).name).is_file()
    assert list((retired / "flow" / order.label / gone.clip.name).glob("flow_x_*.jpg"))
    assert list((retired / "rawframes" / order.label / gone.clip.name).glob("img_*.jpg"))
    assert again[Stage.VIDEOS].retired == 1


def test_retry_now_tries_what_would_wait(order: ClassOrder, tmp_path: Path) -> None:
    """A clip that was missing is taken at once with `retry_now`, and only later without."""
    first = run_stage(Stage.VIDEOS, order)
    missing = first.failures[0]
    pool = order.settings.sources.local_folders[0]
    given = next(row for row in first.rows if row.status is Status.OK)
    late = tmp_path / "pool"
    shutil.copytree(pool, late)
    settings = replace(
        order.settings,
        sources=SourceSettings(order=("local",), local_folders=(late,), connections=2),
    )
    moved = replace(order, settings=settings)
    run_stage(Stage.VIDEOS, moved)
    shutil.copyfile(
        pool / order.label / Path(given.path).name, late / order.label / f"{missing.clip.name}.mp4"
    )
    waiting = run_stage(Stage.VIDEOS, moved)
    assert status_of(waiting, missing) is Status.PENDING
    assert status_of(run_stage(Stage.VIDEOS, moved, retry_now=True), missing) is Status.OK


def status_of(report: StageReport, row: ManifestRow) -> Status:
    """Return the status that a report has for the clip of `row`."""
    return next(r.status for r in report.rows if r.clip == row.clip)


def _same_size(path: Path) -> None:
    """Put another file of the same size in the place of `path`, as a bad disk or hand would."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.unlink()  # it may be a hard link to a source's own file
    path.write_bytes(data)


@pytest.mark.parametrize("stage", [Stage.VIDEOS, Stage.RESIZED])
def test_a_file_that_was_written_to_is_hashed_and_made_again(
    order: ClassOrder, stage: Stage
) -> None:
    """An altered file of the right size is noticed without being asked, and comes back the same."""
    for each in (Stage.VIDEOS, Stage.RESIZED):
        report = run_stage(each, order)
    before = public_files(order.layout.base)
    row = next(r for r in run_stage(stage, order).rows if r.status is Status.OK)
    _same_size(order.layout.base / row.path)
    assert public_files(order.layout.base) != before
    assert needs_work(stage, order, now=now_utc())
    for each in (Stage.VIDEOS, Stage.RESIZED):
        report = run_stage(each, order)
    assert report.summary.ok == 4
    assert public_files(order.layout.base) == before
    assert not needs_work(stage, order, now=now_utc())


def test_a_touched_file_with_the_right_bytes_is_believed(order: ClassOrder) -> None:
    """A newer time alone is no damage: the bytes decide, and nothing is made again."""
    row = next(r for r in run_stage(Stage.VIDEOS, order).rows if r.status is Status.OK)
    os.utime(order.layout.base / row.path)
    assert not needs_work(Stage.VIDEOS, order, now=now_utc())


def test_silent_damage_is_found_when_files_are_checked(order: ClassOrder) -> None:
    """Rot that changes no time is found by `check_files` alone, frames and flow included."""
    run_all(order)
    before = public_files(order.layout.base)
    rows = {s: next(r for r in run_stage(s, order).rows if r.path) for s in CLASS_STAGES}
    clip_frames = order.layout.base / rows[Stage.FLOW].path
    for path in (
        order.layout.base / rows[Stage.VIDEOS].path,
        order.layout.base / rows[Stage.RESIZED].path,
        clip_frames / "img_00002.jpg",
        clip_frames / "flow_y_00001.jpg",
    ):
        stat = path.stat()
        _same_size(path)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert not any(needs_work(stage, order, now=now_utc()) for stage in CLASS_STAGES)
    run_all(order)
    assert public_files(order.layout.base) != before
    for stage in CLASS_STAGES:
        assert run_stage(stage, order, check_files=True).changed == 1
    assert public_files(order.layout.base) == before


def test_an_altered_file_that_cannot_be_had_again_is_taken_away(
    order: ClassOrder, changed: Callable[..., ClassOrder], tmp_path: Path
) -> None:
    """No altered bytes stay under a public name, nor are they taken for a clip found in place."""
    row = next(r for r in run_stage(Stage.VIDEOS, order).rows if r.status is Status.OK)
    _same_size(order.layout.base / row.path)
    (tmp_path / "empty").mkdir()
    sources = replace(order.settings.sources, local_folders=(tmp_path / "empty",))
    without = changed(sources=sources)
    for _ in range(2):
        report = run_stage(Stage.VIDEOS, without, retry_now=True)
        after = next(r for r in report.rows if r.clip == row.clip)
        assert after.reason is Reason.NOT_AT_SOURCE
        assert not (order.layout.base / row.path).exists()


def test_only_the_named_reasons_are_tried_before_their_time(order: ClassOrder) -> None:
    """`retry_reasons` leaves clips that failed for another reason alone."""
    rows = run_stage(Stage.VIDEOS, order).rows
    failed = [row for row in rows if row.reason is Reason.NOT_AT_SOURCE]
    assert len(failed) == 2
    gone = replace(failed[0], status=Status.UNAVAILABLE, reason=Reason.GONE)
    others = [gone if row.clip == gone.clip else row for row in rows]
    write_manifest(order.layout, order.split, Stage.VIDEOS, order.label, rows=others)
    report = run_stage(Stage.VIDEOS, order, retry_now=True, retry_reasons=[Reason.NOT_AT_SOURCE])
    attempts = {row.clip: row.attempts for row in report.rows}
    assert (attempts[failed[0].clip], attempts[failed[1].clip]) == (1, 2)


def test_a_damaged_retired_manifest_is_named(order: ClassOrder) -> None:
    """The file and the way out are in the message, as for a manifest; nothing is written over."""
    path = order.layout.retired_manifest(order.split, Stage.VIDEOS, order.label)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1")
    with pytest.raises(InternalError, match=r"damaged.*Delete the file") as caught:
        run_stage(Stage.VIDEOS, order)
    assert str(path) in caught.value.message
    assert path.read_bytes() == b"PAR1"
    path.unlink()
    assert any(row.status is Status.OK for row in run_stage(Stage.VIDEOS, order).rows)

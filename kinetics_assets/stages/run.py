"""Runs one stage on one class: from what is known, through what is due, to the manifest."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import DiskFull, EnvironmentFault
from kinetics_assets.core.manifest import (
    ManifestRow,
    Status,
    data_version,
    reconcile,
    summarise,
)
from kinetics_assets.io.annotation_store import load_class_rows
from kinetics_assets.io.atomic import os_faults, sweep_temps, temp_path
from kinetics_assets.io.journal import Journal, discard_journal
from kinetics_assets.io.locks import exclusive
from kinetics_assets.io.manifests import read_known, write_manifest
from kinetics_assets.io.slots import lease_slots, slots_folder
from kinetics_assets.stages.believed import believed, borne_out
from kinetics_assets.stages.bring_back import bring_back, drop_returned, returning
from kinetics_assets.stages.decode_once import Ahead, sweep_ahead
from kinetics_assets.stages.filelists import kinds_of
from kinetics_assets.stages.job import Desk, blocked_row, now_utc
from kinetics_assets.stages.jobs import job_for
from kinetics_assets.stages.lineage import rows_beyond
from kinetics_assets.stages.list_parts import keep_entries
from kinetics_assets.stages.pool import for_each
from kinetics_assets.stages.relabelled import take_relabelled
from kinetics_assets.stages.report import StageReport
from kinetics_assets.stages.retire import retire_rows
from kinetics_assets.stages.ruled_out import is_withdrawn, ruled_row, rules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from kinetics_assets.core.clips import Clip, ClipId
    from kinetics_assets.core.errors import KineticsError
    from kinetics_assets.core.reasons import Reason
    from kinetics_assets.core.stages import Stage
    from kinetics_assets.media.client import MediaWorker
    from kinetics_assets.stages.job import StageJob
    from kinetics_assets.stages.order import ClassOrder
    from kinetics_assets.stages.ruled_out import Rules


def run_stage(
    stage: Stage,
    order: ClassOrder,
    *,
    retry_now: bool = False,
    retry_reasons: Collection[Reason] = (),
    check_files: bool = False,
    beside: Collection[Stage] = (),
) -> StageReport:
    """Return the report of `stage` on one class, after everything that is due was tried.

    A second call at once does nothing and changes no byte. A call after a crash goes on where the
    crash left off and ends in the state of an undisturbed run.

    Args:
        stage: A class stage.
        order: The class, and the settings to work under.
        retry_now: Also try rows that failed for good, or whose pause is not over.
        retry_reasons: With `retry_now`, only rows with these reasons; none means all of them.
        check_files: Hash every output that is ok, and make again what was altered. Without it only
            files that were written to since their verdict are hashed.
        beside: Stages of the class whose steps come later in the same run, and wait for this one:
            what they want of the same videos is made in the same decode, if the settings agree.

    Raises:
        EnvironmentFault: The machine is at fault; verdicts reached so far are kept.
        InputError: The settings or the annotations cannot be used; or two engines would make the
            flow of the class, which nobody asked for: nothing was tried then.
    """
    started = time.monotonic()
    _check_room(order)
    layout = order.layout
    job = job_for(stage, order)
    what = f"{stage} of {order.label or 'unlabelled'!r} in {order.settings.dataset} {order.split}"
    with exclusive(layout.lock(order.split, stage, order.label), wait=True, what=what):
        sweep_temps(layout.class_folder(order.split, stage, order.label))
        sweep_temps(layout.manifests(order.split, stage))
        annotated = load_class_rows(layout, order.split, order.label, edition=order.edition)
        known = believed(job, order)
        inputs = _by_clip(borne_out(job_for(job.upstream, order), order) if job.upstream else [])
        rules = rules_of(order, annotated)
        found = reconcile(annotated.clips, known, edition=annotated.edition)
        wanted = returning(job, found, inputs=inputs, rules=rules)
        back = bring_back(job, order, wanted)
        rows = reconcile(annotated.clips, [*known, *back], edition=annotated.edition)
        wanted -= {row.clip for row in back}
        moved = take_relabelled(job, order, wanted, rows=rows, inputs=inputs)
        rows = reconcile(annotated.clips, [*rows.values(), *moved], edition=annotated.edition)
        before = dict(rows)
        retry = _Retry(retry_now, frozenset(retry_reasons))
        altered = _altered(job, rows) if check_files else frozenset()
        due = _settle(job, rows, inputs, rules=rules, now=now_utc(), retry=retry, altered=altered)
        objection = job.objection(due, rows, inputs, at_start=True)
        if objection is not None:
            raise objection
        gone = [row for row in known if row.clip not in rows]
        gone += [row for clip, row in before.items() if is_withdrawn(row, rows[clip])]
        retired = retire_rows(job, order, gone, rules=rules)
        for clip, row in before.items():
            if row.status is Status.OK and rows[clip].status is Status.BLOCKED:
                job.remove(row, into=None)  # its input is gone, so it belongs to nothing
        for row in (before[clip.id] for clip in due):
            if row.status is Status.OK and not job.is_intact(row):
                job.remove(row, into=None)  # altered: nobody shall find it, nor take it for good
        ahead = Ahead(order, stage, beside) if due and order.settings.limits.decode_once else None
        degraded = _work(job, order, due=due, rows=rows, inputs=inputs, ahead=ahead)
        sweep_ahead(order, stage, beside=beside)
        write_manifest(layout, order.split, stage, order.label, rows=rows.values())
        _keep_entries(stage, order, annotated.clips)
        discard_journal(layout.journal(order.split, stage, order.label))
        drop_returned(job, order, rows)
    ordered = tuple(sorted(rows.values(), key=lambda row: row.annotation))
    return StageReport(
        stage=stage,
        order=order,
        edition=annotated.edition,
        rows=ordered,
        summary=summarise(ordered, upstream=[*inputs.values(), *rows_beyond(stage, order)]),
        data_version=data_version(ordered),
        changed=sum(found[clip] != row for clip, row in rows.items()),
        retired=retired,
        returned=len(back),
        relabelled=len(moved),
        degraded=degraded,
        elapsed_seconds=time.monotonic() - started,
    )


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a step of a stage on one class would find, and have to do."""

    known: tuple[ManifestRow, ...]
    """Rows of the manifest, and of the journal of a step that runs or was killed."""
    rows: tuple[ManifestRow, ...]
    """One per annotation row, blocked where its input is not ok."""
    inputs: dict[ClipId, ManifestRow]
    """Rows of the stage's input."""
    due: frozenset[ClipId]
    """Clips that would be tried."""
    has_other_rows: bool
    """Whether the manifest is not the one of the present list."""
    would_change: bool
    """Whether the step would do anything."""
    objection: KineticsError | None
    """Why it would refuse to do so, as far as manifests tell."""


def outlook(
    stage: Stage,
    order: ClassOrder,
    *,
    now: datetime,
    retry_now: bool = False,
    retry_reasons: Collection[Reason] = (),
) -> Outlook:
    """Return what a step at time `now` would find and do; nothing is changed.

    Args:
        stage: A class stage.
        order: The class, and the settings to work under.
        now: Rows are due by this time.
        retry_now: As in `run_stage`.
        retry_reasons: As in `run_stage`.
    """
    layout = order.layout
    job = job_for(stage, order)
    annotated = load_class_rows(layout, order.split, order.label, edition=order.edition)
    known = read_known(layout, order.split, stage, order.label)
    has_other_rows = {row.annotation for row in known} != set(annotated.clips) or any(
        row.edition != annotated.edition for row in known
    )
    # a journal's lines are taken at their word here: a tick of a sensor hashes nothing
    inputs = _by_clip(
        read_known(layout, order.split, job.upstream, order.label) if job.upstream else []
    )
    rows = reconcile(annotated.clips, known, edition=annotated.edition)
    before = dict(rows)
    retry = _Retry(retry_now, frozenset(retry_reasons))
    due = _settle(job, rows, inputs, rules=rules_of(order, annotated), now=now, retry=retry)
    is_settled = (
        layout.manifest(order.split, stage, order.label).exists()
        and not layout.journal(order.split, stage, order.label).exists()
    )
    return Outlook(
        known=tuple(known),
        rows=tuple(rows.values()),
        inputs=inputs,
        due=frozenset(clip.id for clip in due),
        has_other_rows=has_other_rows,
        would_change=not is_settled or has_other_rows or bool(due) or rows != before,
        objection=job.objection(due, rows, inputs, at_start=False),
    )


def needs_work(stage: Stage, order: ClassOrder, *, now: datetime) -> bool:
    """Return whether a run of `stage` on the class would do anything at time `now`."""
    return outlook(stage, order, now=now).would_change


@dataclass(frozen=True, slots=True)
class _Retry:
    """Which rows are tried whatever their verdict and their pause."""

    now: bool = False
    reasons: frozenset[Reason] = frozenset()
    """None means all."""

    def includes(self, row: ManifestRow) -> bool:
        """Return whether `row` is one of them."""
        return self.now and (not self.reasons or row.reason in self.reasons)


def _check_room(order: ClassOrder) -> None:
    """Raise `DiskFull` when there is too little space to begin."""
    base = order.layout.base
    with os_faults(f"creating {base}"):
        base.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(base).free
    least = order.settings.limits.min_free_bytes
    if free < least:
        raise DiskFull(
            f"{base} has {free >> 20} MiB free, less than the {least >> 20} MiB a step wants.",
            remedy="Free space, or lower limits.min_free_bytes in kinetics.toml.",
        )


def _by_clip(rows: Iterable[ManifestRow]) -> dict[ClipId, ManifestRow]:
    return {row.clip: row for row in rows}


def _settle(
    job: StageJob,
    rows: dict[ClipId, ManifestRow],
    inputs: dict[ClipId, ManifestRow],
    *,
    rules: Rules,
    now: datetime,
    retry: _Retry,
    altered: Collection[ClipId] = (),
) -> list[Clip]:
    """Skip rows that are ruled out, block those without input, return the due; touch no file.

    Args:
        job: The stage's way of working.
        rows: One row per clip; skipped and blocked ones are replaced here.
        inputs: Rows of the stage's input.
        rules: What rules clips out; a row that was skipped and no longer is so is due.
        now: Rows are due by this time.
        retry: Which rows that are not ok are due at any time.
        altered: Ok rows whose output is known to be no longer what was made.
    """
    due = []
    for clip, known in rows.items():
        source = inputs.get(clip)
        row = rows[clip] = ruled_row(known, rules.ruling(clip))
        if row.status is Status.SKIPPED:
            continue
        if row.status is Status.OK and clip not in altered and job.is_current(row, source):
            continue
        has_input = job.upstream is None or (source is not None and source.status is Status.OK)
        if not has_input and not job.works_without_input:
            rows[clip] = blocked_row(row, source)
        elif (
            row.status is Status.OK
            or row.is_due(now)
            or retry.includes(row)
            or (row.digest and row.digest != job.attempt_digest(row, source))
        ):
            due.append(row.annotation)
    return due


def _altered(job: StageJob, rows: dict[ClipId, ManifestRow]) -> frozenset[ClipId]:
    """Return the ok clips whose output is gone or has not the recorded sha256."""
    return frozenset(
        clip for clip, row in rows.items() if row.status is Status.OK and not job.is_intact(row)
    )


def _work(
    job: StageJob,
    order: ClassOrder,
    *,
    due: list[Clip],
    rows: dict[ClipId, ManifestRow],
    inputs: dict[ClipId, ManifestRow],
    ahead: Ahead | None,
) -> tuple[str, ...]:
    """Try the clips that are `due`, putting verdicts into `rows`; return what degrades the sandbox.

    When the machine fails under way, the verdicts reached so far are folded into the manifest
    before the fault is passed on.
    """
    if not due:
        return ()
    layout, limits = order.layout, order.settings.limits
    journal_path = layout.journal(order.split, job.stage, order.label)
    with _scratch(order, job.stage) as scratch, Journal(journal_path) as journal:

        def commit(row: ManifestRow, publish: Callable[[], None]) -> None:
            journal.append(row)
            publish()
            rows[row.clip] = row

        def work(group: list[Clip], worker: MediaWorker) -> None:
            desk = Desk(worker, scratch, inputs=inputs, known=rows, commit=commit, ahead=ahead)
            job.make(group, desk)

        groups = job.groups(due)
        try:
            with _places(job, order) as places:
                degraded = for_each(
                    groups,
                    work,
                    workers=places,
                    children=order.cores,
                    limits=limits,
                    writable=_writable(order),
                )
            job.finish()
        except Exception:
            # what was reached is kept; the journal stays too, should the disk be what failed
            with suppress(OSError, EnvironmentFault):
                write_manifest(layout, order.split, job.stage, order.label, rows=rows.values())
            raise
        return degraded


def _keep_entries(stage: Stage, order: ClassOrder, clips: Iterable[Clip]) -> None:
    """Keep what file lists will say of the class."""
    with suppress(OSError, EnvironmentFault):  # they save time, and nothing else
        keep_entries(
            order.layout,
            order.split,
            kinds_of(stage, order.settings),
            stage=stage,
            label=order.label,
            clips=[clip.id.name for clip in clips],
        )


def _writable(order: ClassOrder) -> list[Path]:
    """Return the folders that a sandboxed child of this step may write to."""
    elsewhere = order.settings.storage.rawframes_folder
    folders = [order.layout.base, *([elsewhere] if elsewhere is not None else [])]
    return [folder for folder in folders if folder.is_dir()]


@contextmanager
def _places(job: StageJob, order: ClassOrder) -> Iterator[int]:
    """Yield how many groups may be worked on at a time, holding CPU slots where they count."""
    if job.concurrency is not None:
        yield job.concurrency
        return
    total = order.cores
    with lease_slots(slots_folder(), total=total, want=total) as slots:
        yield slots


@contextmanager
def _scratch(order: ClassOrder, stage: Stage) -> Iterator[Path]:
    """Yield a folder for temporary files that goes away with the step; sweep dead steps' ones."""
    sweep_temps(order.layout.scratch)
    folder = temp_path(order.layout.scratch / stage, stage=stage)
    with os_faults(f"creating {folder}"):
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            order.layout.scratch.rmdir()

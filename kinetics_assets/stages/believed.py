"""What manifest and journal say of a class, as far as the disk bears it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.io.journal import read_journal
from kinetics_assets.io.manifests import read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kinetics_assets.core.clips import ClipId
    from kinetics_assets.stages.job import StageJob
    from kinetics_assets.stages.order import ClassOrder


def believed(job: StageJob, order: ClassOrder) -> list[ManifestRow]:
    """Return what is known of the class, and take away output that another was put in place of.

    As `borne_out`, for who holds the lock of the class. Output of an earlier line that has another
    name than that of the line believed belongs to nothing.
    """
    rows = _manifest(job, order)
    for clip, history in _histories(job, order, rows).items():
        true = _last_true(job, history)
        _put(rows, clip, true)
        if true is not None and true.status is Status.OK:
            for other in history:
                if other.status is Status.OK and other.path != true.path:
                    job.remove(other, into=None)
    return list(rows.values())


def borne_out(job: StageJob, order: ClassOrder) -> list[ManifestRow]:
    """Return what is known of the class, a killed step's journal included; change nothing.

    A journal line is written just before its output gets its final name, so an ok line is believed
    only with the output there and its sha256 equal. Otherwise what was known before still holds if
    its output is there, and else nothing is known of the clip.
    """
    rows = _manifest(job, order)
    for clip, history in _histories(job, order, rows).items():
        _put(rows, clip, _last_true(job, history))
    return list(rows.values())


def _manifest(job: StageJob, order: ClassOrder) -> dict[ClipId, ManifestRow]:
    return {r.clip: r for r in read_manifest(order.layout, order.split, job.stage, order.label)}


def _histories(
    job: StageJob, order: ClassOrder, rows: Mapping[ClipId, ManifestRow]
) -> dict[ClipId, list[ManifestRow]]:
    """Return what was said of each clip of the journal, its row of `rows` first."""
    told: dict[ClipId, list[ManifestRow]] = {}
    for row in read_journal(order.layout.journal(order.split, job.stage, order.label)):
        known = rows.get(row.clip)
        told.setdefault(row.clip, [] if known is None else [known]).append(row)
    return told


def _put(rows: dict[ClipId, ManifestRow], clip: ClipId, true: ManifestRow | None) -> None:
    """Make `true` the row of `clip`; without one nothing is known of it."""
    if true is None:
        rows.pop(clip, None)
    else:
        rows[clip] = true


def _last_true(job: StageJob, history: list[ManifestRow]) -> ManifestRow | None:
    """Return the last row of a clip that the disk bears out, None if none does."""
    if history[-1].status is not Status.OK:
        return history[-1]
    good = (row for row in reversed(history) if row.status is Status.OK)
    return next((row for row in good if _is_intact(job, row)), None)


def _is_intact(job: StageJob, row: ManifestRow) -> bool:
    """Return whether the output of `row` is whole; one that goes while it is read is not there."""
    try:
        return job.is_intact(row)
    except FileNotFoundError:
        return False  # who asks without the lock may meet a step that puts another in its place

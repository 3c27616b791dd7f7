"""What manifest and journal say of a class, as far as the disk bears it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.io.journal import read_journal
from kinetics_assets.io.manifests import read_manifest

if TYPE_CHECKING:
    from kinetics_assets.core.clips import ClipId
    from kinetics_assets.stages.job import StageJob
    from kinetics_assets.stages.order import ClassOrder


def believed(job: StageJob, order: ClassOrder) -> list[ManifestRow]:
    """Return what is known of the class, a killed step's journal included.

    A journal line is written just before its output gets its final name, so an ok line is believed
    only with the output there and its sha256 equal. Otherwise what was known before still holds if
    its output is there, and else the clip is done again. Output that a believed line has put
    another in the place of, under another name, is taken away.
    """
    layout = order.layout
    rows = {r.clip: r for r in read_manifest(layout, order.split, job.stage, order.label)}
    told: dict[ClipId, list[ManifestRow]] = {}
    for row in read_journal(layout.journal(order.split, job.stage, order.label)):
        known = rows.get(row.clip)
        told.setdefault(row.clip, [] if known is None else [known]).append(row)
    for clip, history in told.items():
        true = _last_true(job, history)
        if true is None:
            rows.pop(clip, None)
        else:
            rows[clip] = true
    return list(rows.values())


def _last_true(job: StageJob, history: list[ManifestRow]) -> ManifestRow | None:
    """Return the last row of a clip that the disk bears out, None if none does."""
    last, good = history[-1], [row for row in history if row.status is Status.OK]
    if last.status is not Status.OK:
        return last
    row = next((row for row in reversed(good) if job.is_intact(row)), None)
    for other in good:
        if row is not None and other.path != row.path:
            job.remove(other, into=None)
    return row

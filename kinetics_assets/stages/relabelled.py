"""Outputs of clips that stood in another class: taken over from there instead of made again.

The video of such a clip comes from its old class as from a source, so it is the same file; whatever
was made from it by today's recipe is what would be made in the new class. It is taken by link,
whether the old class has retired it yet or not, and from another split just so.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.clip_labels import labels_in
from kinetics_assets.io.journal import Journal
from kinetics_assets.io.manifests import read_known
from kinetics_assets.io.stored_editions import has_older_editions
from kinetics_assets.stages.put_in_place import put_in_place
from kinetics_assets.stages.retire import read_retired

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from kinetics_assets.core.clips import ClipId
    from kinetics_assets.stages.job import StageJob
    from kinetics_assets.stages.order import ClassOrder

_ELSEWHERE: Final = frozenset({Stage.VIDEOS, Stage.SHARDS})
"""Stages that have their own way: a source, and files of many clips."""


def take_relabelled(
    job: StageJob,
    order: ClassOrder,
    wanted: Collection[ClipId],
    *,
    rows: Mapping[ClipId, ManifestRow],
    inputs: Mapping[ClipId, ManifestRow],
) -> list[ManifestRow]:
    """Return rows of `wanted` clips whose outputs stood in another class and now stand in this one.

    Only what the step would make to the byte is taken: same input, recipe and tools. If the step
    would refuse to make it beside the class's other rows, nothing is taken, so that it does refuse.

    Args:
        job: The stage.
        order: The class.
        wanted: Clips that are not there, with ok inputs.
        rows: What is known of all clips of the class.
        inputs: Rows of the stage's input.
    """
    if job.stage in _ELSEWHERE or not wanted or not has_older_editions(order.layout):
        return []
    found: dict[ClipId, list[tuple[ManifestRow, Path]]] = {}
    for row, kept in _candidates(job.stage, order, wanted):
        if row.digest == job.attempt_digest(row, inputs.get(row.clip)):
            found.setdefault(row.clip, []).append((row, kept))
    clips = [rows[clip].annotation for clip in found]
    if not clips or job.objection(clips, rows, inputs, at_start=True) is not None:
        return []
    folder = order.layout.class_folder(order.split, job.stage, order.label)
    taken = []
    with Journal(order.layout.journal(order.split, job.stage, order.label)) as journal:
        for clip, ways in found.items():
            for row, kept in ways:
                path = order.layout.relative(folder / PurePosixPath(row.path).name)
                here = replace(row, label=order.label, edition=rows[clip].edition, path=path)
                done = put_in_place(job, order, here, kept=kept, journal=journal)
                if done is not None:
                    taken.append(done)
                    break
    return taken


def _candidates(
    stage: Stage, order: ClassOrder, wanted: Collection[ClipId]
) -> Iterator[tuple[ManifestRow, Path]]:
    """Yield ok rows that other classes have, or had, of `wanted` clips, with where outputs may be.

    What a class has may be retired at any moment, so both places are given.
    """
    layout, own = order.layout, (order.split, order.label)
    found = labels_in(layout.root, layout.dataset, {clip.youtube_id for clip in wanted})
    labels = sorted({label for clip in wanted for label in found.get(clip, ())})
    for split, label in ((split, label) for label in labels for split in Split):
        if (split, label) == own:
            continue
        retired = layout.retired_class(split, stage, label)
        try:
            known = read_known(layout, split, stage, label)
            former = read_retired(layout.retired_manifest(split, stage, label))
        except InternalError:
            continue  # damaged: its own class says so
        for row in (row for row in [*known, *former] if row.clip in wanted):
            if row.status is Status.OK and row.path:
                yield row, layout.base / row.path
                yield row, retired / PurePosixPath(row.path).name

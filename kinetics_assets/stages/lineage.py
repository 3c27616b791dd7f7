"""What a stage reads, and what it reads in turn, up to the videos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.core.stages import ALL_CLASS_STAGES, Stage
from kinetics_assets.core.stages import input_of as core_input_of
from kinetics_assets.io.manifests import read_known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.core.settings import Settings
    from kinetics_assets.stages.order import ClassOrder


def input_of(settings: Settings, stage: Stage) -> Stage | None:
    """Return the class stage whose outputs `stage` reads, None for the first.

    Of the two that shards with flow are made of it is the flow, without which there is none.
    """
    if stage is Stage.SHARDS and settings.shards.flow:
        return Stage.FLOW
    return core_input_of(stage, frames_from=Stage(settings.rawframes.frames_from))


def stages_above(settings: Settings, stage: Stage) -> tuple[Stage, ...]:
    """Return the class stages that `stage` hangs on, the nearest first."""
    above: list[Stage] = []
    nearest = input_of(settings, stage)
    while nearest is not None:
        above.append(nearest)
        nearest = input_of(settings, nearest)
    if stage is Stage.SHARDS and settings.shards.flow:
        above.insert(1, Stage.RAWFRAMES)
    return tuple(above)


def with_inputs(settings: Settings, stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """Return `stages` and every stage they read, in graph order."""
    wanted = set(stages)
    wanted |= {above for stage in wanted for above in stages_above(settings, stage)}
    return tuple(stage for stage in ALL_CLASS_STAGES if stage in wanted)


def rows_above(stage: Stage, order: ClassOrder) -> list[ManifestRow]:
    """Return what is known of the class in every stage that `stage` hangs on.

    A clip that is lost in one of them is lost in `stage`, whatever lies between.
    """
    return _rows(stages_above(order.settings, stage), order)


def rows_beyond(stage: Stage, order: ClassOrder) -> list[ManifestRow]:
    """Return `rows_above` without those of the stage that it reads itself."""
    return _rows(stages_above(order.settings, stage)[1:], order)


def _rows(stages: Iterable[Stage], order: ClassOrder) -> list[ManifestRow]:
    """Return what is known of the class in `stages`."""
    layout, split, label = order.layout, order.split, order.label
    return [row for stage in stages for row in read_known(layout, split, stage, label)]

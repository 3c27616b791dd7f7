"""Frames and flow in shards of many clips, for WebDataset; made only where they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.assets.class_stage import ClassStage, class_stage_assets
from kinetics_assets.core.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    import dagster as dg

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.settings import Settings


def shards_assets(settings: Settings, splits: Iterable[Split]) -> list[dg.AssetsDefinition]:
    """Return the shards asset of each split."""
    recipe = settings.shards
    what = ClassStage(
        stage=Stage.SHARDS,
        upstream=Stage.RAWFRAMES,
        beside=(Stage.FLOW,) if recipe.flow else (),
        kinds=frozenset({"jpeg"}),
        description=(
            f"Frames{' and flow' if recipe.flow else ''} of up to {recipe.clips} clips of a class"
            " in one tar file that WebDataset reads, with an index beside it. A second copy of the"
            " pictures. Optional: nothing reads it."
        ),
    )
    return class_stage_assets(settings, splits, what)

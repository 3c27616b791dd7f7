"""The frames of each clip as JPEG pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.assets.class_stage import ClassStage, class_stage_assets
from kinetics_assets.core.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    import dagster as dg

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.settings import Settings


def rawframes_assets(settings: Settings, splits: Iterable[Split]) -> list[dg.AssetsDefinition]:
    """Return the rawframes asset of each split."""
    recipe, packing = settings.rawframes, settings.storage.packing
    place = "folder" if packing == "none" else f"{packing} archive"
    what = ClassStage(
        stage=Stage.RAWFRAMES,
        upstream=Stage(recipe.frames_from),
        kinds=frozenset({"video", "jpeg"}),
        description=(
            f"Every frame of each clip as `img_%05d.jpg`, numbered from {recipe.start_index}, of"
            f" size {recipe.size} and quality {recipe.jpeg_quality}, taken from"
            f" {recipe.frames_from}. A clip's {place} appears only when all its frames are there."
        ),
    )
    return class_stage_assets(settings, splits, what)

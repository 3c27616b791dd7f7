"""Smaller copies of the clips, which decode fast and seek fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.assets.class_stage import ClassStage, class_stage_assets
from kinetics_assets.core.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    import dagster as dg

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.settings import Settings


def resized_assets(settings: Settings, splits: Iterable[Split]) -> list[dg.AssetsDefinition]:
    """Return the resized asset of each split."""
    recipe = settings.resized.effective()
    what = ClassStage(
        stage=Stage.RESIZED,
        upstream=Stage.VIDEOS,
        kinds=frozenset({"video"}),
        description=(
            f"Each clip with a short side of {recipe.short_side_px} px and a key frame at least"
            f" every {recipe.gop} frames, encoded as H.264 and verified by decoding. It stands in"
            f" `videos_<split>_{recipe.folder_suffix}` beside the original."
        ),
    )
    return class_stage_assets(settings, splits, what)

"""The sound of the clips, in files of its own; made only where it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.assets.class_stage import ClassStage, class_stage_assets
from kinetics_assets.core.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    import dagster as dg

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.settings import Settings


def audio_assets(settings: Settings, splits: Iterable[Split]) -> list[dg.AssetsDefinition]:
    """Return the audio asset of each split."""
    recipe = settings.audio
    rate = f"{recipe.sample_rate_hz} Hz" if recipe.sample_rate_hz else "the source's sample rate"
    channels = {0: "its channels", 1: "mono", 2: "stereo"}[recipe.channels]
    what = ClassStage(
        stage=Stage.AUDIO,
        upstream=Stage.VIDEOS,
        kinds=frozenset({"audio"}),
        description=(
            f"The sound of each clip as 16-bit {recipe.format}, with {rate} and {channels}, from"
            " the original video and verified by decoding. A clip without sound is `no_audio`,"
            " which counts as lost for good and holds nothing back. Optional: nothing but"
            " `audio_features` reads it."
        ),
    )
    return class_stage_assets(settings, splits, what)

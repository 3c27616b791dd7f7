"""Log-mel features of the sound, which MMAction2's audio models read; made only if asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.assets.class_stage import ClassStage, class_stage_assets
from kinetics_assets.core.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    import dagster as dg

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.settings import Settings


def audio_features_assets(settings: Settings, splits: Iterable[Split]) -> list[dg.AssetsDefinition]:
    """Return the audio_features asset of each split."""
    recipe = settings.audio_features
    steps_per_second = recipe.sample_rate_hz / recipe.hop_size
    what = ClassStage(
        stage=Stage.AUDIO_FEATURES,
        upstream=Stage.AUDIO,
        kinds=frozenset({"numpy"}),
        description=(
            f"Log-mel features of each clip's sound as .npy, float32 (time steps, {recipe.mels}),"
            f" {steps_per_second:g} steps a second, {recipe.lowest_hz:g} to"
            f" {recipe.highest_hz:g} Hz, by the formula of MMAction2's `build_audio_features.py`."
            " Optional: only the lists of sound name them."
        ),
    )
    return class_stage_assets(settings, splits, what)

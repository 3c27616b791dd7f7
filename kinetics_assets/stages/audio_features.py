"""The audio_features stage: log-mel features of the sound of every clip of a class that has any."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import EncodeFailed
from kinetics_assets.core.stages import Stage
from kinetics_assets.media.tools import versions
from kinetics_assets.stages.file_job import FileJob

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.clips import Clip
    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.stages.job import Desk


class AudioFeaturesJob(FileJob):
    """Computes the features of the clips of one class."""

    stage = Stage.AUDIO_FEATURES
    upstream = Stage.AUDIO

    def _target(self, clip: Clip) -> Path:
        return self._order.layout.sound_features(self._order.split, clip.label, clip.id)

    def _made(
        self, row: ManifestRow, source: ManifestRow, *, desk: Desk, temp: Path
    ) -> ManifestRow:
        recipe = self._settings.audio_features
        facts = desk.worker.log_mel(self._order.layout.base / source.path, temp, recipe=recipe)
        if facts.mels != recipe.mels:
            raise EncodeFailed(f"{facts.mels} of {recipe.mels} mels came out.")
        steps_per_second = recipe.sample_rate_hz / recipe.hop_size
        return replace(
            row,
            samples=facts.steps,
            sample_rate_hz=steps_per_second,
            duration_seconds=facts.steps / steps_per_second,
            tools=versions("av", "numpy"),
        )

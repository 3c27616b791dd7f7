"""The audio stage: the sound of every good clip of a class, in a file of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kinetics_assets.core.stages import Stage
from kinetics_assets.media.tools import versions
from kinetics_assets.stages.file_job import FileJob

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.clips import Clip
    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.stages.job import Desk


class AudioJob(FileJob):
    """Writes the sound of the clips of one class; a clip without any is `no_audio`."""

    stage = Stage.AUDIO
    upstream = Stage.VIDEOS

    def _target(self, clip: Clip) -> Path:
        suffix = f".{self._settings.audio.format}"
        return self._order.layout.sound(self._order.split, clip.label, clip.id, suffix=suffix)

    def _made(
        self, row: ManifestRow, source: ManifestRow, *, desk: Desk, temp: Path
    ) -> ManifestRow:
        video = self._order.layout.base / source.path
        facts = desk.worker.extract_audio(video, temp, recipe=self._settings.audio)
        return replace(
            row,
            samples=facts.samples,
            sample_rate_hz=float(facts.sample_rate_hz),
            duration_seconds=facts.samples / facts.sample_rate_hz,
            tools=versions("av"),
        )

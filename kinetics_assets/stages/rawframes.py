"""The rawframes stage: every frame of every good clip as a JPEG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.core.stages import Stage
from kinetics_assets.media.tools import versions
from kinetics_assets.stages.pictures_job import Made, PicturesJob

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kinetics_assets.core.clips import Clip
    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.sources.found_trees import FoundFrames
    from kinetics_assets.stages.job import Desk


class RawframesJob(PicturesJob):
    """Writes ``img_%05d.jpg`` for the clips of one class."""

    stage = Stage.RAWFRAMES

    def produce(self, clip: Clip, source: ManifestRow, folder: Path, desk: Desk) -> Made:
        """Write one JPEG for each frame of the input video."""
        del clip
        video = self._order.layout.base / source.path
        facts = desk.worker.rawframes(video, folder, recipe=self._recipe)
        return Made(facts=facts, tools=versions("av", "simplejpeg"))

    def expected_count(self, frames: int) -> int:
        """Return the number of frames."""
        return frames

    def found_names(self, found: FoundFrames) -> Sequence[Path]:
        """Return the frames of a found folder in order."""
        return found.images

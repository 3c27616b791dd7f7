"""The rawframes stage: every frame of every good clip as a JPEG."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from kinetics_assets.core.stages import Stage
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.media.facts import FrameFacts
from kinetics_assets.media.product_facts import Wishes
from kinetics_assets.media.tools import versions
from kinetics_assets.stages.decode_once import clip_ahead
from kinetics_assets.stages.made_ahead import ahead_digest, taken
from kinetics_assets.stages.pictures_job import Made, PicturesJob

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kinetics_assets.core.clips import Clip
    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.media.client import MediaWorker
    from kinetics_assets.sources.found_trees import FoundFrames
    from kinetics_assets.stages.decode_once import ClipAhead
    from kinetics_assets.stages.job import Desk


class RawframesJob(PicturesJob):
    """Writes ``img_%05d.jpg`` for the clips of one class."""

    stage = Stage.RAWFRAMES

    def produce(self, clip: Clip, source: ManifestRow, folder: Path, desk: Desk) -> Made:
        """Write one JPEG for each frame of the input video, or take what a step before has made."""
        digest = ahead_digest(self.stage, self._settings, source.sha256)
        with taken(self._order, self.stage, clip, digest=digest) as found:
            if found is not None:
                found.content.rename(folder)
                return Made(facts=found.facts, tools=found.tools)
        with clip_ahead(desk.ahead, clip, source) as ahead:
            video = self._order.layout.base / source.path
            facts = self._write(video, folder, worker=desk.worker, ahead=ahead)
            if ahead is not None:
                ahead.hand_over(source.sha256)
        return Made(facts=facts, tools=versions("av", "simplejpeg"))

    def expected_count(self, frames: int) -> int:
        """Return the number of frames."""
        return frames

    def found_names(self, found: FoundFrames) -> Sequence[Path]:
        """Return the frames of a found folder in order."""
        return found.images

    def _write(
        self, video: Path, folder: Path, *, worker: MediaWorker, ahead: ClipAhead | None
    ) -> FrameFacts:
        """Write the frames to `folder`, and what is wanted `ahead`; return their facts."""
        if ahead is not None:
            wishes = Wishes(rawframes=(folder, self._recipe))
            made = ahead.make(video, wishes, worker=worker).rawframes
            if isinstance(made, FrameFacts):
                return made
            with os_faults(f"emptying {folder}"):
                shutil.rmtree(folder)
                folder.mkdir()
        return worker.rawframes(video, folder, recipe=self._recipe)

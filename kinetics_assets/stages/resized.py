"""The resized stage: every good clip of a class, made smaller."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import EncodeFailed
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.atomic import sha256_of
from kinetics_assets.media.product_facts import Wishes
from kinetics_assets.media.tools import versions
from kinetics_assets.stages.decode_once import clip_ahead
from kinetics_assets.stages.file_job import FileJob

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.clips import Clip
    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.media.client import MediaFacts, MediaWorker
    from kinetics_assets.stages.decode_once import ClipAhead
    from kinetics_assets.stages.job import Desk


class ResizedJob(FileJob):
    """Resizes the clips of one class."""

    stage = Stage.RESIZED
    upstream = Stage.VIDEOS

    def _target(self, clip: Clip) -> Path:
        return self._order.layout.resized_video(self._order.split, clip.label, clip.id)

    def _made(
        self, row: ManifestRow, source: ManifestRow, *, desk: Desk, temp: Path
    ) -> ManifestRow:
        """Write the resized clip to `temp` and return `row` with what is known of it.

        Raises:
            ClipError: The input cannot be decoded or the output does not hold all its frames.
        """
        video = self._order.layout.base / source.path
        with clip_ahead(desk.ahead, row.annotation, source) as ahead:
            facts = self._write(video, temp, worker=desk.worker, ahead=ahead)
            sha256 = sha256_of(temp)
            if ahead is not None:
                ahead.hand_over(source.sha256, made_sha256=sha256)
        if facts.frames_decoded != source.frames_decoded:
            msg = f"{facts.frames_decoded} of {source.frames_decoded} frames came out."
            raise EncodeFailed(msg)
        return replace(
            row,
            sha256=sha256,
            width_px=facts.width_px,
            height_px=facts.height_px,
            fps=facts.fps,
            duration_seconds=facts.duration_seconds,
            frames_decoded=facts.frames_decoded,
            tools=versions("av"),
        )

    def _write(
        self, video: Path, temp: Path, *, worker: MediaWorker, ahead: ClipAhead | None
    ) -> MediaFacts:
        """Write the resized video to `temp`, and what is wanted `ahead`; return its facts.

        Raises:
            ClipError: The input cannot be decoded or the output does not hold all its frames.
        """
        recipe = self._settings.resized
        if ahead is not None:
            made = ahead.make(video, Wishes(resized=(temp, recipe)), worker=worker).resized
            if made is not None and not isinstance(made, Exception):
                return made
        return worker.resize(video, temp, recipe=recipe)

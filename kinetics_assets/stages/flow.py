"""The flow stage: optical flow between successive frames of every good clip, as 8-bit JPEGs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import TooShort
from kinetics_assets.core.stages import Stage
from kinetics_assets.engines.registry import (
    FILE_ENGINE_NAMES,
    engine_by_name,
    file_engine_by_name,
    signature,
)
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.media.jpeg import encode_gray
from kinetics_assets.media.tools import versions
from kinetics_assets.stages.choices import chosen_engine
from kinetics_assets.stages.flow_files import AT_A_TIME, FileFlow
from kinetics_assets.stages.flow_mixture import OneEngineJob
from kinetics_assets.stages.frame_folders import picture_names
from kinetics_assets.stages.pictures_job import Made

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kinetics_assets.core.clips import Clip
    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.engines.base import FileFlowEngine, FlowEngine
    from kinetics_assets.sources.found_trees import FoundFrames
    from kinetics_assets.stages.job import Desk


class FlowJob(OneEngineJob):
    """Writes ``flow_x_%05d.jpg`` and ``flow_y_%05d.jpg`` for the clips of one class.

    Clips are worked on as many at a time as the step holds CPU slots, each on one thread, because
    decoding, flow and encoding of a clip follow one another.
    """

    stage = Stage.FLOW

    @cached_property
    def _engine_name(self) -> str:
        return chosen_engine(self._order)

    @cached_property
    def _engine(self) -> FlowEngine:
        return engine_by_name(self._engine_name, threads=1)

    @cached_property
    def _file_engine(self) -> FileFlowEngine:
        program = self._settings.flow.denseflow_path
        return file_engine_by_name(self._engine_name, program=program)

    @property
    def _from_files(self) -> bool:
        """Whether the engine decodes the videos itself."""
        return self._engine_name in FILE_ENGINE_NAMES

    @property
    def concurrency(self) -> int | None:
        """As many clips at a time as CPU slots can be had, or a few processes of a program."""
        return AT_A_TIME if self._from_files else None

    @property
    def bound_px(self) -> float | None:
        """Displacement, in pixels, that the largest grey level stands for."""
        return self._settings.flow.bound_px

    def engine_digest(self) -> tuple[str, ...]:
        """Return the engine's name and numerical profile."""
        return signature(self._engine_name)

    def produce(self, clip: Clip, source: ManifestRow, folder: Path, desk: Desk) -> Made:
        """Write two planes for each pair of frames of the input video.

        Raises:
            TooShort: A clip of one frame has no flow.
        """
        video = self._order.layout.base / source.path
        if self._from_files:
            return self._produce_from_file(video, folder, desk)
        return self._produce_from_frames(clip, video, folder, desk)

    def expected_count(self, frames: int) -> int:
        """Return the number of pairs."""
        return max(frames - 1, 0)

    def found_names(self, found: FoundFrames) -> Sequence[Path]:
        """Return the x planes, then the y planes of a found folder."""
        return [*found.flow_x, *found.flow_y]

    def _produce_from_file(self, video: Path, folder: Path, desk: Desk) -> Made:
        """Let the engine decode `video` and write the pictures, which are then checked."""
        engine = self._file_engine
        facts = FileFlow(engine, self._settings).make(video, folder, worker=desk.worker)
        return Made(
            facts=facts,
            tools=f"{versions('av', 'simplejpeg')}, {_words(engine.versions())}",
            engine=engine.name,
            profile=engine.profile,
            are_checked=True,
        )

    def _produce_from_frames(self, clip: Clip, video: Path, folder: Path, desk: Desk) -> Made:
        """Decode `video`, compute and write the pictures."""
        import numpy as np

        gray = desk.scratch / f"{clip.id.name}.npy"
        try:
            facts = desk.worker.gray(video, gray, recipe=self._recipe)
            if facts.frames < 2:
                msg = f"{facts.frames} frame has no flow."
                raise TooShort(msg)
            frames = np.load(gray, mmap_mode="r", allow_pickle=False)
            flow = self._engine.flow_u8(frames, bound_px=self._settings.flow.bound_px)
        finally:
            gray.unlink(missing_ok=True)
        names = picture_names(Stage.FLOW, count=len(flow), start_index=self._recipe.start_index)
        planes = [*flow[:, 0], *flow[:, 1]]
        with os_faults(f"writing {folder}"):
            for name, plane in zip(names, planes, strict=True):
                data = encode_gray(plane, quality=self._recipe.jpeg_quality)
                (folder / name).write_bytes(data)
        engine = self._engine
        return Made(
            facts=type(facts)(frames=len(flow), width_px=facts.width_px, height_px=facts.height_px),
            tools=f"{versions('av', 'simplejpeg')}, {_words(engine.versions())}",
            engine=engine.name,
            profile=engine.profile,
        )


def _words(versions_of_tools: dict[str, str]) -> str:
    """Return names and versions in one line."""
    return ", ".join(f"{name} {number}" for name, number in sorted(versions_of_tools.items()))

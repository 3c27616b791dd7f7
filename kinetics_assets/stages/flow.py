"""The flow stage: optical flow between successive frames of every good clip, as 8-bit JPEGs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from kinetics_assets.core.stages import Stage
from kinetics_assets.engines.registry import (
    FILE_ENGINE_NAMES,
    engine_by_name,
    file_engine_by_name,
    signature,
)
from kinetics_assets.media.tools import versions
from kinetics_assets.stages.choices import chosen_engine, settle_engine
from kinetics_assets.stages.flow_files import AT_A_TIME, FileFlow
from kinetics_assets.stages.flow_mixture import OneEngineJob
from kinetics_assets.stages.flow_pipeline import AHEAD, FlowPipeline
from kinetics_assets.stages.made_ahead import ahead_digest, taken
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

    Each clip is one thread's, because decoding, flow and encoding of a clip follow one another.
    Where flow is computed on a CPU, there are as many as the step holds CPU slots. Where a device
    computes, no slot is taken: a device costs more than a core, and must not wait for one.
    """

    stage = Stage.FLOW

    @cached_property
    def _engine_name(self) -> str:
        return chosen_engine(self._order)

    @cached_property
    def _engine(self) -> FlowEngine:
        return engine_by_name(
            self._engine_name,
            threads=1,
            opencv_cuda_python=self._settings.flow.opencv_cuda_python,
            clip_seconds=self._settings.limits.clip_wall_seconds,
        )

    @cached_property
    def _file_engine(self) -> FileFlowEngine:
        program = self._settings.flow.denseflow_path
        return file_engine_by_name(self._engine_name, program=program)

    @property
    def _from_files(self) -> bool:
        """Whether the engine decodes the videos itself."""
        return self._engine_name in FILE_ENGINE_NAMES

    @cached_property
    def _pipeline(self) -> FlowPipeline:
        return FlowPipeline(
            self._engine,
            recipe=self._recipe,
            bound_px=self._settings.flow.bound_px,
            cores=self._order.cores,
        )

    @property
    def concurrency(self) -> int | None:
        """As many clips at a time as CPU slots can be had, or more, or few processes of a program.

        While a device computes, the cores decode and encode other clips.
        """
        if self._from_files:
            return AT_A_TIME
        return self._order.cores + AHEAD if self._engine.device == "cuda" else None

    @property
    def bound_px(self) -> float | None:
        """Displacement, in pixels, that the largest grey level stands for."""
        return self._settings.flow.bound_px

    def engine_digest(self) -> tuple[str, ...]:
        """Return the engine's name and numerical profile."""
        return signature(self._engine_name)

    def groups(self, due: Sequence[Clip]) -> list[list[Clip]]:
        """Return each clip by itself; from now on ``auto`` is what it was resolved to.

        What the threads share is made here, before there are any: properties are cached without a
        lock since Python 3.12.

        Raises:
            MixedFlow: A step elsewhere resolved it to something else at the same time.
        """
        settle_engine(self._order, self._engine_name)
        _ = self._file_engine if self._from_files else self._pipeline
        return super().groups(due)

    def produce(self, clip: Clip, source: ManifestRow, folder: Path, desk: Desk) -> Made:
        """Write two planes for each pair of frames of the input video.

        Raises:
            TooShort: A clip of one frame has no flow.
        """
        if self._from_files:
            return self._produce_from_file(self._order.layout.base / source.path, folder, desk)
        return self._produce_from_frames(clip, source, folder, desk)

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

    def _produce_from_frames(
        self, clip: Clip, source: ManifestRow, folder: Path, desk: Desk
    ) -> Made:
        """Decode `video`, or take its grey frames from a step before; compute and write."""
        engine = self._engine
        digest = ahead_digest(self.stage, self._settings, source.sha256)
        with taken(self._order, self.stage, clip, digest=digest) as found:
            if found is not None:
                facts = self._pipeline.write(found.content, folder)
            else:
                video = self._order.layout.base / source.path
                gray = desk.scratch / f"{clip.id.name}.npy"
                facts = self._pipeline.make(video, folder, worker=desk.worker, gray=gray)
        return Made(
            facts=facts,
            tools=f"{versions('av', 'simplejpeg')}, {_words(engine.versions())}",
            engine=engine.name,
            profile=engine.profile,
        )


def _words(versions_of_tools: dict[str, str]) -> str:
    """Return names and versions in one line."""
    return ", ".join(f"{name} {number}" for name, number in sorted(versions_of_tools.items()))

"""From a video to its flow pictures: decode, compute, encode; several videos at a time.

Each video is one thread's, from its first frame to its last picture. What the threads share bounds
the work at each station: sandboxed children decode, at most so many at a time; the engine gathers
the pairs of all threads into batches where it works on a device; pictures are encoded by as many
threads as there are cores. A thread that waits for a station holds one video and decodes no other,
so what is under way is bounded by the number of threads, and what a video takes by `PART_BYTES`
plus its grey frames, which lie in a file.

Needs no Dagster, manifests or tables: NumPy, PyAV, simplejpeg and what the engine needs.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from kinetics_assets.core.errors import TooShort
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.media.facts import FrameFacts
from kinetics_assets.media.jpeg import encode_gray
from kinetics_assets.stages.frame_index import picture_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kinetics_assets.core.settings import FrameRecipe
    from kinetics_assets.engines.base import FlowEngine, FlowLevels, GrayFrames
    from kinetics_assets.media.client import MediaWorker

AHEAD: Final = 8
"""Videos beside those that the cores work on: their pairs keep a device busy meanwhile."""
PART_BYTES: Final = 1 << 26
"""Of flow that one video has in memory: 385 pairs of 340x256, 16 of 1920x1080."""


class FlowPipeline:
    """Makes flow pictures of videos; shared by the threads that work on them."""

    def __init__(
        self, engine: FlowEngine, *, recipe: FrameRecipe, bound_px: float, cores: int
    ) -> None:
        """Compute with `engine`.

        Args:
            engine: Shared between the threads.
            recipe: Size, quality and numbering of the pictures.
            bound_px: Displacement, in pixels, that the largest grey level stands for.
            cores: Threads that encode at a time.
        """
        self._engine = engine
        self._recipe = recipe
        self._bound_px = bound_px
        self._encoders = threading.BoundedSemaphore(cores)

    def make(self, video: Path, folder: Path, *, worker: MediaWorker, gray: Path) -> FrameFacts:
        """Put the flow pictures of `video` into `folder` and return number and size of the pairs.

        Args:
            video: What to decode.
            folder: An empty folder.
            worker: Decodes; its children bound how many videos are decoded at a time.
            gray: Name for a file of grey frames that is gone afterwards.

        Raises:
            ClipError: The video is at fault: `TooShort` for one frame, which has no flow.
            EnvironmentFault: The machine is.
        """
        try:
            worker.gray(video, gray, recipe=self._recipe)
            return self.write(gray, folder)
        finally:
            gray.unlink(missing_ok=True)

    def write(self, gray: Path, folder: Path) -> FrameFacts:
        """Put the flow pictures of grey frames into `folder`; return number and size of the pairs.

        Args:
            gray: File of a video's grey frames, as `MediaWorker.gray` writes it.
            folder: An empty folder.

        Raises:
            TooShort: There is one frame, which has no flow.
            EnvironmentFault: The machine is at fault.
        """
        import numpy as np

        frames = np.load(gray, mmap_mode="r", allow_pickle=False)
        if len(frames) < 2:
            raise TooShort(f"{len(frames)} frame has no flow.")
        count = len(frames) - 1
        names = picture_names(Stage.FLOW, count=count, start_index=self._recipe.start_index)
        for start, part in _parts(frames):
            flow = self._engine.flow_u8(part, bound_px=self._bound_px)
            ends = start + len(flow)
            self._encode(flow, folder, names[start:ends], names[count + start : count + ends])
        height_px, width_px = frames.shape[1:]
        return FrameFacts(count, width_px, height_px)

    def _encode(
        self, flow: FlowLevels, folder: Path, x_names: Sequence[str], y_names: Sequence[str]
    ) -> None:
        """Write the planes of some pairs under these names."""
        quality = self._recipe.jpeg_quality
        with self._encoders, os_faults(f"writing {folder}"):
            for planes, *names in zip(flow, x_names, y_names, strict=True):
                for plane, name in zip(planes, names, strict=True):
                    (folder / name).write_bytes(encode_gray(plane, quality=quality))


def _parts(frames: GrayFrames) -> Iterator[tuple[int, GrayFrames]]:
    """Yield first pair and frames of each part of a clip; the flow of each is of bounded size.

    The frame between two parts belongs to both.
    """
    pairs = len(frames) - 1
    each = max(PART_BYTES // (2 * frames[0].size), 1)
    for start in range(0, pairs, each):
        yield start, frames[start : start + each + 1]

"""The contract of an optical-flow engine, and the checks every engine makes on its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.errors import EnvironmentFault
    from kinetics_assets.core.geometry import Size

GrayFrames: TypeAlias = NDArray[np.uint8]
"""(T, H, W): T consecutive gray frames."""

FlowField: TypeAlias = NDArray[np.float32]
"""(T - 1, 2, H, W): x then y displacement in pixels, from frame t to frame t + 1."""

FlowLevels: TypeAlias = NDArray[np.uint8]
"""(T - 1, 2, H, W): the same displacements as 8-bit grey levels, see `quantise`."""

Device: TypeAlias = Literal["cpu", "cuda"]


class FlowEngine(Protocol):
    """Computes the flow between consecutive frames.

    The flow of a pair depends on its two frames alone: not on its neighbours, on how many frames
    come in one call, on the thread count, nor on sizes seen before. Fewer than two frames give an
    empty result. An engine can be shared between threads.
    """

    @property
    def name(self) -> str:
        """The name a user chooses the engine by."""

    @property
    def profile(self) -> str:
        """Which algorithm it computes; flow of two profiles must never be mixed in one dataset."""

    @property
    def device(self) -> Device:
        """Where it runs; "cuda" needs a device lease."""

    def versions(self) -> dict[str, str]:
        """Return the version of each tool whose change may change the flow."""

    def flow(self, frames: GrayFrames) -> FlowField:
        """Return the flow in pixels of `frames`.

        Raises:
            ValueError: `frames` is not uint8 of shape (T, H, W) with H and W above zero.
        """

    def flow_u8(self, frames: GrayFrames, *, bound_px: float) -> FlowLevels:
        """Return the flow as grey levels: `quantise(self.flow(frames), bound_px=bound_px)`.

        Raises:
            ValueError: as for `flow`, or `bound_px` is not a positive number.
            FloatingPointError: the flow is not finite.
        """


@dataclass(frozen=True, slots=True)
class FileTask:
    """One video file to be turned into flow pictures."""

    video: Path
    size: Size
    """Of the pictures; the frames are made grey first, then resized to it."""
    pairs: int
    """Pairs of frames that the video has, by our own decoder."""
    bound_px: float
    """Displacement that the largest grey level stands for."""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What an engine left of a `FileTask`. Whether the pictures are any good is not its to say."""

    pictures: tuple[Path, ...]
    """All x planes, then all y planes, in order; empty unless there are exactly as many as pairs.
    """
    said: str
    """What happened, for people: how the program ended, what was missing, its last words."""
    in_time: bool = True


class FileFlowEngine(Protocol):
    """Has a program of its own decode a video file and write its flow as JPEG pictures.

    What such a program says of its success is not believed; see `kinetics_assets.stages.flow_files`
    for how its pictures are judged. An engine can be shared between threads.
    """

    @property
    def name(self) -> str:
        """The name a user chooses the engine by."""

    @property
    def profile(self) -> str:
        """Which algorithm it computes, and by what."""

    @property
    def device(self) -> Device:
        """Where it runs; "cuda" needs a device lease."""

    @property
    def jpeg_quality(self) -> int:
        """The only JPEG quality that it writes."""

    def versions(self) -> dict[str, str]:
        """Return the version of each tool whose change may change the flow.

        Raises:
            ToolMissing: The program is not there.
        """

    def run(self, task: FileTask, folder: Path, *, seconds: float) -> FileResult:
        """Return what became of one attempt at `task`, made inside the empty `folder`.

        Raises:
            ToolMissing: The program is not there.
        """

    def fault(self, said: str) -> EnvironmentFault:
        """Return the fault of the machine behind a failure that is known not to be the video's."""


def checked_frames(frames: GrayFrames) -> GrayFrames:
    """Return `frames` as one contiguous block.

    Raises:
        ValueError: not uint8 of shape (T, H, W) with H and W above zero.
    """
    if frames.dtype != np.uint8 or frames.ndim != 3 or 0 in frames.shape[1:]:
        got = f"{frames.dtype} {frames.shape}"
        raise ValueError(f"Gray frames must be uint8 of shape (T, H, W), got {got}.")
    return np.ascontiguousarray(frames)


def flow_shape(frames: GrayFrames) -> tuple[int, int, int, int]:
    """Return the shape (T - 1, 2, H, W) of the flow of `frames`, with zero pairs for T < 2."""
    count, height, width = frames.shape
    return max(count - 1, 0), 2, height, width

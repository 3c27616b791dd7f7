"""The contract of an optical-flow engine, and the checks every engine makes on its input."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

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

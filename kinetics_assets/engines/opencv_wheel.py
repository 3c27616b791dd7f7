"""OpenCV of the ordinary wheels under an engine: frames in, one call per pair, flow out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.engines.base import (
    Device,
    FlowField,
    FlowLevels,
    GrayFrames,
    checked_frames,
    flow_shape,
)
from kinetics_assets.engines.quantise import quantise

if TYPE_CHECKING:
    from types import ModuleType


class OpenCvEngine:
    """Base of engines that are one OpenCV call on two frames; a subclass says which."""

    name: str
    profile: str
    device: Device = "cpu"
    min_side_px: int = 1
    """Frames with a shorter side are extended to it by repetition."""

    def versions(self) -> dict[str, str]:
        """Return the version of OpenCV.

        Raises:
            ToolMissing: OpenCV cannot be imported.
        """
        return {"opencv": str(opencv().__version__)}

    def flow(self, frames: GrayFrames) -> FlowField:
        """Return the flow in pixels, (T - 1, 2, H, W); see `FlowEngine.flow`."""
        frames = checked_frames(frames)
        field = np.empty(flow_shape(frames), np.float32)
        height, width = frames.shape[1:]
        missing = [(0, max(self.min_side_px - side, 0)) for side in (height, width)]
        padded = np.pad(frames, [(0, 0), *missing], mode="edge") if len(field) else frames
        for pair in range(len(field)):
            flow = self.pair_flow(padded[pair], padded[pair + 1])
            field[pair] = np.moveaxis(flow[:height, :width], 2, 0)
        return field

    def flow_u8(self, frames: GrayFrames, *, bound_px: float) -> FlowLevels:
        """Return the flow as grey levels, (T - 1, 2, H, W); see `FlowEngine.flow_u8`."""
        return quantise(self.flow(frames), bound_px=bound_px)

    def pair_flow(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the flow (H, W, 2) from `first` to `second`."""
        raise NotImplementedError


def opencv() -> ModuleType:
    """Return the module cv2.

    Raises:
        ToolMissing: it is not installed, or a system library that it loads is missing.
    """
    try:
        import cv2
    except ImportError as error:
        remedy = (
            "Run `pip install opencv-python-headless` (that build needs no libGL; "
            f"for the other one `apt-get install libgl1 libglib2.0-0`). Import said: {error}"
        )
        raise ToolMissing("OpenCV (cv2)", remedy) from error
    return cv2

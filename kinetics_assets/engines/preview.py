"""OpenCV's DIS and Farneback: quick looks at the pipeline, not training data.

They are other algorithms than TV-L1: on camera footage a quarter to a fifth of the pixels lies more
than one grey level away from it, and motion boundaries are smoother. So they are used only when
named, never chosen by "auto" and never a fallback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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

_MIN_SIDE_PX: Final = 32
"""OpenCV's DIS refuses frames with a shorter side; such frames are extended to it by repetition."""


class _OpenCvEngine:
    """What the two have in common: frames in, one OpenCV call per pair, flow out."""

    name: str
    profile: str
    device: Device = "cpu"

    def versions(self) -> dict[str, str]:
        """Return the version of OpenCV.

        Raises:
            ToolMissing: OpenCV cannot be imported.
        """
        return {"opencv": str(_opencv().__version__)}

    def flow(self, frames: GrayFrames) -> FlowField:
        """Return the flow in pixels, (T - 1, 2, H, W); see `FlowEngine.flow`."""
        frames = checked_frames(frames)
        field = np.empty(flow_shape(frames), np.float32)
        height, width = frames.shape[1:]
        missing = [(0, max(_MIN_SIDE_PX - side, 0)) for side in (height, width)]
        padded = np.pad(frames, [(0, 0), *missing], mode="edge") if len(field) else frames
        for pair in range(len(field)):
            flow = self._pair(padded[pair], padded[pair + 1])
            field[pair] = np.moveaxis(flow[:height, :width], 2, 0)
        return field

    def flow_u8(self, frames: GrayFrames, *, bound_px: float) -> FlowLevels:
        """Return the flow as grey levels, (T - 1, 2, H, W); see `FlowEngine.flow_u8`."""
        return quantise(self.flow(frames), bound_px=bound_px)

    def _pair(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the flow (H, W, 2) from `first` to `second`."""
        raise NotImplementedError


class DisPreview(_OpenCvEngine):
    """Dense inverse search, preset "fast": about 2 ms per pair at 340x256."""

    name: str = "preview-dis"
    profile: str = "opencv-dis-fast"

    def _pair(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the flow (H, W, 2); a new solver per pair, since one keeps buffers."""
        cv2 = _opencv()
        solver = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        return np.asarray(solver.calc(first, second, None), np.float32)


class FarnebackPreview(_OpenCvEngine):
    """Farneback's polynomial expansion: about 15 ms per pair at 340x256."""

    name: str = "preview-farneback"
    profile: str = "opencv-farneback"

    def _pair(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the flow (H, W, 2) with OpenCV's tutorial parameters."""
        options: dict[str, Any] = {
            "pyr_scale": 0.5,
            "levels": 3,
            "winsize": 15,
            "iterations": 3,
            "poly_n": 5,
            "poly_sigma": 1.2,
            "flags": 0,
        }
        flow = _opencv().calcOpticalFlowFarneback(first, second, None, **options)
        return np.asarray(flow, np.float32)


def _opencv() -> ModuleType:
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

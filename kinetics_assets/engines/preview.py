"""OpenCV's DIS and Farneback: quick looks at the pipeline, not training data.

They are other algorithms than TV-L1: on camera footage a quarter to a fifth of the pixels lies more
than one grey level away from it, and motion boundaries are smoother. So they are used only when
named, never chosen by "auto" and never a fallback.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.engines.opencv_wheel import OpenCvEngine, opencv


class DisPreview(OpenCvEngine):
    """Dense inverse search, preset "fast": about 2 ms per pair at 340x256."""

    name: str = "preview-dis"
    profile: str = "opencv-dis-fast"
    min_side_px: int = 32
    """OpenCV's DIS refuses frames with a shorter side."""

    def pair_flow(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the flow (H, W, 2); a new solver per pair, since one keeps buffers."""
        cv2 = opencv()
        solver = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        return np.asarray(solver.calc(first, second, None), np.float32)


class FarnebackPreview(OpenCvEngine):
    """Farneback's polynomial expansion: about 15 ms per pair at 340x256."""

    name: str = "preview-farneback"
    profile: str = "opencv-farneback"

    def pair_flow(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
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
        flow = opencv().calcOpticalFlowFarneback(first, second, None, **options)
        return np.asarray(flow, np.float32)

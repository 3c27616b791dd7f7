"""The numbers of dual TV-L1 in the profile "opencv4-cuda".

The profile is what OpenCV 3 to 5 computes on CUDA by default, and so what denseflow writes. TV-L1
of OpenCV on the CPU is another algorithm (median filter, other resize, borders and stop rule).
Method: Zach, Pock, Bischof, "A duality based approach for realtime TV-L1 optical flow" (2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

PROFILE: Final = "opencv4-cuda"

TAU: Final = 0.25
LAMBDA: Final = 0.15
THETA: Final = 0.3
SCALES: Final = 5
WARPS: Final = 5
EPSILON: Final = 0.01
MAX_ITERATIONS: Final = 300
SCALE_STEP: Final = 0.8
MIN_SIDE_PX: Final = 16
"""A level with a shorter side is not used; level 0 always is."""

FLT_EPSILON: Final = 1.1920929e-07
"""Below this squared gradient the data term gives no direction."""


def level_sizes(height_px: int, width_px: int) -> list[tuple[int, int]]:
    """Return (height, width) of each pyramid level, finest first, at most `SCALES` of them.

    Each side is the one above times `SCALE_STEP`, rounded half to even.
    """
    sizes = [(height_px, width_px)]
    while len(sizes) < SCALES:
        height, width = (round(side * SCALE_STEP) for side in sizes[-1])
        if min(height, width) < MIN_SIDE_PX:
            break
        sizes.append((height, width))
    return sizes


def stop_threshold(height_px: int, width_px: int) -> float:
    """Return the summed squared update, in square pixels, at which a warp of a level is done."""
    return EPSILON * EPSILON * height_px * width_px


@dataclass(frozen=True, slots=True)
class PairSolution:
    """What a solver found for one pair.

    Attributes:
        flow: (2, H, W) float32, x then y displacement in pixels.
        iterations: (levels, WARPS) iterations that ran, finest level first.
    """

    flow: NDArray[np.float32]
    iterations: NDArray[np.int32]

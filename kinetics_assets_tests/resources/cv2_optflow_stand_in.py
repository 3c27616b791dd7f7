"""Stands for ``cv2.optflow`` where OpenCV is without contrib, as strict as the real one.

What it refuses, and that a solver remembers small frames, was seen with OpenCV 5.0. Its flow is
that of the engine ``cpu``, which is another one; tests do not look at more than motion.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.engines.cpu import CpuEngine
from kinetics_assets.engines.tvl1 import level_sizes

_TYPES = {
    "tau": float,
    "lambda_": float,
    "theta": float,
    "nscales": int,
    "warps": int,
    "epsilon": float,
    "innnerIterations": int,
    "outerIterations": int,
    "scaleStep": float,
    "gamma": float,
    "medianFiltering": int,
    "useInitialFlow": bool,
}


class Refused(Exception):
    """What OpenCV raises on arguments of a kind that it does not take."""


def DualTVL1OpticalFlow_create(**options: float) -> Solver:  # noqa: N802 - OpenCV's name
    """Return a solver.

    Raises:
        TypeError: An option that there is none, or of another type.
    """
    for name, value in options.items():
        if name not in _TYPES:
            msg = f"{name!r} is an invalid keyword argument for DualTVL1OpticalFlow_create()"
            raise TypeError(msg)
        wanted = _TYPES[name]
        if wanted is not float and type(value) is not wanted:
            msg = f"Argument {name!r} is required to be an {wanted.__name__}"
            raise TypeError(msg)
    return Solver(options)


class Solver:
    """Its buffers are for one thread, its number of levels is that of the smallest frames."""

    def __init__(self, options: dict[str, float]) -> None:
        """Keep the options for tests to see."""
        self.options = options
        self._levels = int(options.get("nscales", 5))
        self._thread = threading.get_ident()

    def calc(
        self, first: NDArray[Any], second: NDArray[Any], flow: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Return the flow (H, W, 2).

        Raises:
            Refused: Frames of another type or size, or a second thread, which would crash.
        """
        if first.dtype not in {np.dtype(np.uint8), np.dtype(np.float32)} or first.ndim != 2:
            raise Refused("I0.type() == CV_8UC1 || I0.type() == CV_32FC1")
        if first.shape != second.shape or first.dtype != second.dtype or flow is not None:
            raise Refused("I0.size() == I1.size() && I0.type() == I1.type()")
        if threading.get_ident() != self._thread:
            raise Refused("used by two threads")
        wanted = len(level_sizes(*first.shape))
        self._levels = min(self._levels, wanted)
        if self._levels < wanted:
            return np.zeros((*first.shape, 2), np.float32)  # wrong, as the real one's would be
        pair = np.stack([first, second]).astype(np.uint8)
        return np.moveaxis(CpuEngine(threads=1).flow(pair)[0], 0, 2).copy()

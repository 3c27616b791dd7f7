"""Flow in pixels to 8-bit grey levels and back.

The rule of denseflow (and of the I3D authors): clip to [-bound, bound], map linearly to 0..255,
round half to even. Zero lies at 127.5 and becomes 128, so still pixels flip between 127 and 128 on
rounding noise: compare with a tolerance of one level, never for equality.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.engines.base import FlowField, FlowLevels


def quantise(flow: FlowField, *, bound_px: float) -> FlowLevels:
    """Return grey levels of the same shape; displacements beyond `bound_px` saturate.

    Args:
        flow: Displacements in pixels, any shape.
        bound_px: Displacement in pixels that maps to 255; its negative maps to 0.

    Raises:
        ValueError: `bound_px` is not a positive number.
        FloatingPointError: `flow` holds a NaN.
    """
    limit = positive_bound(bound_px)
    levels = np.clip(flow.astype(np.float64), -limit, limit)
    levels += bound_px
    levels *= 255.0
    levels /= 2.0 * bound_px
    if np.isnan(levels).any():
        raise FloatingPointError("Optical flow holds NaN: its engine is broken.")
    return np.rint(levels, out=levels).astype(np.uint8)


def dequantise(levels: NDArray[np.uint8], *, bound_px: float) -> FlowField:
    """Return the displacement in pixels at the middle of each grey level.

    Off by at most half a level, `bound_px / 255` pixels, where `quantise` did not saturate.

    Raises:
        ValueError: `bound_px` is not a positive number.
    """
    pixels = levels.astype(np.float64) * (2.0 * positive_bound(bound_px) / 255.0) - bound_px
    return pixels.astype(np.float32)


def positive_bound(bound_px: float) -> float:
    """Return `bound_px` if it is a positive finite number.

    Raises:
        ValueError: it is not.
    """
    if not 0.0 < bound_px < float("inf"):
        raise ValueError(f"The flow bound must be a positive number of pixels, got {bound_px}.")
    return bound_px

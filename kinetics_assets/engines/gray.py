"""Colour frame -> gray frame -> gray frame of the size that flow is computed at, in plain numpy.

The fixed-point arithmetic of OpenCV's `cvtColor(BGR2GRAY)` and `resize(INTER_LINEAR)` on bytes,
in denseflow's order: gray first, then the resize (no smoothing before shrinking). Within one grey
level of OpenCV, and equal to the builds the tests ran with nearly everywhere.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

_BGR_WEIGHTS: Final = (np.uint32(3735), np.uint32(19235), np.uint32(9798))
"""Blue, green and red share in 1 / 32768; they add up to 32768."""

_LUMA_BITS: Final = np.uint32(15)
_LUMA_HALF: Final = np.uint32(1 << 14)

_ROWS_PER_BLOCK: Final = 32
"""Rows turned gray at a time, so that the intermediate integers stay in the cache."""

_UNIT: Final = 2048
"""Fixed-point 1.0 of the interpolation weights."""


def bgr_to_gray(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma (H, W) of an 8-bit frame (H, W, 3) with channels blue, green, red.

    Raises:
        ValueError: `bgr` is not uint8 of shape (H, W, 3).
    """
    if bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3:
        raise ValueError(f"A BGR frame must be uint8 (H, W, 3), got {bgr.dtype} {bgr.shape}.")
    gray = np.empty(bgr.shape[:2], np.uint8)
    for top in range(0, len(bgr), _ROWS_PER_BLOCK):
        block = bgr[top : top + _ROWS_PER_BLOCK]
        total = np.full(block.shape[:2], _LUMA_HALF, np.uint32)
        for channel, weight in enumerate(_BGR_WEIGHTS):
            total += block[..., channel] * weight
        total >>= _LUMA_BITS
        gray[top : top + _ROWS_PER_BLOCK] = total
    return gray


def resize_gray(gray: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Return `gray` (H, W) at `height_px` x `width_px`, bilinear with pixel centres aligned.

    Raises:
        ValueError: `gray` is not uint8 of shape (H, W), or a side is below one pixel.
    """
    if gray.dtype != np.uint8 or gray.ndim != 2 or min(width_px, height_px, *gray.shape) < 1:
        wanted = f"{width_px}x{height_px}"
        raise ValueError(
            f"Cannot resize {gray.dtype} {gray.shape} to {wanted}: needs uint8 (H, W)."
        )
    if gray.shape == (height_px, width_px):
        return gray.copy()
    left, right, left_share, right_share = _axis(gray.shape[1], width_px)
    above, below, above_share, below_share = _axis(gray.shape[0], height_px)
    used, place = np.unique(np.concatenate([above, below]), return_inverse=True)
    rows = gray[used]
    # OpenCV gives the border column all of the weight, but splits that of the border row
    stretched = rows.take(left, axis=1, mode="clip") * np.where(right == left, _UNIT, left_share)
    stretched += rows.take(right, axis=1, mode="clip") * np.where(right == left, 0, right_share)
    stretched >>= 4
    upper = stretched[place[:height_px]] * above_share[:, None]
    lower = stretched[place[height_px:]] * below_share[:, None]
    upper >>= 16
    lower >>= 16
    upper += lower
    upper += 2
    upper >>= 2
    resized: NDArray[np.uint8] = upper.astype(np.uint8)
    return resized


@lru_cache(maxsize=64)
def _axis(
    source_px: int, target_px: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int32], NDArray[np.int32]]:
    """Return both source indices of each target pixel and their fixed-point weights.

    Beyond the centre of a border pixel both indices are that pixel.
    """
    scale = 1.0 / (target_px / source_px)
    position = ((np.arange(target_px) + 0.5) * scale - 0.5).astype(np.float32)
    cell = np.floor(position)
    share = position - cell
    first = cell.astype(np.intp)
    second_share = np.rint(share * np.float32(_UNIT)).astype(np.int32)
    first_share = np.rint((np.float32(1) - share) * np.float32(_UNIT)).astype(np.int32)
    last = source_px - 1
    return np.clip(first, 0, last), np.clip(first + 1, 0, last), first_share, second_share

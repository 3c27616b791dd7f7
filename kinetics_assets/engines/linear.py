"""OpenCV's `resize(INTER_LINEAR)` on bytes, in plain numpy: its fixed-point arithmetic.

There is no smoothing before shrinking. Within one level of OpenCV, and equal to the builds the
tests ran with nearly everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

_UNIT: Final = 2048
"""Fixed-point 1.0 of the interpolation weights."""


@dataclass(frozen=True, slots=True)
class Taps:
    """Where each target pixel is read, as int32."""

    across: NDArray[np.int32]
    """(4, width): the left and the right source column, then their shares."""
    down: NDArray[np.int32]
    """(4, height): the upper and the lower source row, then their shares."""


def linear_taps(shape: tuple[int, int], width_px: int, height_px: int) -> Taps:
    """Return the taps that make pictures of `shape` (H, W) `height_px` x `width_px`."""
    left, right, left_share, right_share = _axis(shape[1], width_px)
    # OpenCV gives the border column all of the weight, but splits that of the border row
    at_border = right == left
    left_share = np.where(at_border, np.int32(_UNIT), left_share)
    right_share = np.where(at_border, np.int32(0), right_share)
    across = np.stack([left, right, left_share, right_share]).astype(np.int32)
    return Taps(across, np.stack(_axis(shape[0], height_px)).astype(np.int32))


class LinearResize:
    """Bilinear resize of pictures of one size, in the same memory.

    Attributes:
        rows: Source rows that it reads.
    """

    def __init__(
        self, shape: tuple[int, int], width_px: int, height_px: int, *, channels: int = 1
    ) -> None:
        """Prepare for pictures of `shape` (H, W) whose pixels are `channels` bytes each."""
        taps = linear_taps(shape, width_px, height_px)
        left, right, left_share, right_share = taps.across
        above, below, above_share, below_share = taps.down
        self.rows, place = np.unique(np.concatenate([above, below]), return_inverse=True)
        self._above, self._below = place[:height_px], place[height_px:]
        self._left, self._right = _bytes_of(left, channels), _bytes_of(right, channels)
        self._left_share = np.repeat(left_share, channels)
        self._right_share = np.repeat(right_share, channels)
        self._above_share, self._below_share = above_share[:, None], below_share[:, None]
        across = width_px * channels
        self._picked = np.empty((len(self.rows), across), np.uint8)
        self._stretched, self._other = np.empty((2, len(self.rows), across), np.int32)
        self._upper, self._lower = np.empty((2, height_px, across), np.int32)

    def resize(self, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the resized picture (H, W * channels), given those of its rows that count."""
        picked, stretched, other = self._picked, self._stretched, self._other
        np.take(rows, self._left, axis=1, out=picked, mode="clip")
        np.multiply(picked, self._left_share, out=stretched)
        np.take(rows, self._right, axis=1, out=picked, mode="clip")
        np.multiply(picked, self._right_share, out=other)
        stretched += other
        stretched >>= 4
        upper, lower = self._upper, self._lower
        np.take(stretched, self._above, axis=0, out=upper, mode="clip")
        np.take(stretched, self._below, axis=0, out=lower, mode="clip")
        upper *= self._above_share
        lower *= self._below_share
        upper >>= 16
        lower >>= 16
        upper += lower
        upper += 2
        upper >>= 2
        resized: NDArray[np.uint8] = upper.astype(np.uint8)
        return resized


def _bytes_of(pixels: NDArray[np.int32], channels: int) -> NDArray[np.intp]:
    """Return the index of each byte of the pixels with the indices `pixels`."""
    return (pixels[:, None].astype(np.intp) * channels + np.arange(channels)).reshape(-1)


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

"""Colour frame -> gray frame -> gray frame of the size that flow is computed at, in plain numpy.

The fixed-point arithmetic of OpenCV's `cvtColor(BGR2GRAY)` and `resize(INTER_LINEAR)` on bytes,
in denseflow's order: gray first, then the resize (no smoothing before shrinking). Within one grey
level of OpenCV, and equal to the builds the tests ran with nearly everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.engines.linear import LinearResize, linear_taps

if TYPE_CHECKING:
    from kinetics_assets.engines.cpu_compiled.gray import CompiledGray

_BGR_WEIGHTS: Final = np.array([3735, 19235, 9798], np.float32)
"""Blue, green and red share in 1 / 32768; they add up to 32768. As sums stay below 2^24, floats of
32 bits hold them exactly, in whatever order they are added, and multiply faster than integers."""

_LUMA_HALF: Final = np.float32(1 << 14)
_LUMA_UNIT: Final = np.float32(2**-15)

_ROWS_PER_BLOCK: Final = 32
"""Rows turned gray at a time, so that the intermediate numbers stay in the cache."""


def bgr_to_gray(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma (H, W) of an 8-bit frame (H, W, 3) with channels blue, green, red.

    Raises:
        ValueError: `bgr` is not uint8 of shape (H, W, 3).
    """
    if bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3:
        raise ValueError(f"A BGR frame must be uint8 (H, W, 3), got {bgr.dtype} {bgr.shape}.")
    gray = np.empty(bgr.shape[:2], np.uint8)
    _Luma(bgr.shape[1]).make(bgr, gray)
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
    resizer = LinearResize((len(gray), gray.shape[1]), width_px, height_px)
    return resizer.resize(gray[resizer.rows])


class GrayMaker:
    """``resize_gray(bgr_to_gray(bgr), ...)`` for many frames of one size, in the same memory.

    Only those rows are made gray that the resize reads.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        width_px: int,
        height_px: int,
        *,
        compiled: CompiledGray | None = None,
    ) -> None:
        """Prepare for frames of `shape` (H, W) that become `height_px` x `width_px`.

        Args:
            shape: Height and width of the frames.
            width_px: Of the result.
            height_px: Of the result.
            compiled: Does it in a quarter of the time, with the same bytes, where it can be had.
        """
        self._shape = (*shape, 3)
        self._compiled, self._taps = compiled, None
        if compiled is not None:
            if shape != (height_px, width_px):
                self._taps = linear_taps(shape, width_px, height_px)
            self._gray = np.empty((height_px, width_px), np.uint8)
            return
        self._luma = _Luma(shape[1])
        self._resizer = None
        if shape != (height_px, width_px):
            self._resizer = LinearResize(shape, width_px, height_px)
            shape = (len(self._resizer.rows), shape[1])
            self._rows = np.empty((*shape, 3), np.uint8)
        self._gray = np.empty(shape, np.uint8)

    def make(self, bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return `bgr` (H, W, 3) in gray, at the other size; good until the next call.

        Raises:
            ValueError: `bgr` is not uint8 of the shape that was named.
        """
        if bgr.dtype != np.uint8 or bgr.shape != self._shape:
            raise ValueError(f"Wanted uint8 {self._shape}, got {bgr.dtype} {bgr.shape}.")
        if self._compiled is not None:
            if self._taps is None:
                self._compiled.luma(bgr, self._gray)
            else:
                self._compiled.resized(bgr, self._gray, taps=self._taps)
            return self._gray
        if self._resizer is None:
            self._luma.make(bgr, self._gray)
            return self._gray
        np.take(bgr, self._resizer.rows, axis=0, out=self._rows, mode="clip")
        self._luma.make(self._rows, self._gray)
        return self._resizer.resize(self._gray)


class _Luma:
    """The luma of frames of one width."""

    def __init__(self, width_px: int) -> None:
        """Take working memory for some rows."""
        self._channels = np.empty((_ROWS_PER_BLOCK * width_px, 3), np.float32)
        self._total = np.empty(_ROWS_PER_BLOCK * width_px, np.float32)

    def make(self, bgr: NDArray[np.uint8], gray: NDArray[np.uint8]) -> None:
        """Fill `gray` (H, W) from `bgr` (H, W, 3)."""
        for top in range(0, len(bgr), _ROWS_PER_BLOCK):
            block = bgr[top : top + _ROWS_PER_BLOCK].reshape(-1, 3)
            channels, total = self._channels[: len(block)], self._total[: len(block)]
            np.copyto(channels, block)
            np.matmul(channels, _BGR_WEIGHTS, out=total)
            total += _LUMA_HALF
            total *= _LUMA_UNIT
            target = gray[top : top + _ROWS_PER_BLOCK].reshape(-1)
            np.copyto(target, total, casting="unsafe")  # the fraction is dropped

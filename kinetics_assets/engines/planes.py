"""Planes of a decoded 4:2:0 frame -> planes of a JPEG picture, in numpy and fixed point.

Made smaller by averaging over areas, each plane by itself, so that nothing aliases; then put from
limited to full range, and from the matrix of HD video to that of a JPEG (ITU-R BT.601, which JFIF
asks for). `cpu_compiled/planes.cpp` gives the same bytes many times faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kinetics_assets.core.geometry import Size

    Plane = NDArray[np.uint8]

_GROUP: Final = 16
"""Luma pixels, across and down, that a JPEG with 4:2:0 colour stores together."""
_UNIT: Final = 1 << 14
"""Fixed-point 1.0 of shares and gains."""
DOWN_UNIT: Final = 1 << 8
"""1.0 of the shares of rows: with levels that have a sign their sums fit 16 bits."""
MEAN_BITS: Final = 22
"""Fraction of a mean of rows and columns: 8 bits of `DOWN_UNIT`, 14 of a gain."""
_LARGEST_SHARE: Final = DOWN_UNIT - 1
_NEUTRAL: Final = 128
"""The level of no colour."""
_BT601: Final = (0.299, 0.114)
"""Shares of red and blue in luma."""
BT709: Final = (0.2126, 0.0722)


class Levels(NamedTuple):
    """What becomes of levels: (level - black) * gain / 16384 + neutral, rounded half up."""

    black: int
    gain: int
    neutral: int


def luma_levels(*, is_full: bool) -> Levels:
    """Return how luma comes to full range."""
    return Levels(0, _UNIT, 0) if is_full else Levels(16, round(_UNIT * 255 / 219), 0)


def colour_levels(*, is_full: bool) -> Levels:
    """Return how colour differences come to full range."""
    gain = _UNIT if is_full else round(_UNIT * 255 / 224)
    return Levels(_NEUTRAL, gain, _NEUTRAL)


@dataclass(frozen=True, slots=True)
class Taps:
    """Which source pixels a target pixel is the mean of, along one axis."""

    first: NDArray[np.int32]
    """(pixels,): the first of them."""
    shares: NDArray[np.int16]
    """(pixels, taps): those of each pixel have the same sum."""


@lru_cache(maxsize=64)
def area_taps(source_px: int, target_px: int, unit: int) -> Taps:
    """Return the taps that average `source_px` pixels to `target_px`, which are not more.

    The same number of taps for each target pixel, all inside the source.

    Args:
        source_px: Before.
        target_px: After.
        unit: What the shares of a pixel sum to.
    """
    edges = np.arange(target_px + 1) * source_px  # in 1 / target_px of a source pixel
    first, last = edges[:-1] // target_px, -(-edges[1:] // target_px)
    count = int((last - first).max())
    first = np.minimum(first, source_px - count)
    borders = (first[:, None] + np.arange(count + 1)) * target_px
    covered = np.clip(borders, edges[:-1, None], edges[1:, None]) - edges[:-1, None]
    # differences of rounded sums, so that no fraction of the whole is lost
    sums = (covered * unit + source_px // 2) // source_px
    return Taps(first.astype(np.int32), np.diff(sums, axis=1).astype(np.int16))


@lru_cache(maxsize=64)
def row_taps(source_px: int, target_px: int) -> Taps:
    """Return `area_taps` of rows, whose shares, where there are more than one, fit a byte.

    Down to a tenth of the rows the mean is exact to a level or so, whatever the picture is. Where
    hundreds of rows become one, noise is off by up to five levels, and some rows have no share.
    """
    taps = area_taps(source_px, target_px, DOWN_UNIT)
    count = taps.shares.shape[1]
    if count == 1:
        return taps
    # where two sides are nearly alike, a share may be rounded to all: one 256th is not seen
    shares = taps.shares.copy()
    pixel, tap = np.nonzero(shares > _LARGEST_SHARE)
    shares[pixel, tap] -= 1
    shares[pixel, (tap + 1) % count] += 1
    return Taps(taps.first, shares)


def across_offset(levels: Levels) -> int:
    """Return what is added to a mean of rows and columns, so that shifted by 22 it has its level.

    The mean is that of levels less 128, with shares of rows that sum to `DOWN_UNIT` and shares of
    columns that sum to `levels.gain`.
    """
    zero = (_NEUTRAL - levels.black) * levels.gain * DOWN_UNIT
    return (levels.neutral << MEAN_BITS) + zero + (1 << (MEAN_BITS - 1))


class Canvas:
    """Memory for the planes of one picture, up to whole groups of 16 x 16 pixels.

    Attributes:
        size: Of the picture.
        planes: Luma, blue and red with their margins; colour has half the sides.
        shapes: (H, W) of each plane without its margins.
    """

    def __init__(self, size: Size) -> None:
        """Make room for a picture of `size`."""
        width, height = size.width_px, size.height_px
        across, down = -(-width // _GROUP) * _GROUP, -(-height // _GROUP) * _GROUP
        half = (-(-height // 2), -(-width // 2))
        self.size = size
        self.shapes = ((height, width), half, half)
        colour = (down // 2, across // 2)
        self.planes = (
            np.zeros((down, across), np.uint8),
            np.zeros(colour, np.uint8),
            np.zeros(colour, np.uint8),
        )

    def views(self) -> tuple[Plane, Plane, Plane]:
        """Return luma, blue and red without their margins."""
        luma, blue, red = (
            plane[:height, :width]
            for plane, (height, width) in zip(self.planes, self.shapes, strict=True)
        )
        return luma, blue, red


def fill(canvas: Canvas, sources: Sequence[Plane], *, is_full: bool) -> None:
    """Draw a frame on `canvas`, in full range, and repeat its last column and row in the margins.

    Args:
        canvas: Its shapes are not larger than those of the planes.
        sources: Luma, blue and red of a 4:2:0 frame, (H, W) each.
        is_full: Whether they have the full range already.
    """
    for index, (source, plane) in enumerate(zip(sources, canvas.planes, strict=True)):
        levels = colour_levels(is_full=is_full) if index else luma_levels(is_full=is_full)
        height, width = canvas.shapes[index]
        target = plane[:height, :width]
        if source.shape == target.shape:
            _level_table(levels).take(source, out=target)
        else:
            target[:] = _shrunk(source, (height, width), levels)
        plane[:height, width:] = plane[:height, width - 1 : width]
        plane[height:] = plane[height - 1]


def to_bt601(canvas: Canvas, *, matrix: tuple[float, float]) -> None:
    """Turn a picture on `canvas` from another matrix into that of a JPEG.

    Colour of a pixel is that of the quarter it lies in, as where it is shown.

    Args:
        canvas: In full range, margins filled.
        matrix: Shares of red and blue in luma, of the picture as it is.
    """
    luma, blue, red = canvas.planes
    shares = bt601_shares(matrix)
    b, r = blue.astype(np.int32) - _NEUTRAL, red.astype(np.int32) - _NEUTRAL
    add, new_blue, new_red = (
        (x * b + y * r + _UNIT // 2) >> 14 for x, y in (shares[:2], shares[2:4], shares[4:])
    )
    blue[:] = (new_blue + _NEUTRAL).clip(0, 255)
    red[:] = (new_red + _NEUTRAL).clip(0, 255)
    luma[:] = (luma + add.repeat(2, axis=0).repeat(2, axis=1)).clip(0, 255)


@lru_cache(maxsize=8)
def bt601_shares(matrix: tuple[float, float]) -> NDArray[np.int32]:
    """Return what blue and red add to luma, and make of blue and of red; six in 1 / 16384.

    Args:
        matrix: Shares of red and blue in luma, before; see ITU-R BT.601 and BT.709.
    """
    red, blue = matrix
    # columns: what one step of luma, blue difference and red difference is in R, G and B
    to_rgb = np.array(
        [
            [1, 0, 2 - 2 * red],
            [1, -blue * (2 - 2 * blue) / (1 - red - blue), -red * (2 - 2 * red) / (1 - red - blue)],
            [1, 2 - 2 * blue, 0],
        ]
    )
    red, blue = _BT601
    luma = np.array([red, 1 - red - blue, blue])
    from_rgb = np.array(
        [luma, (np.eye(3)[2] - luma) / (2 - 2 * blue), (np.eye(3)[0] - luma) / (2 - 2 * red)]
    )
    return np.rint((from_rgb @ to_rgb)[:, 1:] * _UNIT).astype(np.int32).reshape(-1)


@lru_cache(maxsize=8)
def _level_table(levels: Levels) -> Plane:
    """Return what becomes of each of the 256 levels."""
    values = (np.arange(256) - levels.black) * levels.gain + _UNIT // 2
    table: Plane = ((values >> 14) + levels.neutral).clip(0, 255).astype(np.uint8)
    return table


def _shrunk(source: Plane, shape: tuple[int, int], levels: Levels) -> NDArray[np.int32]:
    """Return the means of `source` over areas, (H, W) of `shape`, with their new levels."""
    down = row_taps(source.shape[0], shape[0])
    across = area_taps(source.shape[1], shape[1], levels.gain)
    lines = _means(source.astype(np.int32) - _NEUTRAL, down)
    means = _means(np.ascontiguousarray(lines.T), across).T
    return ((means + across_offset(levels)) >> MEAN_BITS).clip(0, 255)


def _means(rows: NDArray[np.int32], taps: Taps) -> NDArray[np.int32]:
    """Return sums of rows of 16 bits, each row with its share."""
    shares = taps.shares.astype(np.int32)
    sums = np.zeros((len(taps.first), rows.shape[1]), np.int32)
    products = np.empty_like(sums)
    # one step per tap, not per pixel: there are few of them
    for tap in range(shares.shape[1]):
        np.multiply(rows.take(taps.first + tap, axis=0), shares[:, tap, None], out=products)
        sums += products
    return sums

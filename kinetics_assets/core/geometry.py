"""Sizes of pictures: which way up, how wide, and what they become.

Two rounding rules live side by side because two tools set them: frames follow denseflow (short side
exact, other side rounded half up, odd allowed), videos follow ffmpeg's ``scale=-2`` (both sides
even). All functions are pure and count in pixels.

Policy for sample aspect ratios other than 1: the picture is squared by scaling its *width*, so the
number of lines never changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHORT = re.compile(r"([1-9][0-9]{0,4})", re.ASCII)
_FIXED = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", re.ASCII)
_HALF = Fraction(1, 2)
SQUARE = Fraction(1)
"""Sample aspect ratio of square pixels."""


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height of a picture."""

    width_px: int
    height_px: int

    @property
    def short_px(self) -> int:
        """Length of the shorter side."""
        return min(self.width_px, self.height_px)

    @property
    def long_px(self) -> int:
        """Length of the longer side."""
        return max(self.width_px, self.height_px)

    @property
    def transposed(self) -> Size:
        """The same size with its sides exchanged."""
        return Size(self.height_px, self.width_px)

    def __str__(self) -> str:
        """Return the size as people write it, ``340x256``."""
        return f"{self.width_px}x{self.height_px}"


@dataclass(frozen=True, slots=True)
class Orientation:
    """How stored pixels become upright: transpose first, then the two flips."""

    transpose: bool = False
    """Exchange rows and columns."""
    flip_horizontal: bool = False
    """Mirror left and right, after the transposition."""
    flip_vertical: bool = False
    """Mirror top and bottom, after the transposition."""

    @property
    def is_upright(self) -> bool:
        """Whether there is nothing to do."""
        return self == UPRIGHT

    def apply(self, stored: Size) -> Size:
        """Return the size of the upright picture whose stored size is `stored`."""
        return stored.transposed if self.transpose else stored

    def undo(self, upright: Size) -> Size:
        """Return the stored size of the picture whose upright size is `upright`."""
        return upright.transposed if self.transpose else upright


UPRIGHT = Orientation()
"""The orientation of a picture that needs no turning."""


def orientation_of(matrix: Sequence[int]) -> Orientation:
    """Return the orientation nearest to a display matrix.

    Args:
        matrix: Nine numbers, row by row, as containers store them: a stored point (x, y) is shown
            at (x * m[0] + y * m[3], x * m[1] + y * m[4]). All zeros means no turning; angles
            between the quarters are taken to the nearer one.
    """
    xx, xy, yx, yy = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(xy) + abs(yx) > abs(xx) + abs(yy):
        return Orientation(transpose=True, flip_horizontal=yx < 0, flip_vertical=xy < 0)
    return Orientation(flip_horizontal=xx < 0, flip_vertical=yy < 0)


def squared(stored: Size, sample_aspect: Fraction) -> Size:
    """Return the size of `stored` with square pixels: the width scaled by `sample_aspect`."""
    return Size(max(1, _round(stored.width_px * sample_aspect)), stored.height_px)


def short_side(size: Size, short_px: int, *, upscale: bool) -> Size:
    """Return `size` scaled to a short side of `short_px`, by denseflow's rule.

    The other side is rounded half up and may be odd. A picture whose short side is not longer than
    `short_px` stays as it is unless `upscale`.
    """
    if size.short_px == short_px or (size.short_px < short_px and not upscale):
        return size
    long_px = max(1, _round(Fraction(size.long_px * short_px, size.short_px)))
    return _with_sides(size, short_px=short_px, long_px=long_px)


def even_short_side(size: Size, short_px: int, *, upscale: bool) -> Size:
    """Return `size` scaled to a short side of `short_px` with even sides, by ffmpeg's ``-2`` rule.

    The other side is the nearest multiple of two. A picture that is not scaled loses the last
    column or row of an odd side, so that it never grows.
    """
    if size.short_px < short_px and not upscale:
        return even(size)
    short_px = max(2, short_px - short_px % 2)
    long_px = max(2, 2 * _round(Fraction(size.long_px * short_px, 2 * size.short_px)))
    return _with_sides(size, short_px=short_px, long_px=long_px)


def even(size: Size) -> Size:
    """Return `size` with odd sides made one shorter, at least 2x2."""
    return Size(
        max(2, size.width_px - size.width_px % 2), max(2, size.height_px - size.height_px % 2)
    )


def parse_size(text: str) -> int | Size | None:
    """Return what a size setting asks for: a short side, a fixed size, or None for the original.

    Raises:
        SettingsError: `text` is none of "256", "340x256" and "original".
    """
    if text == "original":
        return None
    if match := _FIXED.fullmatch(text):
        return Size(int(match[1]), int(match[2]))
    if match := _SHORT.fullmatch(text):
        return int(match[1])
    raise SettingsError(
        f"{text[:40]!r} is no frame size.",
        remedy='Use a short side ("256"), a fixed size ("340x256") or "original".',
    )


def is_size(text: str) -> bool:
    """Return whether `parse_size` can read `text`."""
    return text == "original" or bool(_FIXED.fullmatch(text) or _SHORT.fullmatch(text))


def frame_size(upright: Size, wanted: int | Size | None, *, upscale: bool) -> Size:
    """Return the size of frames and flow made from an upright, squared picture.

    Args:
        upright: Size of the picture, turned upright and with square pixels.
        wanted: As `parse_size` returns it. A fixed size is always met exactly, also by enlarging:
            whoever asks for it wants all frames alike.
        upscale: Whether a short side longer than the picture's may enlarge it.
    """
    if wanted is None:
        return upright
    if isinstance(wanted, Size):
        return wanted
    return short_side(upright, wanted, upscale=upscale)


def _with_sides(like: Size, *, short_px: int, long_px: int) -> Size:
    """Return a size with the two sides given, the shorter one where `like` has it."""
    if like.width_px > like.height_px:
        return Size(long_px, short_px)
    return Size(short_px, long_px)


def _round(value: Fraction) -> int:
    """Return `value`, not negative, rounded half up as C's round() and av_rescale() do."""
    return int(value + _HALF)

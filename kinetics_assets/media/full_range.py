"""From limited range, black at 16, to the full range that a JPEG means, in plain numpy.

For pictures that keep their size: libswscale stretches on the way where it scales, and where there
is nothing to scale it takes twice as long as this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kinetics_assets.core.geometry import Size

    Plane = NDArray[np.uint8]

_BLACK: Final = np.uint8(16)
_SHIFT: Final = np.uint16(8)


class _Scale(NamedTuple):
    """How one kind of plane is stretched; numbers below are in 1 / 256."""

    end: np.uint8
    """Level that becomes 255."""
    gain: np.uint16
    half: int
    """What is added so that dropping the fraction rounds."""

    @property
    def offset(self) -> np.uint16:
        """What is added to level times gain, modulo 65536."""
        return np.uint16((self.half - 16 * int(self.gain)) % 65536)


_LUMA: Final = _Scale(np.uint8(235), np.uint16(298), 128)
_COLOUR: Final = _Scale(np.uint8(240), np.uint16(291), 256)  # 128, no colour, stays 128


class FullRange:
    """Stretches the planes of pictures of one size, in the same memory."""

    def __init__(self, size: Size) -> None:
        """Prepare for 4:2:0 pictures of `size`."""
        shape = (size.height_px, size.width_px)
        half = ((shape[0] + 1) // 2, (shape[1] + 1) // 2)
        self._luma, self._wide_luma = np.empty(shape, np.uint8), np.empty(shape, np.uint16)
        self._blue, self._red = np.empty((2, *half), np.uint8)
        self._wide = np.empty(half, np.uint16)

    def stretch(self, planes: Sequence[Plane]) -> tuple[Plane, Plane, Plane]:
        """Return limited luma, blue and red in full range, within a level; good until next time."""
        luma, blue, red = planes
        _stretch(luma, self._luma, wide=self._wide_luma, scale=_LUMA)
        _stretch(blue, self._blue, wide=self._wide, scale=_COLOUR)
        _stretch(red, self._red, wide=self._wide, scale=_COLOUR)
        return self._luma, self._blue, self._red


def _stretch(plane: Plane, out: Plane, *, wide: NDArray[np.uint16], scale: _Scale) -> None:
    """Fill `out` with the stretched `plane`, by way of `wide`.

    Sums wrap around at 65536, which the result, below that, does not notice.
    """
    plane.clip(_BLACK, scale.end, out=out)
    np.multiply(out, scale.gain, out=wide)
    wide += scale.offset
    wide >>= _SHIFT
    np.copyto(out, wide, casting="unsafe")

"""From limited range, black at 16, to the full range that a JPEG means, in plain numpy.

For pictures that keep their size: libswscale stretches on the way where it scales, and where there
is nothing to scale it takes twice as long as this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kinetics_assets.core.geometry import Size

    Plane = NDArray[np.uint8]

_BLACK: Final = np.uint8(16)
_LUMA_END, _COLOUR_END = np.uint8(235), np.uint8(239)
"""Levels that become 255."""
_LUMA_GAIN, _COLOUR_GAIN = np.uint16(149), np.uint16(146)
"""255 / 219 and 255 / 224, in 1 / 128."""
_SHIFT: Final = np.uint16(7)
_OFFSET: Final = np.uint8(18)
"""What black is after that. Of luma it is 18.6, so that dropping fractions rounds."""
_HALF: Final = np.uint16(64)
"""What has to be added to colour for that; no colour, 128, stays 128."""


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
        _widen(luma, self._luma, self._wide_luma, end=_LUMA_END, gain=_LUMA_GAIN)
        _settle(self._wide_luma, self._luma)
        for plane, out in ((blue, self._blue), (red, self._red)):
            _widen(plane, out, self._wide, end=_COLOUR_END, gain=_COLOUR_GAIN)
            self._wide += _HALF
            _settle(self._wide, out)
        return self._luma, self._blue, self._red


def _widen(
    plane: Plane, out: Plane, wide: NDArray[np.uint16], *, end: np.uint8, gain: np.uint16
) -> None:
    """Fill `wide` with the levels of `plane` times `gain`, by way of `out`."""
    plane.clip(_BLACK, end, out=out)
    np.copyto(wide, out)
    wide *= gain


def _settle(wide: NDArray[np.uint16], out: Plane) -> None:
    """Fill `out` with the levels that `wide` has in 1 / 128."""
    wide >>= _SHIFT
    np.copyto(out, wide, casting="unsafe")
    out -= _OFFSET

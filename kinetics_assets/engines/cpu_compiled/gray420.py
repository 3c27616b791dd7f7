"""Grey frames straight from the planes of 4:2:0 frames, by compiled code.

The bytes are those that libswscale's conversion to BGR and then `engines/gray.py` give, at a
fraction of the cost; who takes a library must have compared (`media/gray_library.py`).
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from kinetics_assets.engines.linear import linear_taps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kinetics_assets.engines.linear import Taps

SOURCE: Final = Path(__file__).with_name("gray420.cpp")
HEADERS: Final = (SOURCE.with_name("vectors.h"),)
_GROUP: Final = 4
"""Target pixels that are made of the same bytes of a row."""
_READ: Final = 16
"""Bytes that are read for them."""
_BLOCK: Final = 32
"""Target pixels that are made at once."""
_NOTHING: Final = 128
"""The place of a byte that is 0, not read."""
_UNIT: Final = 1 << 16
"""Fixed-point 1.0 of factors, before they are put for eighths of a level."""
_BLACK: Final = 16
_SHORT, _INT, _PITCH, _START = ctypes.c_int16, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p


class Factors(ctypes.Structure):
    """How planes become colours, as `gray420.cpp` takes it."""

    _fields_ = (
        ("black", _SHORT),
        ("luma", _SHORT),
        ("red_of_red", _SHORT),
        ("blue_of_blue", _SHORT),
        ("green_of_blue", _SHORT),
        ("green_of_red", _SHORT),
    )


class _Frame(ctypes.Structure):
    _fields_ = (
        ("luma", _START),
        ("luma_pitch", _PITCH),
        ("blue", _START),
        ("blue_pitch", _PITCH),
        ("red", _START),
        ("red_pitch", _PITCH),
        ("width", _INT),
    )


class _Stretch(ctypes.Structure):
    _fields_ = (("first", _START), ("bytes", _START), ("shares", _START), ("pixels", _INT))


class CompiledGray420:
    """A library that makes grey frames of planes. It runs without the interpreter lock."""

    def __init__(self, library: Path) -> None:
        """Load the library.

        Raises:
            OSError: It cannot be loaded, or cannot do this.
        """
        functions = ctypes.CDLL(str(library))
        try:
            self.luma = functions.kinetics_luma_420
            self.gray = functions.kinetics_gray_420
        except AttributeError as error:
            raise OSError(f"{library} makes no grey frames of planes") from error
        self.luma.argtypes = [_START, _START, _INT, _START]
        self.gray.argtypes = [_START, _START, _START, _INT, _INT, *[_START] * 3]
        self.gray.argtypes += [_PITCH, _START, _PITCH]
        self.luma.restype = self.gray.restype = None


@lru_cache(maxsize=16)
def factors(shares: tuple[float, float], *, is_full: bool) -> Factors:
    """Return how planes become colours, in libswscale's fixed point.

    Args:
        shares: Of red and blue in luma, which are what a matrix is (ITU-T H.273, section 8.3).
        is_full: Whether the planes have full range.
    """
    red, blue = shares
    green = 1 - red - blue
    of_red, of_blue = 2 * (1 - red), 2 * (1 - blue)
    return Factors(
        black=0 if is_full else 8 * _BLACK,
        luma=_eighths(_UNIT if is_full else _UNIT * 255 // 219),
        red_of_red=_eighths(_of_colour(of_red, is_full=is_full)),
        blue_of_blue=_eighths(_of_colour(of_blue, is_full=is_full)),
        green_of_blue=_eighths(-_of_colour(of_blue * blue / green, is_full=is_full)),
        green_of_red=_eighths(-_of_colour(of_red * red / green, is_full=is_full)),
    )


def is_served(shape: tuple[int, int], width_px: int, height_px: int) -> bool:
    """Return whether frames of `shape` (H, W) can be made `height_px` x `width_px` here.

    Libswscale treats colour of an odd height in another way.
    """
    return min(width_px, height_px, *shape) > 0 and shape[0] % 2 == 0


class Gray420Maker:
    """Makes grey frames of one size from planes, in the same memory."""

    def __init__(
        self, shape: tuple[int, int], width_px: int, height_px: int, *, code: CompiledGray420
    ) -> None:
        """Prepare for frames of `shape` (H, W) that become `height_px` x `width_px`.

        Raises:
            ValueError: They are not served.
        """
        if not is_served(shape, width_px, height_px):
            raise ValueError(f"Cannot make {width_px}x{height_px} of {shape}.")
        self._code, self._height = code, shape[0]
        self._gray = np.empty((height_px, width_px), np.uint8)
        self._frame = _Frame(width=shape[1])
        self._behind: tuple[object, ...] | None = None
        if shape != (height_px, width_px):
            taps = linear_taps(shape, width_px, height_px)
            first, chosen, shares = _stretched(taps)
            stretch = _Stretch(
                first.ctypes.data,
                None if chosen is None else chosen.ctypes.data,
                shares.ctypes.data,
                len(shares),
            )
            lines = np.zeros((2, shape[1] + _READ), np.uint8)
            rows = np.zeros((2, width_px + _BLOCK), np.int16)
            self._kept = (taps, first, chosen, shares, stretch, lines, rows)
            self._behind = (
                *(self._gray.ctypes.data, height_px, width_px, ctypes.addressof(stretch)),
                *(taps.down.ctypes.data, lines.ctypes.data, lines.strides[0]),
                *(rows.ctypes.data, rows.strides[0] // rows.itemsize),
            )

    def make(self, planes: Sequence[tuple[int, int]], by: Factors) -> NDArray[np.uint8]:
        """Return a frame in grey, at the other size; good until the next call.

        Args:
            planes: Of luma, blue and red: the address of the first row, which must live as long as
                the call, and the distance of rows in bytes.
            by: What their levels mean.
        """
        frame = self._frame
        (frame.luma, frame.luma_pitch), (frame.blue, frame.blue_pitch) = planes[0], planes[1]
        frame.red, frame.red_pitch = planes[2]
        begin = ctypes.addressof(frame), ctypes.addressof(by)
        if self._behind is None:
            self._code.luma(*begin, self._height, self._gray.ctypes.data)
        else:
            self._code.gray(*begin, *self._behind)
        return self._gray


def _of_colour(factor: float, *, is_full: bool) -> int:
    """Return a factor of colour, which libswscale rounds for limited range, then cuts for full."""
    limited = round(_UNIT * factor * 255 / 224)
    return limited * 224 // 255 if is_full else limited


def _eighths(factor: int) -> int:
    """Return a factor for eighths of a level, rounded half up."""
    return (factor + 4) // 8


def _stretched(
    taps: Taps,
) -> tuple[NDArray[np.int32], NDArray[np.uint8] | None, NDArray[np.int16]]:
    """Return where a row is read, which bytes are taken there, and the shares of these.

    Shapes (groups,), (groups, 16) and (pixels, 2), or (pixels,), None and (pixels, 2) where a group
    reaches further than it reads. Pixels are added up to a block.
    """
    width = taps.across.shape[1]
    pixels = -(-width // _BLOCK) * _BLOCK
    left = np.empty(pixels, np.int32)
    left[:width] = taps.across[0]
    left[width:] = left[width - 1]  # do not count, and reach no further
    shares = np.zeros((pixels, 2), np.int16)
    shares[:width] = taps.across[2:].T
    first = np.ascontiguousarray(left[::_GROUP])
    place = left.reshape(-1, _GROUP) - first[:, None]
    if place.max() + 1 >= _READ:
        return left, None, shares
    chosen = np.full((len(first), _GROUP, 4), _NOTHING, np.uint8)
    chosen[:, :, 0], chosen[:, :, 2] = place, place + 1
    return first, chosen.reshape(-1, _READ), shares

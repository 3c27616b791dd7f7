"""Pictures by compiled code, where a C++ compiler and AVX2 are: the bytes of numpy and simplejpeg.

`planes.cpp` does what `engines/planes.py` does, `jpeg_blocks.cpp` and `jpeg.cpp` what libjpeg-turbo
does in its fast integer way, which is its way below quality 96.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kinetics_assets.engines import planes as in_numpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinetics_assets.engines.jpeg_tables import ScanTables
    from kinetics_assets.engines.planes import Canvas, Levels, Taps

    Plane = NDArray[np.uint8]
    Rows = tuple[int, int]
    """Address of the first row of a plane, and the distance of its rows in bytes."""

SOURCES: Final = tuple(
    Path(__file__).with_name(name)
    for name in (
        *("vectors.h", "picture.h", "jpeg_blocks.h"),
        *("planes.cpp", "jpeg_blocks.cpp", "jpeg.cpp", "picture.cpp"),
    )
)
NEEDED: Final = ("__AVX2__", "__BMI__", "__BMI2__", "__LZCNT__")
"""Macros of what the CPU must have."""
BEST_QUALITY: Final = 95
"""Above it libjpeg-turbo transforms in another way."""
_EIGHT: Final = 8
"""Pixels that are made at once."""
_FEW: Final = 4
_MARGIN: Final = 32
"""Bytes behind the end that are written, and do not count."""
_GROUP: Final = 16
_LARGEST_GROUP: Final = 6 * 64 * 4
"""Bytes of a group of 16 x 16 pixels at most: no coefficient takes more than 26 bits."""
_LIKELY: Final = 2
"""Bytes of a pixel that no picture but noise of the best quality takes."""
_INT, _LONG, _START = ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p


class _Plane(ctypes.Structure):
    """As in picture.cpp."""

    _fields_ = (
        ("target", _START),
        ("target_pitch", _LONG),
        *((name, _START) for name in ("down_first", "down_shares", "across_first")),
        *((name, _START) for name in ("across_shares", "across_picks", "line")),
        *((name, _INT) for name in ("down_taps", "across_taps", "source_width", "height", "width")),
        *((name, _INT) for name in ("full_height", "black", "gain", "neutral", "across_offset")),
    )


class _Picture(ctypes.Structure):
    """As in picture.cpp."""

    _fields_ = (
        ("planes", _Plane * 3),
        *((name, _START) for name in ("matrix_shares", "matrix_line", "steps", "codes")),
        *((name, _START) for name in ("entries", "scratch", "out")),
        ("room", _LONG),
    )


class CompiledFrames:
    """A library that draws pictures and encodes them. It runs without the interpreter lock."""

    def __init__(self, library: Path) -> None:
        """Load the library.

        Raises:
            OSError: It cannot be loaded.
        """
        rows: list[Any] = [_START, _LONG] * 3
        self.picture = ctypes.CDLL(str(library)).kinetics_picture
        self.picture.argtypes = [ctypes.POINTER(_Picture), *rows]
        self.picture.restype = _LONG


class ScanRoom:
    """Memory that a scan is written to, and its tables."""

    def __init__(self, canvas: Canvas, tables: ScanTables) -> None:
        """Make room for pictures on `canvas` with `tables` of their size."""
        luma = canvas.planes[0]
        row = luma.shape[1] // _GROUP * _LARGEST_GROUP
        header = np.frombuffer(tables.header, np.uint8)
        self.tables, self.header = tables, len(header)
        self.scratch = np.empty(row + _MARGIN, np.uint8)
        # a row of groups is begun where there is room for the largest; bytes double at worst
        self.out = np.empty(len(header) + _LIKELY * luma.size + 2 * row + _MARGIN, np.uint8)
        self.out[: len(header)] = header
        self.bytes = len(self.out) - len(header) - 2 * row - _MARGIN


class Drawing:
    """Draws frames of one size on a canvas and encodes them.

    It is the compiled `planes.fill` and `planes.to_bt601`, and gives the bytes of libjpeg-turbo.
    """

    def __init__(
        self,
        canvas: Canvas,
        shape: tuple[int, int],
        code: CompiledFrames,
        *,
        is_full: bool,
        matrix: tuple[float, float] | None,
        room: ScanRoom | None,
    ) -> None:
        """Prepare for 4:2:0 frames whose luma has this `shape`, (H, W), on `canvas`.

        Args:
            canvas: Its planes must live as long.
            shape: Not smaller than the canvas.
            code: Does it.
            is_full: Whether they have full range.
            matrix: Shares of red and blue in luma, where the matrix is not that of a JPEG.
            room: Where pictures are written; None draws only.
        """
        self._code, self._room = code.picture, room
        picture = _Picture()
        self._kept: list[object] = [canvas, code]
        for index, (plane, wanted) in enumerate(zip(canvas.planes, canvas.shapes, strict=True)):
            given = half(shape) if index else shape
            levels = (in_numpy.colour_levels if index else in_numpy.luma_levels)(is_full=is_full)
            picture.planes[index] = self._plane(given, plane, wanted, levels)
        if matrix is not None:
            picture.matrix_shares = self._address(in_numpy.bt601_shares(matrix))
            picture.matrix_line = self._address(np.empty(canvas.planes[1].shape[1], np.int16))
        if room is not None:
            tables = room.tables
            picture.steps, picture.codes = self._address(tables.steps), self._address(tables.codes)
            picture.entries = self._address(tables.entries)
            picture.scratch = self._address(room.scratch)
            picture.out, picture.room = self._address(room.out) + room.header, room.bytes
        self._picture = ctypes.pointer(picture)

    def draw(self, luma: Rows, blue: Rows, red: Rows) -> bytes | None:
        """Draw a frame; return its picture, None if it must be encoded in another way.

        It is too large for the room, or needs codes that a JPEG does not have, or there is no room.
        """
        size = self._code(self._picture, *luma, *blue, *red)
        if self._room is None or size < 0:
            return None
        return self._room.out[: self._room.header + size].tobytes()

    def _plane(
        self, given: tuple[int, int], plane: Plane, wanted: tuple[int, int], levels: Levels
    ) -> _Plane:
        height, width = wanted
        made = _Plane(
            target=plane.ctypes.data,
            target_pitch=plane.shape[1],
            source_width=given[1],
            height=height,
            width=width,
            full_height=plane.shape[0],
            black=levels.black,
            gain=levels.gain,
            neutral=levels.neutral,
        )
        if given != wanted:
            down = in_numpy.row_taps(given[0], height)
            across = _up_to_eights(in_numpy.area_taps(given[1], width, levels.gain))
            made.down_first = self._address(down.first)
            # one share may be 256, which no byte holds, and is not read
            made.down_shares = self._address(down.shares.astype(np.uint8))
            made.across_offset = in_numpy.across_offset(levels)
            made.across_first = self._address(across.first)
            made.across_shares = self._address(across.shares)
            if across.shares.shape[1] == _FEW:
                made.across_picks = self._address(_picks(across.first))
            made.down_taps, made.across_taps = down.shares.shape[1], across.shares.shape[1]
            made.line = self._address(np.empty(given[1] + made.across_taps + _EIGHT, np.int16))
        return made

    def _address(self, array: NDArray[Any]) -> int:
        """Return where `array` lies, and keep it there."""
        self._kept.append(array)
        return int(array.ctypes.data)


def half(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the shape of colour in a 4:2:0 frame whose luma has this `shape`."""
    return -(-shape[0] // 2), -(-shape[1] // 2)


def _up_to_eights(taps: Taps) -> Taps:
    """Return `taps` with pixels and taps added, without shares, up to multiples of eight.

    Where no more than four taps are there, and pairs of pixels lie within eight, four suffice.
    """
    pixels, count = (-(-side // _EIGHT) * _EIGHT for side in taps.shares.shape)
    if taps.shares.shape[1] <= _FEW and np.diff(taps.first, prepend=0).max() <= _FEW:
        count = _FEW
    first, shares = np.zeros(pixels, np.int32), np.zeros((pixels, count), np.int16)
    first[: len(taps.first)] = taps.first
    shares[: taps.shares.shape[0], : taps.shares.shape[1]] = taps.shares
    return in_numpy.Taps(first, shares)


def _picks(first: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return which bytes of the eight words that begin at the first tap of a pair are its taps.

    Returns:
        (pixels, 8): of four taps of two bytes each.
    """
    behind = first - first.reshape(-1, 2)[:, 0].repeat(2)
    # what lies outside has no share, and is any word
    return (2 * behind[:, None].clip(0, _FEW) + np.arange(_EIGHT)).astype(np.uint8)

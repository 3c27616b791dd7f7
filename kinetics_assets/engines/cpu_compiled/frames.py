"""Pictures by compiled code, where a C++ compiler and AVX2 are: the bytes of numpy and simplejpeg.

`planes.cpp` does what `engines/planes.py` does, `jpeg.cpp` what libjpeg-turbo does in its fast
integer way, which is its way below quality 96.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kinetics_assets.engines import planes as in_numpy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kinetics_assets.engines.jpeg_tables import ScanTables
    from kinetics_assets.engines.planes import Canvas, Taps

    Plane = NDArray[np.uint8]

SOURCES: Final = tuple(Path(__file__).with_name(name) for name in ("planes.cpp", "jpeg.cpp"))
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
_INT, _PITCH, _START = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p


class CompiledFrames:
    """A library that draws pictures and encodes them. It runs without the interpreter lock."""

    def __init__(self, library: Path) -> None:
        """Load the library.

        Raises:
            OSError: It cannot be loaded.
        """
        functions = ctypes.CDLL(str(library))
        self.plane = functions.kinetics_plane
        self.plane.argtypes = [_START, _PITCH, _INT, _START, _PITCH, *[_INT] * 6]
        self.plane.argtypes += [_START, _START, _INT, _START, _START, _INT, _START]
        self.matrix = functions.kinetics_matrix
        self.matrix.argtypes = [_START, _START, _START, _PITCH, _INT, _START, _START]
        self.plane.restype = self.matrix.restype = None
        self.scan = functions.kinetics_scan
        self.scan.argtypes = [
            _START,
            _START,
            _START,
            _PITCH,
            _INT,
            _INT,
            *[_START] * 5,
            ctypes.c_int64,
        ]
        self.scan.restype = ctypes.c_int64


class Drawing:
    """Draws frames of one size on a canvas: the compiled `planes.fill` and `planes.to_bt601`."""

    def __init__(self, canvas: Canvas, shapes: Sequence[tuple[int, int]], code: Any) -> None:  # noqa: ANN401 - ctypes
        """Prepare for frames whose planes have these `shapes`, (H, W), on `canvas`.

        Args:
            canvas: Its planes must live as long.
            shapes: Of luma, blue and red.
            code: A `CompiledFrames`.
        """
        self._code, self._canvas = code, canvas
        self._matrix_line = np.empty(canvas.planes[1].shape[1], np.int16)
        self._planes = [
            _PlaneCall(shape, plane, wanted)
            for shape, plane, wanted in zip(shapes, canvas.planes, canvas.shapes, strict=True)
        ]

    def fill(self, sources: Sequence[tuple[int, int]], *, is_full: bool) -> None:
        """Draw the planes that begin at these addresses, with these distances of rows in bytes."""
        for index, ((address, pitch), call) in enumerate(zip(sources, self._planes, strict=True)):
            levels = (in_numpy.colour_levels if index else in_numpy.luma_levels)(is_full=is_full)
            self._code.plane(address, pitch, *call.before, *levels, *call.behind)

    def to_bt601(self, matrix: tuple[float, float]) -> None:
        """Turn the picture on the canvas from another matrix into that of a JPEG."""
        luma, blue, red = (plane.ctypes.data for plane in self._canvas.planes)
        height, pitch = self._canvas.planes[1].shape
        shares = in_numpy.bt601_shares(matrix)
        line = self._matrix_line.ctypes.data
        self._code.matrix(luma, blue, red, pitch, height, shares.ctypes.data, line)


class ScanWriter:
    """Encodes what is on a canvas: the bytes that libjpeg-turbo gives."""

    def __init__(self, canvas: Canvas, tables: ScanTables, code: Any) -> None:  # noqa: ANN401 - ctypes
        """Prepare for pictures on `canvas` with `tables` of their size, with a `CompiledFrames`."""
        self._code, self._kept = code, (canvas, tables)
        luma, blue, red = canvas.planes
        row = luma.shape[1] // _GROUP * _LARGEST_GROUP
        header = np.frombuffer(tables.header, np.uint8)
        self._scratch = np.empty(row + _MARGIN, np.uint8)
        # a row of groups is begun where there is room for the largest; bytes double at worst
        self._out = np.empty(len(header) + _LIKELY * luma.size + 2 * row + _MARGIN, np.uint8)
        self._out[: len(header)] = header
        self._header = len(header)
        self._arguments = (
            *(plane.ctypes.data for plane in (luma, blue, red)),
            blue.shape[1],
            canvas.size.height_px,
            canvas.size.width_px,
            *(table.ctypes.data for table in (tables.steps, tables.codes, tables.small)),
            self._scratch.ctypes.data,
            self._out.ctypes.data + self._header,
            len(self._out) - self._header - 2 * row - _MARGIN,
        )

    def encode(self) -> bytes | None:
        """Return the picture; None if it is too large, or needs codes that JPEG does not have."""
        size = self._code.scan(*self._arguments)
        return None if size < 0 else self._out[: self._header + size].tobytes()


class _PlaneCall:
    """Arguments of the compiled function for one plane, and the memory behind them."""

    def __init__(self, shape: tuple[int, int], plane: Plane, wanted: tuple[int, int]) -> None:
        height, width = wanted
        self.before = (shape[1], plane.ctypes.data, plane.shape[1], height, width, plane.shape[0])
        if shape == wanted:
            self.behind: tuple[int | None, ...] = (None, None, 0, None, None, 0, None)
            return
        down = in_numpy.area_taps(shape[0], height)
        across = _up_to_eights(in_numpy.area_taps(shape[1], width))
        line = np.empty(shape[1] + across.shares.shape[1] + _EIGHT, np.int16)
        self._kept = (down, across, line)
        self.behind = (*_of_taps(down), *_of_taps(across), line.ctypes.data)


def _of_taps(taps: Taps) -> tuple[int, int, int]:
    return taps.first.ctypes.data, taps.shares.ctypes.data, taps.shares.shape[1]


def _up_to_eights(taps: Taps) -> Taps:
    """Return `taps` with pixels and taps added, without shares, up to multiples of eight.

    Where no more than four taps are there, four suffice.
    """
    pixels, count = (-(-side // _EIGHT) * _EIGHT for side in taps.shares.shape)
    count = _FEW if taps.shares.shape[1] <= _FEW else count
    first, shares = np.zeros(pixels, np.int32), np.zeros((pixels, count), np.int16)
    first[: len(taps.first)] = taps.first
    shares[: taps.shares.shape[0], : taps.shares.shape[1]] = taps.shares
    return in_numpy.Taps(first, shares)

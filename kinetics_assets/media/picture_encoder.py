"""JPEG pictures from the planes of decoded frames: drawn in their size, range and matrix, encoded.

Compiled code does it where there is any, numpy and simplejpeg where not; the bytes are the same.
"""

from __future__ import annotations

import os
import threading
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.core.geometry import Size
from kinetics_assets.engines import planes as in_numpy
from kinetics_assets.engines.cpu_compiled.frames import (
    BEST_QUALITY,
    NEEDED,
    SOURCES,
    CompiledFrames,
    Drawing,
    ScanRoom,
    half,
)
from kinetics_assets.engines.jpeg_tables import ScanTables, scan_tables
from kinetics_assets.engines.planes import Canvas
from kinetics_assets.media.jpeg import encode_planes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kinetics_assets.engines.cpu_compiled.frames import Rows

    Plane = NDArray[np.uint8]

_SMALLEST_PX: Final = 16
"""Of the sides that compiled code serves."""
_ONE_AT_A_TIME: Final = threading.Lock()


class PictureEncoder:
    """Makes pictures of one size and quality.

    Attributes:
        is_compiled: Whether `encode_rows` can be called.
    """

    def __init__(self, size: Size, *, quality: int, library: Path | None = None) -> None:
        """Prepare; `library` is a file of `frames_library`."""
        self._canvas, self._quality = Canvas(size), quality
        self._code = _loaded(library)
        self.is_compiled = self._code is not None
        self._drawing: Drawing | None = None
        self._drawn: object = None
        self._room: ScanRoom | None = None
        if self._code is not None and quality <= BEST_QUALITY and size.short_px >= _SMALLEST_PX:
            self._room = ScanRoom(self._canvas, _tables(size, quality))

    def encode(
        self,
        sources: Sequence[Plane],
        *,
        is_full: bool,
        matrix: tuple[float, float] | None = None,
    ) -> bytes:
        """Return the JPEG of a 4:2:0 frame.

        Args:
            sources: Luma, blue and red, (H, W) each, rows maybe apart; none smaller than wanted.
            is_full: Whether they have full range.
            matrix: Shares of red and blue in luma, where the matrix is not that of a JPEG.

        Raises:
            ValueError: Planes are not what compiled code can read.
        """
        if self.is_compiled:
            shape = (sources[0].shape[0], sources[0].shape[1])
            if any(plane.shape != half(shape) for plane in sources[1:]):
                raise ValueError(f"No 4:2:0 frame: {[plane.shape for plane in sources]}.")
            rows = [_rows_of(plane) for plane in sources]
            return self.encode_rows(rows, shape=shape, is_full=is_full, matrix=matrix)
        in_numpy.fill(self._canvas, sources, is_full=is_full)
        if matrix is not None:
            in_numpy.to_bt601(self._canvas, matrix=matrix)
        return self._encoded()

    def encode_rows(
        self,
        rows: Sequence[Rows],
        *,
        shape: tuple[int, int],
        is_full: bool,
        matrix: tuple[float, float] | None = None,
    ) -> bytes:
        """Return the JPEG of a 4:2:0 frame that lies somewhere in memory.

        Args:
            rows: Of luma, blue and red: address of the first row, distance of rows in bytes.
            shape: (H, W) of luma.
            is_full: As of `encode`.
            matrix: As of `encode`.

        Raises:
            ValueError: There is no compiled code.
        """
        wanted = (shape, is_full, matrix)
        if self._drawing is None or self._drawn != wanted:
            if self._code is None:
                raise ValueError("There is no compiled code.")
            self._drawing = Drawing(
                self._canvas, shape, self._code, is_full=is_full, matrix=matrix, room=self._room
            )
            self._drawn = wanted
        return self._drawing.draw(*rows) or self._encoded()

    def _encoded(self) -> bytes:
        """Return what is on the canvas, encoded by libjpeg-turbo."""
        return encode_planes(*self._canvas.views(), quality=self._quality)


def _rows_of(plane: Plane) -> Rows:
    """Return the address of the first row of `plane` and the distance of its rows, in bytes.

    Raises:
        ValueError: It is not what the code can read.
    """
    if plane.dtype != np.uint8 or plane.strides[1] != 1:
        raise ValueError(f"Cannot read {plane.dtype} {plane.shape} with strides {plane.strides}.")
    return plane.ctypes.data, plane.strides[0]


def frames_library() -> Path | None:
    """Return the file of the compiled code, made on the first call on a machine; None without.

    For who may start programs: a sandboxed child is told.
    """
    from kinetics_assets.engines.cpu_compiled import compiler

    if os.environ.get(compiler.SWITCH) == "numba":
        return None
    with _ONE_AT_A_TIME:
        return _library()


@cache
def _library() -> Path | None:
    # not at the top: a child, which is told the file, would load it all for nothing
    from importlib.metadata import version

    from kinetics_assets.engines.cpu_compiled import compiler

    try:
        return compiler.library_file(
            _makes_the_same_bytes,
            sources=SOURCES,
            compared_with=f"simplejpeg {version('simplejpeg')}",
            needs_macros=NEEDED,
        )[0]
    except (compiler.NotCompiled, ToolMissing, OSError):
        return None


@cache
def _loaded(library: Path | None) -> CompiledFrames | None:
    """Return the compiled code in a file, None where there is none that can be loaded."""
    try:
        return None if library is None else CompiledFrames(library)
    except OSError:
        return None


@lru_cache(maxsize=16)
def _tables(size: Size, quality: int) -> ScanTables:
    """Return the tables of pictures of this size and quality, read off an empty one."""
    return scan_tables(encode_planes(*Canvas(size).views(), quality=quality))


def _makes_the_same_bytes(library: Path, compiled_by: str) -> bool:
    """Return whether a new library gives what numpy and simplejpeg give, on noise.

    Raises:
        OSError: It cannot be loaded.
    """
    del compiled_by
    CompiledFrames(library)  # an encoder would do without it, and agree with itself
    noise = np.random.default_rng(1).integers(0, 256, (3, 75, 134), dtype=np.uint8)
    frame = (noise[0], noise[1, :38, :67], noise[2, :38, :67])
    for size in (Size(134, 75), Size(100, 48), Size(33, 17)):
        ways = [
            PictureEncoder(size, quality=BEST_QUALITY, library=file) for file in (None, library)
        ]
        for is_full in (True, False):
            one, other = (w.encode(frame, is_full=is_full, matrix=in_numpy.BT709) for w in ways)
            if one != other:
                return False
    return True

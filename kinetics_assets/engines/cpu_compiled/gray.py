"""Grey frames by compiled code, where a C++ compiler is: the bytes of `engines/gray.py`."""

from __future__ import annotations

import ctypes
import os
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.ctypeslib import ndpointer

from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.engines.cpu_compiled import compiler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinetics_assets.engines.linear import Taps

SOURCE: Final = Path(__file__).with_name("gray.cpp")
_MARGIN: Final = 4
"""Bytes behind a grey row that are read, and do not count."""
_ONE_AT_A_TIME: Final = threading.Lock()
_BYTES = ndpointer(np.uint8, flags="C_CONTIGUOUS")
_NUMBERS = ndpointer(np.int32, flags="C_CONTIGUOUS")
_INT, _PITCH, _START = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p


def gray_library() -> Path | None:
    """Return the file of the compiled code, made on the first call on a machine; None without.

    For who may start programs: a sandboxed child is told.
    """
    if os.environ.get(compiler.SWITCH) == "numba":
        return None
    with _ONE_AT_A_TIME:
        return _library()


def computes_what_numpy_does(library: Path, compiled_by: str) -> bool:
    """Return whether a new library gives the bytes that numpy gives, on noise."""
    from kinetics_assets.engines.gray import GrayMaker

    del compiled_by
    compiled = CompiledGray(library)
    noise = np.random.default_rng(1).integers(0, 256, (63, 97, 3), dtype=np.uint8)
    return all(
        np.array_equal(
            GrayMaker((63, 97), *size).make(noise),
            GrayMaker((63, 97), *size, compiled=compiled).make(noise),
        )
        for size in ((97, 63), (41, 20), (150, 100), (97, 1))
    )


class CompiledGray:
    """A library that makes grey frames. It runs without the interpreter lock."""

    def __init__(self, library: Path) -> None:
        """Load the library.

        Raises:
            OSError: It cannot be loaded.
        """
        functions = ctypes.CDLL(str(library))
        self._luma = functions.kinetics_luma
        self._luma.argtypes = [_START, _PITCH, _INT, _INT, _BYTES]
        self._gray = functions.kinetics_gray
        self._gray.argtypes = [_START, _PITCH, _INT, _BYTES, _INT, _INT]
        self._gray.argtypes += [_NUMBERS, _NUMBERS, _BYTES, _NUMBERS]
        self._luma.restype = self._gray.restype = None

    def luma(self, bgr: NDArray[np.uint8], gray: NDArray[np.uint8]) -> None:
        """Fill `gray` (H, W) from `bgr` (H, W, 3), whose rows may lie apart."""
        height, width = gray.shape
        self._luma(*_rows_of(bgr, height, width), height, width, gray)

    def resized(self, bgr: NDArray[np.uint8], gray: NDArray[np.uint8], *, taps: Taps) -> None:
        """Fill `gray` (h, w) from `bgr` (H, W, 3), whose rows may lie apart, with these `taps`."""
        height, width = bgr.shape[:2]
        target_height, target_width = gray.shape
        self._gray(
            *_rows_of(bgr, height, width),
            width,
            gray,
            target_height,
            target_width,
            taps.across,
            taps.down,
            np.zeros(width + _MARGIN, np.uint8),
            np.empty(2 * target_width, np.int32),
        )


def _rows_of(bgr: NDArray[np.uint8], height: int, width: int) -> tuple[int, int]:
    """Return the address of the first row of `bgr` and the distance of its rows, in bytes.

    Raises:
        ValueError: It is not what the code can read.
    """
    if bgr.dtype != np.uint8 or bgr.shape != (height, width, 3) or bgr.strides[1:] != (3, 1):
        raise ValueError(f"Cannot read {bgr.dtype} {bgr.shape} with strides {bgr.strides}.")
    return bgr.ctypes.data, bgr.strides[0]


@cache
def _library() -> Path | None:
    try:
        return compiler.library_file(computes_what_numpy_does, sources=[SOURCE])[0]
    except (compiler.NotCompiled, ToolMissing, OSError):
        return None

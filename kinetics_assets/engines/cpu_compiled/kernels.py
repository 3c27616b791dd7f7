"""The compiled kernels as Python functions, called as those of `cpu_kernels.py` are."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.ctypeslib import ndpointer
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.float32]

REVISION: Final = "2"
"""That of `cpu_kernels.py`, whose arithmetic this is."""

_FLOATS = ndpointer(np.float32, flags="C_CONTIGUOUS")
_CELLS = ndpointer(np.int32, flags="C_CONTIGUOUS")
_INT, _FLOAT = ctypes.c_int, ctypes.c_float


class CompiledKernels:
    """A library of kernels. They run without the interpreter lock, on any number of threads."""

    def __init__(self, library: Path, compiler: str) -> None:
        """Load the library; `compiler` is what made it, name and version.

        Raises:
            OSError: it cannot be loaded.
        """
        self.compiler = compiler
        functions = ctypes.CDLL(str(library))
        self._solve_level = functions.kinetics_solve_level
        self._solve_level.argtypes = [*(_FLOATS, _FLOATS, _FLOATS, _CELLS), _INT, _INT]
        self._texture = functions.kinetics_texture
        self._texture.argtypes = [_FLOATS, _FLOATS, _INT, _INT]
        self._texture.restype = None
        self._resize = functions.kinetics_resize
        self._resize.argtypes = [
            *(_FLOATS, _INT, _INT),
            *(_FLOATS, _INT, _INT),
            *(_FLOAT, _FLOAT, _FLOAT),
        ]

    def solve_level(
        self, image0: Plane, texture: Plane, flow: Plane, iterations: NDArray[np.int32]
    ) -> None:
        """Refine `flow` in place on one pyramid level; see `cpu_kernels.solve_level`.

        Raises:
            MemoryError: there is none for the level's state.
        """
        if self._solve_level(image0, texture, flow, iterations, *image0.shape):
            raise MemoryError

    def gradient_texture(self, image: Plane) -> Plane:
        """Return gradients, value and 1 of each pixel; see `cpu_kernels.gradient_texture`."""
        height, width = image.shape
        texture = np.empty((height + 7, (width + 7) * 4), np.float32)
        self._texture(image, texture, height, width)
        return texture

    def resize(
        self,
        source: Plane,
        target: Plane,
        ratio_y: np.float32,
        ratio_x: np.float32,
        gain: np.float32,
    ) -> None:
        """Fill `target` with `gain` times `source`; see `cpu_kernels.resize`.

        Raises:
            MemoryError: there is none for a row of positions.
        """
        if self._resize(source, *source.shape, target, *target.shape, ratio_y, ratio_x, gain):
            raise MemoryError

"""As much of CuPy as the engine calls, on memory of this process and kernels made by g++.

It keeps to the types of the real one: kernels take its own arrays and NumPy scalars of the right
width, shared memory beyond 48 KB only where it was asked for, arrays are no NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kinetics_assets_tests.engines.cuda.shim import ShimLibrary, aligned_floats

_WITHOUT_ASKING_BYTES = 48 * 1024


class CUDARuntimeError(RuntimeError):
    """What the run time's failures raise."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the number of the failure."""
        super().__init__(message)
        self.status = status


class CUDADriverError(CUDARuntimeError):
    """What the driver's failures raise."""


class OutOfMemoryError(MemoryError):
    """What CuPy's memory pool raises."""


class DeviceArray:
    """An array on the device."""

    def __init__(self, content: NDArray[Any]) -> None:
        """Be that array."""
        self.content = content

    def get(self, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return a copy on the host, in `out` where given."""
        if out is None:
            return self.content.copy()
        assert out.dtype == self.content.dtype
        assert out.shape == self.content.shape
        out[...] = self.content
        return out


class Kernel:
    """A kernel of the module."""

    def __init__(self, library: ShimLibrary, name: str, cupy: StandinCupy) -> None:
        """Be the kernel of that name."""
        self.max_dynamic_shared_size_bytes = _WITHOUT_ASKING_BYTES
        self._library, self._name, self._cupy = library, name, cupy

    def __call__(
        self,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        args: tuple[Any, ...],
        *,
        shared_mem: int = 0,
    ) -> None:
        """Run to the end, unless the device is lost."""
        assert shared_mem <= self.max_dynamic_shared_size_bytes
        assert [type(number) for number in args[8:]] == [np.int32] * 3 + [np.float64]
        assert len(grid) == len(block) == 3
        places = [array.content.ctypes.data for array in args[:8]]
        self._cupy.before_launch()
        self._library.launch(
            self._name, grid, block, *places, *(number.item() for number in args[8:]),
            shared_bytes=shared_mem,
        )  # fmt: skip


class StandinCupy:
    """The module. `before_launch` may be replaced by a fault.

    Attributes:
        memory_bytes: What the device has; an array beyond it is refused.
        modules: Files that were loaded.
    """

    def __init__(self, nvrtc: object, *, memory_bytes: int = 1 << 32) -> None:
        """Be a device of compute capability 8.0 with that much memory."""
        self.memory_bytes = memory_bytes
        self.modules: list[Path] = []
        self.before_launch: Callable[[], None] = lambda: None
        attributes = {"MaxSharedMemoryPerBlockOptin": 166_912}
        device = SimpleNamespace(attributes=attributes, compute_capability="80")
        runtime = SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            memGetInfo=lambda: (self.memory_bytes, self.memory_bytes),
        )
        self.cuda = SimpleNamespace(
            Device=lambda: device,
            driver=SimpleNamespace(CUDADriverError=CUDADriverError),
            nvrtc=nvrtc,
            runtime=runtime,
        )

    def RawModule(self, *, path: str) -> SimpleNamespace:  # noqa: N802  # CuPy's name
        """Return the kernels; what they are made of is not the file, but that is there."""
        assert Path(path).read_bytes()
        self.modules.append(Path(path))
        library = ShimLibrary()
        return SimpleNamespace(get_function=lambda name: Kernel(library, name, self))

    def get_default_memory_pool(self) -> SimpleNamespace:
        """Return a pool that keeps nothing."""
        return SimpleNamespace(free_bytes=lambda: 0, free_all_blocks=lambda: None)

    def asarray(self, array: NDArray[Any]) -> DeviceArray:
        """Return a copy on the device; records are refused, as CuPy does."""
        if array.dtype.kind not in "biuf":
            raise ValueError(f"Unsupported dtype {array.dtype}")
        return DeviceArray(array.copy())

    def empty(self, shape: int, dtype: DTypeLike) -> DeviceArray:
        """Return an array of unknown content: NaN for floats."""
        if shape * np.dtype(dtype).itemsize > self.memory_bytes:
            raise OutOfMemoryError
        if dtype == np.float32:
            return DeviceArray(aligned_floats(shape))
        return DeviceArray(np.full(shape, 77, dtype))

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> DeviceArray:
        """Return an array of zeros."""
        return DeviceArray(np.zeros(shape, dtype))

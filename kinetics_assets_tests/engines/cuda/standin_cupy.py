"""As much of CuPy as the engine calls, on memory of this process and kernels made by g++.

It keeps to the types of the real one: kernels take its own arrays and NumPy scalars of the right
width, shared memory beyond 48 KB only where it was asked for, arrays are no NumPy arrays. What is
put on a stream is done when the stream is waited for, not before: copies that are not waited for,
or whose host memory is used meanwhile, are found out.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

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


class Stream:
    """A stream that is as late as it may be."""

    current = threading.local()

    def __init__(self, *, non_blocking: bool) -> None:
        """Be without work."""
        assert non_blocking, "the default stream would wait for it"
        self.waiting: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        """Be this thread's stream."""
        Stream.current.stream = self
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the thread without one."""
        Stream.current.stream = None

    def synchronize(self) -> None:
        """Do all that waits."""
        waiting, self.waiting = self.waiting, []
        for step in waiting:
            step()


class DeviceArray:
    """An array on the device."""

    def __init__(self, content: NDArray[Any]) -> None:
        """Be that array."""
        self.content = content

    def set(self, array: NDArray[Any], stream: Stream) -> None:
        """Take a copy of `array`, later; records are refused, as CuPy does."""
        assert array.dtype.kind in "biuf"
        assert (array.dtype, array.shape) == (self.content.dtype, self.content.shape)
        stream.waiting.append(lambda: np.copyto(self.content, array))

    def get(self, stream: Stream, *, out: NDArray[Any], blocking: bool) -> None:
        """Put a copy into `out`, later."""
        assert (out.dtype, out.shape) == (self.content.dtype, self.content.shape)
        assert not blocking
        stream.waiting.append(lambda: np.copyto(out, self.content))


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
        """Run to the end, later, unless the device is lost."""
        assert shared_mem <= self.max_dynamic_shared_size_bytes
        assert [type(number) for number in args[8:]] == [np.int32] * 3 + [np.float64]
        assert len(grid) == len(block) == 3
        places = [array.content.ctypes.data for array in args[:8]]

        def launch() -> None:
            self._cupy.before_launch()
            self._library.launch(
                self._name, grid, block, *places, *(number.item() for number in args[8:]),
                shared_bytes=shared_mem,
            )  # fmt: skip

        Stream.current.stream.waiting.append(launch)


class Locked(bytearray):
    """Locked host memory."""


class StandinCupy:
    """The module. `before_launch` may be replaced by a fault.

    Attributes:
        memory_bytes: What the device has; an array beyond it is refused.
        modules: Files that were loaded.
        kept_locked_bytes: Locked memory that nobody uses and the pool keeps.
    """

    def __init__(self, nvrtc: object, *, memory_bytes: int = 1 << 32) -> None:
        """Be a device of compute capability 8.0 with that much memory."""
        self.memory_bytes = memory_bytes
        self.modules: list[Path] = []
        self.kept_locked_bytes: list[int] = []
        self.before_launch: Callable[[], None] = lambda: None
        attributes = {"MaxSharedMemoryPerBlockOptin": 166_912, "MultiProcessorCount": 2}
        device = SimpleNamespace(attributes=attributes, compute_capability="80")
        runtime = SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            memGetInfo=lambda: (self.memory_bytes, self.memory_bytes),
        )
        self.cuda = SimpleNamespace(
            Device=lambda: device,
            Stream=Stream,
            alloc_pinned_memory=self._locked,
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

    def get_default_pinned_memory_pool(self) -> SimpleNamespace:
        """Return the pool of locked memory, which gives nothing back unasked."""
        return SimpleNamespace(free_all_blocks=self.kept_locked_bytes.clear)

    def empty(self, shape: int, dtype: DTypeLike) -> DeviceArray:
        """Return an array of unknown content: NaN for floats."""
        if shape * np.dtype(dtype).itemsize > self.memory_bytes:
            raise OutOfMemoryError
        if dtype == np.float32:
            return DeviceArray(aligned_floats(shape))
        return DeviceArray(np.full(shape, 77, dtype))

    def zeros(self, shape: int, dtype: DTypeLike) -> DeviceArray:
        """Return an array of zeros."""
        return DeviceArray(np.zeros(shape, dtype))

    def _locked(self, count: int) -> Locked:
        """Return host memory that the pool keeps once it is let go."""
        memory = Locked(count)
        weakref.finalize(memory, self.kept_locked_bytes.append, count)
        return memory

"""The device behind CuPy: memory, copies and launches, nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.core.errors import DeviceLost, ToolMissing
from kinetics_assets.engines.cuda.batches import Sample
from kinetics_assets.engines.cuda.compiler import kernels_file
from kinetics_assets.engines.cuda.memory import COUNTS
from kinetics_assets.engines.cuda.plan import KERNELS, SOLVERS, BatchPlan, DeviceLimits
from kinetics_assets.engines.cuda.probe import device_count

if TYPE_CHECKING:
    from types import ModuleType

_OUT_OF_MEMORY: Final = 2
"""What both the run time and the driver answer when memory is short."""

_FREE_SHARE: Final = 0.5
"""Of the free memory, for all batches: another step may hold a slot of the same device."""

_NOTHING: Final = np.empty(0, np.uint8)


@dataclass(slots=True)
class _Lane:
    """A stream, and locked host memory that copies to and from the device can overlap with."""

    stream: Any
    pixels: NDArray[np.uint8]
    results: NDArray[np.uint8]


class CupyDevice:
    """The first visible CUDA device; which one that is, is the lease's affair.

    Two lanes: while one computes, the other copies, and the end of one batch, when few pairs are
    left, overlaps with the beginning of the next.
    """

    lanes: Final = 2

    def __init__(self) -> None:
        """Load CuPy, take the device and compile the kernels, or find them compiled.

        Raises:
            DeviceLost: there is no device, it does not answer, or others have all of its memory.
            ToolMissing: CuPy or its compiler is not installed.
        """
        if device_count() == 0:
            raise DeviceLost(
                "There is no usable CUDA device.",
                remedy="See `nvidia-smi` and CUDA_VISIBLE_DEVICES, or use the flow engine 'cpu'.",
            )
        self._cupy = _load_cupy()
        try:
            self._take()
        except MemoryError as error:
            raise DeviceLost(
                f"The GPU has no memory left to begin with: {error}.",
                remedy="See who has it (`nvidia-smi`), or use fewer steps per GPU"
                " (limits.gpu_slots).",
            ) from error

    def free_bytes(self) -> int:
        """Return half of what is free, memory that CuPy keeps for us included."""
        with self._faults():
            free, _ = self._cupy.cuda.runtime.memGetInfo()
            return int((free + self._cupy.get_default_memory_pool().free_bytes()) * _FREE_SHARE)

    def host_arrays(
        self, lane: int, *, pixels: int, results: int, sample: type[Sample]
    ) -> tuple[NDArray[np.uint8], NDArray[Sample]]:
        """Return locked memory of the lane as `Device.host_arrays` says; it grows as needed."""
        mine = self._lanes[lane]
        result_bytes = results * np.dtype(sample).itemsize
        with self._faults():
            if len(mine.pixels) < pixels:
                mine.pixels = _NOTHING
                mine.pixels = self._locked(pixels)
            if len(mine.results) < result_bytes:
                mine.results = _NOTHING
                mine.results = self._locked(result_bytes)
        return mine.pixels[:pixels], mine.results[:result_bytes].view(sample)

    def run(
        self,
        plan: BatchPlan,
        pixels: NDArray[np.uint8],
        results: NDArray[Sample],
        *,
        bound_px: float,
        lane: int,
    ) -> NDArray[np.int32]:
        """Run a batch as `Device.run` says."""
        cupy, stream = self._cupy, self._lanes[lane].stream
        counts = np.empty((len(plan.pairs), COUNTS), np.int32)
        try:
            with self._faults(), stream:
                upload = (plan.frames.view(np.uint8), plan.pairs.view(np.uint8), plan.order, pixels)
                inputs = []
                for array in upload:
                    inputs.append(cupy.empty(array.size, array.dtype))
                    inputs[-1].set(array, stream)
                arena = cupy.empty(plan.arena_floats, np.float32)
                output = cupy.empty(plan.results, results.dtype)
                counted = cupy.zeros(counts.size, np.int32)
                unused = cupy.empty(1, np.uint8)
                outputs = (output, unused) if results.dtype == np.uint8 else (unused, output)
                self._launch(plan, (*inputs, arena, *outputs, counted), bound_px)
                output.get(stream, out=results, blocking=False)
                counted.get(stream, out=counts.reshape(-1), blocking=False)
                stream.synchronize()  # the interpreter is free for other threads meanwhile
        except MemoryError:
            with self._faults():
                stream.synchronize()  # copies out of the lane's memory may still be under way
            cupy.get_default_memory_pool().free_all_blocks()
            raise
        return counts

    def _take(self) -> None:
        """Take the device, its kernels and its streams.

        Raises:
            MemoryError: it has no room for them.
        """
        with self._faults():
            device = self._cupy.cuda.Device()
            attributes = device.attributes
            self.limits = DeviceLimits(int(attributes["MaxSharedMemoryPerBlockOptin"]))
            self.pairs_at_a_time = int(attributes["MultiProcessorCount"])  # a block has one alone
            path = kernels_file(self._cupy.cuda.nvrtc, int(device.compute_capability))
            self._kernels = self._loaded(path)
            self._lanes = [
                _Lane(self._cupy.cuda.Stream(non_blocking=True), _NOTHING, _NOTHING)
                for _ in range(self.lanes)
            ]

    def _locked(self, count: int) -> NDArray[np.uint8]:
        """Return `count` bytes of host memory that copies can use while the host goes on.

        What was let go is freed first: CuPy would keep each size for ever.
        """
        self._cupy.get_default_pinned_memory_pool().free_all_blocks()
        memory = self._cupy.cuda.alloc_pinned_memory(count)
        return np.frombuffer(memory, np.uint8, count)

    def _loaded(self, path: Path) -> dict[str, Any]:
        """Return the kernels by name; those of the solver may take all shared memory there is."""
        module = self._cupy.RawModule(path=str(path))
        kernels = {name: module.get_function(name) for name in KERNELS}
        for name in SOLVERS:
            kernels[name].max_dynamic_shared_size_bytes = self.limits.shared_bytes
        return kernels

    def _launch(self, plan: BatchPlan, arrays: tuple[Any, ...], bound_px: float) -> None:
        """Start all launches, in order, on the current stream."""
        for launch in plan.launches:
            numbers = (np.int32(launch.level), np.int32(launch.warp), np.int32(launch.first))
            arguments = (*arrays, *numbers, np.float64(bound_px))
            kernel = self._kernels[launch.kernel]
            kernel(launch.grid, launch.block, arguments, shared_mem=launch.shared_bytes)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn CUDA's errors into MemoryError, when memory is short, or DeviceLost."""
        cuda = self._cupy.cuda
        try:
            yield
        except (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError) as error:
            if error.status == _OUT_OF_MEMORY:
                raise MemoryError(str(error)) from error
            raise DeviceLost(
                f"The GPU failed: {error}.",
                remedy="Look at `nvidia-smi` and the kernel's log, then run again.",
            ) from error


def _load_cupy() -> ModuleType:
    """Return CuPy.

    Raises:
        ToolMissing: it is not installed, or cannot be loaded.
    """
    try:
        import cupy
    except ImportError as error:
        remedy = f"Run `pip install 'kinetics-assets[cuda]'` ({error})."
        raise ToolMissing("CuPy", remedy) from error
    return cupy

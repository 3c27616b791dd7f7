"""A device without a GPU: the package's kernels, compiled by g++ through `cushim.h`."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from kinetics_assets.engines.cuda.batches import Sample
from kinetics_assets.engines.cuda.memory import COUNTS
from kinetics_assets.engines.cuda.plan import SOURCE, BatchPlan, DeviceLimits, macros

HERE: Final = Path(__file__).parent
EXACT: Final = ("-O2", "-march=native", "-ffp-contract=off")
ROUNDS: Final = {"forward": 0, "backward": 1, "shuffled": 2}

TurnOrder = Literal["forward", "backward", "shuffled"]


@cache
def compiled(*options: str) -> Path:
    """Return the library of the kernels, made with g++ and `options`; skip the test without g++."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to compile the kernels with")
    argv = [
        compiler,
        "-std=c++17",
        "-shared",
        "-fPIC",
        "-Wall",
        "-Wextra",
        "-Wno-unused-parameter",
        "-Wno-unused-variable",
        "-Wno-unknown-pragmas",
    ]
    argv += ["-Werror", *options, f'-DSOURCE="{SOURCE}"']
    argv += [f"-D{name}={value}" for name, value in macros().items()]
    digest = hashlib.sha256(repr(argv).encode())
    for path in (SOURCE, HERE / "cushim.h", HERE / "shim_host.cpp"):
        digest.update(path.read_bytes())
    folder = Path(tempfile.gettempdir()) / f"kinetics-assets-shim-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    library = folder / f"{digest.hexdigest()[:16]}.so"
    if not library.exists():
        partial = library.with_suffix(f".{os.getpid()}")
        argv += [str(HERE / "shim_host.cpp"), "-o", str(partial)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        partial.rename(library)
    return library


class ShimLibrary:
    """The kernels by name, over plain addresses."""

    def __init__(self, library: Path | None = None, turns: TurnOrder = "forward") -> None:
        """Load `library`, by default the exact one; threads take turns in that order."""
        self._turns = ROUNDS[turns]
        self._launch = ctypes.CDLL(str(library or compiled(*EXACT))).launch
        place, number = ctypes.c_void_p, ctypes.c_int
        self._launch.argtypes = [ctypes.c_char_p, place, place, ctypes.c_size_t, number]
        self._launch.argtypes += [*[place] * 8, *[number] * 3, ctypes.c_double]

    def launch(
        self,
        kernel: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        *arguments: float | None,
        shared_bytes: int,
    ) -> None:
        """Run one kernel to its end; `arguments` are addresses, then numbers."""
        sizes = [(ctypes.c_int * 3)(*size) for size in (grid, block)]
        refused = self._launch(kernel.encode(), *sizes, shared_bytes, self._turns, *arguments)
        assert not refused, kernel


class ShimDevice:
    """Runs batches on the CPU, with as little shared memory and as many threads as asked for.

    Attributes:
        batches: Pairs of each batch that ran.
    """

    def __init__(
        self,
        *,
        shared_bytes: int = 64 * 1024,
        threads: int = 96,
        turns: TurnOrder = "forward",
        memory_bytes: int = 1 << 32,
        library: Path | None = None,
        in_registers: bool = True,
    ) -> None:
        """Be a device of that size, whose threads take turns in that order."""
        self.limits = DeviceLimits(shared_bytes, threads, in_registers=in_registers)
        self.lanes = 2
        self.pairs_at_a_time = 2
        self.batches: list[int] = []
        self._turn = threading.Lock()  # the fibers of a kernel are of one thread
        self._memory_bytes = memory_bytes
        self._library = ShimLibrary(library, turns)

    def free_bytes(self) -> int:
        """Return more than there is, so that the memory error of a batch is met."""
        return 1 << 40

    def host_arrays(
        self, lane: int, *, pixels: int, results: int, sample: type[Sample]
    ) -> tuple[NDArray[np.uint8], NDArray[Sample]]:
        """Return new arrays."""
        assert lane < self.lanes
        return np.empty(pixels, np.uint8), np.empty(results, sample)

    def run(
        self,
        plan: BatchPlan,
        pixels: NDArray[np.uint8],
        results: NDArray[Sample],
        *,
        bound_px: float,
        lane: int,
    ) -> NDArray[np.int32]:
        """Run a batch as `Device.run` says, with the working memory poisoned."""
        del lane
        if 4 * plan.arena_floats > self._memory_bytes:
            raise MemoryError
        assert plan.shared_bytes <= self.limits.shared_bytes
        self.batches.append(len(plan.pairs))
        arena = aligned_floats(plan.arena_floats)
        counts = np.zeros((len(plan.pairs), COUNTS), np.int32)
        output = results.ctypes.data
        outputs = (output, None) if results.dtype == np.uint8 else (None, output)
        inputs = [part.ctypes.data for part in (plan.frames, plan.pairs, plan.order, pixels, arena)]
        pointers = [*inputs, *outputs, counts.ctypes.data]
        for launch in plan.launches:
            numbers = (launch.level, launch.warp, launch.first, bound_px)
            with self._turn:
                self._library.launch(
                    launch.kernel,
                    launch.grid,
                    launch.block,
                    *(*pointers, *numbers),
                    shared_bytes=launch.shared_bytes,
                )
        return counts


def aligned_floats(count: int) -> NDArray[np.float32]:
    """Return `count` NaN, aligned as memory of a device is."""
    room = np.full(count + 16, np.nan, np.float32)
    return room[-room.ctypes.data % 64 // 4 :][:count]

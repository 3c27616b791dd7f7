"""TV-L1 of the profile "opencv4-cuda" on the CPU, at speed: a thread per pair.

The kernels are those of `cpu_compiled` where a C++ compiler is, else numba's: the same bits, so
that nothing but `CpuEngine.versions` tells them apart. The environment variable
KINETICS_CPU_KERNELS chooses: ``numba``; ``compiled``, which fails where they cannot be had; or
``auto``, as without it.

Results are bit for bit those of `reference.py`: where motion is fast the method lets rounding
differences grow to visible size, so there are none (see bench/README.md).
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.core.errors import SettingsError, ToolMissing
from kinetics_assets.engines import reference, tvl1
from kinetics_assets.engines.base import (
    Device,
    FlowField,
    FlowLevels,
    GrayFrames,
    checked_frames,
    flow_shape,
)
from kinetics_assets.engines.cache_folders import cache_folder
from kinetics_assets.engines.cpu_compiled import compiler
from kinetics_assets.engines.cpu_compiled.kernels import REVISION, CompiledKernels
from kinetics_assets.engines.quantise import quantise

if TYPE_CHECKING:
    from collections.abc import Callable

Plane: TypeAlias = NDArray[np.float32]

_UPSCALE: Final = np.float32(1.0 / tvl1.SCALE_STEP)
_NO_GAIN: Final = np.float32(1)
_CHOICES: Final = ("auto", "compiled", "numba")
_ONE_AT_A_TIME: Final = threading.Lock()


class Kernels(Protocol):
    """What does the work; `cpu_kernels` says what each of them does."""

    def solve_level(
        self, image0: Plane, texture: Plane, flow: Plane, iterations: NDArray[np.int32], /
    ) -> None:
        """Refine `flow` in place on one pyramid level."""

    def gradient_texture(self, image: Plane, /) -> Plane:
        """Return gradients, value and 1 of each pixel."""

    def resize(
        self,
        source: Plane,
        target: Plane,
        ratio_y: np.float32,
        ratio_x: np.float32,
        gain: np.float32,
        /,
    ) -> None:
        """Fill `target` with `gain` times `source`."""


class CpuEngine:
    """The default engine where no GPU is.

    Holds nothing but its thread count. The kernels are compiled on first use (about 3 s, numba's
    15 s) and kept on disk; they run without the interpreter lock. When the process dies during
    compilation, what is kept is left as it was.
    """

    name: str = "cpu"
    profile: str = tvl1.PROFILE
    device: Device = "cpu"

    def __init__(self, *, threads: int | None = None) -> None:
        """Use `threads` threads, by default as many as this process may use cores.

        Raises:
            ValueError: `threads` is below one.
        """
        self.threads = _usable_cores() if threads is None else threads
        if self.threads < 1:
            raise ValueError(f"The CPU engine needs at least one thread, got {threads}.")

    def versions(self) -> dict[str, str]:
        """Return the revision of the kernels and the name and version of their compiler.

        Raises:
            ToolMissing: numba is not installed, or kernels that were asked for cannot be had.
            SettingsError: KINETICS_CPU_KERNELS is none of the choices.
        """
        kernels = _load_kernels()
        if isinstance(kernels, CompiledKernels):
            return {"cpu_kernels": REVISION, "compiled": kernels.compiler}
        return {"cpu_kernels": REVISION, "compiled": "no", "numba": version("numba")}

    def warm_up(self) -> None:
        """Compile every kernel, or load it from the disk, so that no later call waits for it.

        Raises:
            ToolMissing: as `versions`.
            SettingsError: as `versions`.
        """
        self.flow(np.zeros((2, 32, 32), np.uint8))

    def flow(self, frames: GrayFrames) -> FlowField:
        """Return the flow in pixels, (T - 1, 2, H, W); see `FlowEngine.flow`."""
        frames = checked_frames(frames)
        field = np.empty(flow_shape(frames), np.float32)

        def keep(pair: int, flow: Plane) -> None:
            field[pair] = flow

        self._each_pair(frames, keep)
        return field

    def flow_u8(self, frames: GrayFrames, *, bound_px: float) -> FlowLevels:
        """Return the flow as grey levels, (T - 1, 2, H, W); see `FlowEngine.flow_u8`.

        Each pair is quantised as it is done, so that no float field of the clip is held.
        """
        frames = checked_frames(frames)
        levels = np.empty(flow_shape(frames), np.uint8)

        def keep(pair: int, flow: Plane) -> None:
            levels[pair] = quantise(flow, bound_px=bound_px)

        self._each_pair(frames, keep)
        return levels

    def _each_pair(self, frames: GrayFrames, keep: Callable[[int, Plane], None]) -> None:
        """Solve all pairs of consecutive frames on the threads and hand each one to `keep`."""
        kernels = _load_kernels()
        pyramids = _Pyramids(kernels, frames)

        def solve(pair: int) -> None:
            keep(pair, _solve(kernels, pyramids.take(pair), pyramids.take(pair + 1)).flow)

        pairs = range(max(len(frames) - 1, 0))
        if self.threads == 1 or len(pairs) < 2:
            for pair in pairs:
                solve(pair)
            return
        with ThreadPoolExecutor(self.threads, thread_name_prefix="flow") as pool:
            for _ in pool.map(solve, pairs):
                pass  # the results were kept by `keep`; this raises what a thread raised


class _Pyramids:
    """The pyramid of each frame: built by the pair that asks first, dropped after its second use.

    Pairs are started in order, so only about one pyramid per thread is alive at a time.
    """

    def __init__(self, kernels: Kernels, frames: GrayFrames) -> None:
        """Serve the pyramids of `frames`."""
        self._kernels = kernels
        self._frames = frames
        self._sizes = tvl1.level_sizes(*frames.shape[1:])
        self._locks = [threading.Lock() for _ in frames]
        self._waiting: dict[int, list[Plane]] = {}

    def take(self, index: int) -> list[Plane]:
        """Return the levels of frame `index`, finest first; asked at most twice per frame."""
        with self._locks[index]:
            levels = self._waiting.pop(index, None)
            if levels is None:
                levels = _pyramid(self._kernels, self._frames[index], self._sizes)
                if 0 < index < len(self._locks) - 1:
                    self._waiting[index] = levels
            return levels


def solve_pair(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> tvl1.PairSolution:
    """Return the flow from `first` to `second`, two gray frames (H, W) of one size.

    Raises:
        ToolMissing: as `CpuEngine.versions`.
        SettingsError: as `CpuEngine.versions`.
    """
    return _solve_pair(_load_kernels(), first, second)


def _solve_pair(
    kernels: Kernels, first: NDArray[np.uint8], second: NDArray[np.uint8]
) -> tvl1.PairSolution:
    """Return the flow from `first` to `second` as these kernels compute it."""
    sizes = tvl1.level_sizes(*first.shape)
    return _solve(kernels, _pyramid(kernels, first, sizes), _pyramid(kernels, second, sizes))


def _pyramid(
    kernels: Kernels, frame: NDArray[np.uint8], sizes: list[tuple[int, int]]
) -> list[Plane]:
    """Return `frame` at each size, each level made from the one above."""
    levels: list[Plane] = [frame.astype(np.float32, order="C")]
    for size in sizes[1:]:
        level = np.empty(size, np.float32)
        kernels.resize(levels[-1], level, _UPSCALE, _UPSCALE, _NO_GAIN)
        levels.append(level)
    return levels


def _solve(kernels: Kernels, first: list[Plane], second: list[Plane]) -> tvl1.PairSolution:
    """Return the flow between two frames, given as pyramids, coarse to fine."""
    flow: Plane = np.zeros((2, *first[-1].shape), np.float32)
    iterations = np.zeros((len(first), tvl1.WARPS), np.int32)
    for level in reversed(range(len(first))):
        texture = kernels.gradient_texture(second[level])
        kernels.solve_level(first[level], texture, flow, iterations[level])
        if level > 0:
            flow = _upscaled(kernels, flow, first[level - 1].shape)
    return tvl1.PairSolution(flow, iterations)


def _upscaled(kernels: Kernels, flow: Plane, shape: tuple[int, ...]) -> Plane:
    """Return `flow` at `shape`, in pixels of that level (by the nominal step)."""
    finer = np.empty((2, *shape), np.float32)
    ratio_y, ratio_x = (
        np.float32(1.0 / (new / old)) for new, old in zip(shape, flow.shape[1:], strict=True)
    )
    for component in range(2):
        kernels.resize(flow[component], finer[component], ratio_y, ratio_x, _UPSCALE)
    return finer


def _usable_cores() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _load_kernels() -> Kernels:
    """Return the kernels to use: compiled ones where they can be had, unless chosen otherwise.

    Raises:
        ToolMissing: as `CpuEngine.versions`.
        SettingsError: as `CpuEngine.versions`.
    """
    choice = os.environ.get(compiler.SWITCH) or "auto"
    if choice not in _CHOICES:
        raise SettingsError(
            f"{compiler.SWITCH} is {choice!r}.", remedy=f"Allowed: {', '.join(_CHOICES)}."
        )
    if choice == "numba":
        return _numba_kernels()
    with _ONE_AT_A_TIME:
        found = _compiled_kernels()
    if isinstance(found, CompiledKernels):
        return found
    if choice == "compiled":
        raise ToolMissing(
            f"The compiled CPU kernels ({found})",
            f"Install g++, or unset {compiler.SWITCH}: numba's kernels give the same flow.",
        )
    return _numba_kernels()


def kernels_at_hand() -> tuple[dict[str, str], str]:
    """Return what `CpuEngine.versions` tells, and why not of compiled kernels, empty if it does.

    Raises:
        ToolMissing: as `CpuEngine.versions`.
        SettingsError: as `CpuEngine.versions`.
    """
    told = CpuEngine(threads=1).versions()
    if "numba" not in told:
        return told, ""
    if os.environ.get(compiler.SWITCH) == "numba":
        return told, f"{compiler.SWITCH} says so"
    with _ONE_AT_A_TIME:
        return told, str(_compiled_kernels())


@cache
def _compiled_kernels() -> CompiledKernels | str:
    """Return the compiled kernels, or why this process has none."""
    try:
        return CompiledKernels(*compiler.library_file(_computes_what_the_oracle_does))
    except (compiler.NotCompiled, ToolMissing) as missing:
        return str(missing)
    except OSError as error:  # no room on the disk, or a disk whose files cannot be executed
        return str(error)


def _computes_what_the_oracle_does(library: Path, compiled_by: str) -> bool:
    """Return whether a new library has the oracle's bits on noise: two levels, odd sizes."""
    pair = np.random.default_rng(1).integers(0, 256, (2, 21, 37), dtype=np.uint8)
    ours = _solve_pair(CompiledKernels(library, compiled_by), *pair)
    oracle = reference.solve_pair(*pair)
    return ours.flow.tobytes() == oracle.flow.tobytes() and np.array_equal(
        ours.iterations, oracle.iterations
    )


def _numba_kernels() -> Kernels:
    """Return the kernel module; importing it imports numba, hence not at module level.

    Raises:
        ToolMissing: numba is not installed.
    """
    _choose_kernel_cache()
    try:
        from kinetics_assets.engines import cpu_kernels
    except ImportError as error:
        raise ToolMissing("numba", f"Run `pip install numba` ({error}).") from error
    return cast("Kernels", cpu_kernels)


def _choose_kernel_cache() -> None:
    """Name a per-user folder for compiled kernels where the package's own cannot be written.

    Numba reads the variable when it is imported, so this comes first; a user's choice stands.
    """
    if "NUMBA_CACHE_DIR" not in os.environ and not os.access(Path(__file__).parent, os.W_OK):
        os.environ["NUMBA_CACHE_DIR"] = str(cache_folder("numba"))

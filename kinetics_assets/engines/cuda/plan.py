"""What one batch asks of a device: sizes, records and launches. Pure Python, no result needed.

The launches are one per step of the method, over the whole batch, in the order in which a device
has to run them; when a pair is done, is decided on the device. Depth of sweeps and number of
threads change the time, never a bit of the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.engines import tvl1
from kinetics_assets.engines.cuda.memory import (
    CELL_FLOATS,
    FLOAT_BYTES,
    FRAME,
    PAIR,
    ClipShape,
    Records,
    cell_pitch,
    lay_out,
    pixel_pitch,
)

SOURCE: Final = Path(__file__).with_name("tvl1.cu")

REVISION: Final = "1"
"""Raised with every change of the kernels that may change the flow."""

EXACT: Final = ("-fmad=false", "-ftz=false", "-prec-div=true", "-prec-sqrt=true")
"""Compiler options that make the kernels equal to the oracle: nothing contracted or guessed."""

MOST_THREADS: Final = 1024
"""Per block: CUDA's limit on every device, and what the registers of the solver are fitted to."""

REGISTER_THREADS: Final = 704
"""Of the solver in registers: each has 80, and 340 columns twice are so many threads."""

SOLVERS: Final = ("solve_in_registers", "solve_in_ring", "solve_in_place")
KERNELS: Final = (
    *("read_frames", "shrink_frames", "derive_frames", "begin_level", "warp_pairs", *SOLVERS),
    *("end_level", "write_grey", "write_field"),
)

_TILE: Final = (32, 8, 1)
_ORDERS_BYTES: Final = 16
_DOUBLE_BYTES: Final = 8
_WARP_THREADS: Final = 32
_MOST_DEPTH: Final = 32
MOST_STAGES: Final = 3
"""Iterations of one thread of the solver in registers: what 80 registers hold."""

STAGE_BYTES: Final = 64 * REGISTER_THREADS + 16
"""Shared memory of each of them."""

_STEP_COST: Final = 1
"""Barriers and row copies of one step, in cells per thread: a guess, not measured yet."""

_SCHEDULER_LANES: Final = 4 * _WARP_THREADS
"""Threads of a block that put one warp on each of a multiprocessor's schedulers."""

_CELL_SLOTS, _STEP_SLOTS = 170, 70
"""Instructions in the ring for a cell and iteration, and for a thread's step: sm_90, counted."""

_STAGE_SLOTS, _PASS_SLOTS = 100, 55
"""The same in registers: for an iteration, and for a thread's step."""

_LATENCY: Final = 300
"""Cycles that the last warp to reach a barrier takes alone, for each iteration: an estimate."""


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """What a device gives to one block.

    Attributes:
        shared_bytes: Dynamic shared memory.
        threads: Threads, a multiple of 32, at most `MOST_THREADS`.
        in_registers: Whether the solver in registers may be used, where it is thought the faster.
    """

    shared_bytes: int
    threads: int = MOST_THREADS
    in_registers: bool = True


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel over the batch; `level`, `warp` and `first` are arguments of the kernel."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int] = _TILE
    shared_bytes: int = 0
    level: int = 0
    warp: int = 0
    first: int = 0


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Everything a device needs besides the pixels.

    Attributes:
        frames: One record per frame, in the order of the input.
        pairs: One record per pair, in the order of the output.
        order: The solver's pairs, for each launch from its `first` on.
        pixels: Samples of input: all frames one after another.
        arena_floats: Working memory.
        results: Samples of output: (2, H, W) for each pair, one after another.
        launches: In this order.
    """

    frames: Records
    pairs: Records
    order: NDArray[np.int32]
    pixels: int
    arena_floats: int
    results: int
    launches: tuple[Launch, ...]

    @property
    def shared_bytes(self) -> int:
        """Return the most dynamic shared memory that a launch asks for."""
        return max(launch.shared_bytes for launch in self.launches)


def macros() -> dict[str, str]:
    """Return the definitions that the kernels are compiled with: numbers of the method, sizes."""
    numbers = {
        "FLAT": tvl1.FLT_EPSILON,
        "LAMBDA_THETA": tvl1.LAMBDA * tvl1.THETA,
        "TAU_OVER_THETA": tvl1.TAU / tvl1.THETA,
        "THETA": tvl1.THETA,
        "UPSCALE": 1.0 / tvl1.SCALE_STEP,
    }
    sizes = {
        "LEVELS": tvl1.SCALES,
        "WARPS": tvl1.WARPS,
        "MAX_ITERATIONS": tvl1.MAX_ITERATIONS,
        "FRAME_BYTES": FRAME.itemsize,
        "PAIR_BYTES": PAIR.itemsize,
        "CELL_FLOATS": CELL_FLOATS,
        "MOST_THREADS": MOST_THREADS,
        "REGISTER_THREADS": REGISTER_THREADS,
        "MOST_STAGES": MOST_STAGES,
        "STAGE_BYTES": STAGE_BYTES,
    }
    return {
        **{name: f"{float(np.float32(number)).hex()}f" for name, number in numbers.items()},
        **{name: str(size) for name, size in sizes.items()},
    }


def plan_batch(shapes: Sequence[ClipShape], limits: DeviceLimits, *, grey: bool) -> BatchPlan:
    """Return how a device computes the flow of all pairs of `shapes`, as grey levels or floats.

    Raises:
        ValueError: a clip of fewer than two frames, too large frames, or too many.
    """
    frames, pairs, extent = lay_out(shapes)
    levels = int(pairs["levels"].max())
    shrinks = [
        Launch("shrink_frames", _tiles(frames, level), level=level) for level in range(1, levels)
    ]
    order, solving = _plan_levels(frames, pairs, limits)
    launches = (
        Launch("read_frames", _tiles(frames, 0)),
        *shrinks,
        *solving,
        Launch("write_grey" if grey else "write_field", _tiles(pairs, 0)),
    )
    return BatchPlan(
        frames, pairs, order, extent.pixels, extent.arena_floats, extent.results, launches
    )


def sweep_depth(height_px: int, width_px: int, limits: DeviceLimits) -> int:
    """Return how many iterations one sweep over the rows should run; 0 where no ring fits.

    A deeper sweep touches device memory less often and leaves fewer threads idle, but its first
    and last rows are waited for longer.
    """
    groups, columns = max(limits.threads // width_px, 1), -(-width_px // limits.threads)
    room = limits.shared_bytes - _shared_bytes(width_px, rows=0)
    deepest = (room // (FLOAT_BYTES * cell_pitch(width_px)) - 1) // 2

    def cost(depth: int) -> float:
        cells = -(-depth // groups) * columns
        return (height_px + 2 * depth) * (cells + _STEP_COST) / depth

    return min(range(1, min(deepest, _MOST_DEPTH) + 1), key=cost, default=0)


def register_sweep(height_px: int, width_px: int, limits: DeviceLimits) -> tuple[int, int]:
    """Return groups of threads and iterations of each for sweeps in registers; (0, 0) for none.

    None where they do not fit, are not wanted, or the ring is predicted to be faster: by the
    instructions that one of a multiprocessor's schedulers has to issue for an iteration.
    """
    lanes = _lanes(width_px)
    most = min(limits.threads, REGISTER_THREADS) // lanes if limits.in_registers else 0
    stages = (limits.shared_bytes - _register_bytes(0)) // STAGE_BYTES
    found = (0, 0)
    least = _ring_cost(height_px, width_px, limits)
    for groups in range(1, most + 1):
        for each in range(1, min(stages, MOST_STAGES) + 1):
            depth = groups * each
            share = -(-groups * lanes // _SCHEDULER_LANES)
            step = share * (each * _STAGE_SLOTS + _PASS_SLOTS) + each * _LATENCY
            cost = (height_px + 2 * depth) * step / depth
            if cost < least:
                found, least = (groups, each), cost
    return found


def _ring_cost(height_px: int, width_px: int, limits: DeviceLimits) -> float:
    """Return a scheduler's instructions for an iteration in a ring; infinite where none fits."""
    depth = sweep_depth(height_px, width_px, limits)
    if depth == 0:
        return math.inf
    threads = _threads(width_px, limits.threads)
    cells = -(-depth // max(threads // width_px, 1)) * -(-width_px // threads)
    step = -(-threads // _SCHEDULER_LANES) * (cells * _CELL_SLOTS + _STEP_SLOTS) + cells * _LATENCY
    return (height_px + 2 * depth) * step / depth


def _plan_levels(
    frames: Records, pairs: Records, limits: DeviceLimits
) -> tuple[NDArray[np.int32], list[Launch]]:
    """Return the solver's pairs and the launches, coarse to fine; fill in the depths of sweeps."""
    order: list[NDArray[np.int64]] = []
    launches = []
    for level in reversed(range(int(pairs["levels"].max()))):
        tiles = _tiles(pairs, level)
        solvers = _plan_solvers(pairs, level, limits, order)
        launches.append(Launch("derive_frames", _tiles(frames, level), level=level))
        launches.append(Launch("begin_level", tiles, level=level))
        for warp in range(tvl1.WARPS):
            launches.append(Launch("warp_pairs", tiles, level=level, warp=warp))
            launches += [
                Launch(kernel, (count, 1, 1), (threads, 1, 1), shared_bytes, level, warp, first)
                for kernel, count, threads, shared_bytes, first in solvers
            ]
        if level > 0:
            launches.append(Launch("end_level", tiles, level=level))
    return np.concatenate(order).astype(np.int32), launches


def _plan_solvers(
    pairs: Records, level: int, limits: DeviceLimits, order: list[NDArray[np.int64]]
) -> list[tuple[str, int, int, int, int]]:
    """Return kernel, blocks, threads, shared memory and first of each solver of a level.

    Appends the pairs of each to `order`, largest first, since the last to start ends alone.
    """
    records = pairs["level"][:, level]
    keys = np.unique(records["height"].astype(np.int64) << 32 | records["width"]).tolist()
    sizes = {(key >> 32, key & 0xFFFFFFFF) for key in keys if key}
    in_registers = {size for size in sizes if register_sweep(*size, limits)[0] > 0}
    in_ring = {size for size in sizes - in_registers if sweep_depth(*size, limits) > 0}
    solvers = []
    first = sum(len(members) for members in order)
    chosen_sizes = (in_registers, in_ring, sizes - in_registers - in_ring)
    for kernel, chosen in zip(SOLVERS, chosen_sizes, strict=True):
        if not chosen:
            continue
        if kernel == "solve_in_registers":
            sweeps = {size: register_sweep(*size, limits) for size in chosen}
            threads = max(sweep[0] * _lanes(size[1]) for size, sweep in sweeps.items())
            shared_bytes = _register_bytes(max(stages for _, stages in sweeps.values()))
        else:
            threads = max(_threads(width, limits.threads) for _, width in chosen)
            shared_bytes = 0
        count = 0
        for height, width in sorted(chosen, key=lambda size: (-size[0] * size[1], size)):
            is_member = (records["height"] == height) & (records["width"] == width)
            if kernel == "solve_in_registers":
                groups, stages = sweeps[height, width]
                records["depth"][is_member] = groups * stages
                records["groups"][is_member], records["stages"][is_member] = groups, stages
                records["pitch"][is_member] = pixel_pitch(width)
            else:
                depth = sweep_depth(height, width, replace(limits, threads=threads))
                rows = 2 * depth + 1 if depth else 0
                shared_bytes = max(shared_bytes, _shared_bytes(width, rows=rows))
                records["depth"][is_member] = max(depth, 1)
            order.append(np.flatnonzero(is_member))
            count += len(order[-1])
        solvers.append((kernel, count, threads, shared_bytes, first))
        first += count
    return solvers


def _shared_bytes(width_px: int, *, rows: int) -> int:
    """Return the dynamic shared memory of the solver: orders, a sum per column, rows of cells."""
    columns = (width_px + 1) // 2 * 2
    ring = rows * FLOAT_BYTES * cell_pitch(width_px)
    return _ORDERS_BYTES + _DOUBLE_BYTES * columns + ring


def _register_bytes(stages: int) -> int:
    """Return that of the solver in registers: orders, a sum per thread, what is exchanged."""
    return _ORDERS_BYTES + _DOUBLE_BYTES * REGISTER_THREADS + stages * STAGE_BYTES


def _lanes(width_px: int) -> int:
    """Return the threads of a group of the solver in registers: whole warps."""
    return -(-width_px // _WARP_THREADS) * _WARP_THREADS


def _threads(width_px: int, most: int) -> int:
    """Return how many threads deal best with rows of `width_px`: whole rows, or even parts."""
    if width_px > most:
        width_px = -(-width_px // -(-width_px // most))
    threads = most // width_px * width_px
    return -(-threads // _WARP_THREADS) * _WARP_THREADS


def _tiles(records: Records, level: int) -> tuple[int, int, int]:
    """Return the grid of tiles that covers the largest frame or pair of a level, for all."""
    sizes = records["level"][:, level]
    columns, rows, _ = _TILE
    return (
        -(-int(sizes["width"].max()) // columns),
        -(-int(sizes["height"].max()) // rows),
        len(records),
    )

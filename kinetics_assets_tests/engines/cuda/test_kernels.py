"""The CUDA kernels, compiled by g++: the oracle's bits at every size, depth and company.

With the solvers in a ring and in place; the one in registers has tests of its own.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kinetics_assets.engines import cpu, reference, tvl1
from kinetics_assets.engines.cuda.batches import Solved
from kinetics_assets.engines.cuda.memory import ClipShape
from kinetics_assets.engines.cuda.plan import plan_batch
from kinetics_assets.engines.cuda.queue import BatchQueue
from kinetics_assets.engines.quantise import quantise
from kinetics_assets_tests.engines.cuda.shim import EXACT, ShimDevice, TurnOrder, compiled
from kinetics_assets_tests.engines.moving import (
    clip_pair,
    moving_texture,
    share_within_one_level,
)

SIZES = [
    (64, 48),
    (61, 45),  # odd, and no multiple of a tile or of four
    (136, 104),
    (40, 72),  # portrait
    (33, 17),  # the second level is narrower than 16, so there is none
    (18, 15),  # one level, below the limit
    (5, 3),
    (1, 1),
]


_device = partial(ShimDevice, in_registers=False)


def _solved(device: ShimDevice, pair: NDArray[np.uint8]) -> Solved[np.float32]:
    """Return the flow of one pair."""
    return BatchQueue(device).solve([pair], np.float32)[0]


def _assert_is(ours: Solved[np.float32], oracle: tvl1.PairSolution) -> None:
    """Hold one pair against its oracle: iterations, flow, grey levels."""
    assert ours.iterations[0].tolist() == oracle.iterations.tolist()
    assert np.abs(ours.flow[0] - oracle.flow).max() <= 1e-3  # what is promised
    assert np.array_equal(ours.flow[0], oracle.flow)  # what is kept


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_is_the_oracle_at_every_size(width: int, height: int) -> None:
    """Iterations, flow and grey levels are the oracle's, bit for bit."""
    pair = moving_texture(1.4, 0.7, width_px=width, height_px=height)
    oracle = reference.solve_pair(*pair)
    device = _device(threads=32 if width < 100 else 160)
    _assert_is(_solved(device, pair), oracle)
    grey = BatchQueue(device).solve([pair], np.uint8, bound_px=1.5)[0]
    assert np.array_equal(grey.flow[0], quantise(oracle.flow, bound_px=1.5))
    assert grey.iterations[0].tolist() == oracle.iterations.tolist()


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 7, 16])
def test_depth_of_sweeps_changes_nothing(depth: int) -> None:
    """Whatever number of iterations a sweep runs, the result is the same."""
    pair = moving_texture(-0.8, 1.2, width_px=37, height_px=26)
    device = _device_of_depth(depth, width=37, height=26)
    _assert_is(_solved(device, pair), reference.solve_pair(*pair))


def _device_of_depth(depth: int, *, width: int, height: int) -> ShimDevice:
    """Return a device whose shared memory and threads make sweeps of `depth` the best choice."""
    shared_bytes = 16 + 8 * (width + 1) + 4 * (2 * depth + 1) * (9 * width + 3)
    threads = -(-depth * width // 32) * 32
    device = _device(shared_bytes=shared_bytes, threads=threads)
    plan = plan_batch([ClipShape(2, height, width)], device.limits, grey=True)
    assert plan.pairs["level"]["depth"][0, 0] == depth
    return device


@pytest.mark.parametrize("threads", [32, 64, 320, 1024])
def test_number_of_threads_changes_nothing(threads: int) -> None:
    """Fewer threads than columns, several rows of threads, threads left over: the same bits."""
    pair = moving_texture(0.9, -0.4, width_px=50, height_px=20)
    _assert_is(_solved(_device(threads=threads), pair), reference.solve_pair(*pair))


@pytest.mark.parametrize("turns", ["backward", "shuffled"])
@pytest.mark.parametrize("shared_bytes", [1 << 10, 1 << 16])
def test_no_barrier_is_missing(turns: TurnOrder, shared_bytes: int) -> None:
    """Threads that take turns in another order between barriers get the same bits."""
    pair = moving_texture(1.1, 0.6, width_px=34, height_px=30)
    device = _device(turns=turns, shared_bytes=shared_bytes)
    _assert_is(_solved(device, pair), reference.solve_pair(*pair))


@pytest.mark.parametrize(("width", "height"), [(64, 48), (61, 45)])
def test_works_where_no_ring_fits(width: int, height: int) -> None:
    """Without room for three rows in shared memory the same sweeps run on device memory."""
    pair = moving_texture(1.4, 0.7, width_px=width, height_px=height)
    device = ShimDevice(shared_bytes=1024)
    plan = plan_batch([ClipShape(2, height, width)], device.limits, grey=False)
    assert "solve_in_place" in {launch.kernel for launch in plan.launches}
    _assert_is(_solved(device, pair), reference.solve_pair(*pair))


def test_frames_4096_wide_work() -> None:
    """With the shared memory of the largest devices too, such rows are solved in place."""
    pair = moving_texture(0.3, 0.2, width_px=4096, height_px=17)
    device = ShimDevice(shared_bytes=232_448, threads=1024)
    plan = plan_batch([ClipShape(2, 17, 4096)], device.limits, grey=False)
    assert "solve_in_place" in {launch.kernel for launch in plan.launches}
    _assert_is(_solved(device, pair), cpu.solve_pair(*pair))


def test_a_pair_does_not_depend_on_its_company() -> None:
    """Alone, among other sizes, cut out of its clip, with another budget: the same bits."""
    random = np.random.default_rng(3)
    clips = [
        np.concatenate([moving_texture(0.6, 0.3, width_px=40, height_px=30) for _ in range(2)]),
        random.integers(0, 256, (2, 22, 51), dtype=np.uint8),
        moving_texture(2.0, -1.0, width_px=64, height_px=20),
        random.integers(0, 256, (3, 12, 9), dtype=np.uint8),
    ]
    together = BatchQueue(ShimDevice()).solve(clips, np.float32)
    few = ShimDevice(threads=32)
    apart = BatchQueue(few, budget_bytes=200_000).solve(clips, np.float32)
    assert len(few.batches) > 3
    for frames, ours, other in zip(clips, together, apart, strict=True):
        assert np.array_equal(ours.flow, other.flow)
        for pair in range(len(frames) - 1):
            alone = _solved(ShimDevice(threads=64), frames[pair : pair + 2])
            assert np.array_equal(alone.flow[0], ours.flow[pair])
            assert np.array_equal(alone.iterations[0], ours.iterations[pair])


@pytest.mark.parametrize("first", [100, 186])
def test_is_the_oracle_on_real_footage(first: int) -> None:
    """Fast motion and a scene cut, where rounding differences would grow and sweeps are many."""
    pair = clip_pair("bikes", first, width_px=68, height_px=51)
    oracle = reference.solve_pair(*pair)
    ours = _solved(_device(), pair)
    if first == 186:
        assert ours.iterations.max() == tvl1.MAX_ITERATIONS
    _assert_is(ours, oracle)


def test_equal_frames_do_not_move() -> None:
    """Equal frames have exactly zero flow, after two iterations of each warp."""
    frame = moving_texture(0, 0, width_px=40, height_px=30)[0]
    ours = _solved(ShimDevice(), np.stack([frame, frame]))
    assert not ours.flow.any()
    assert (ours.iterations == 2).all()


def test_flat_frames_do_not_move() -> None:
    """Without any gradient the data term has no direction, and nothing moves."""
    pair = np.stack([np.full((24, 30), value, np.uint8) for value in (10, 200)])
    assert not _solved(ShimDevice(), pair).flow.any()


def test_a_shift_by_whole_pixels_is_found() -> None:
    """A texture that moves by (3, -2) pixels is followed in its inner part."""
    pair = moving_texture(3.0, -2.0, width_px=96, height_px=72)
    inner = _solved(ShimDevice(), pair).flow[0, :, 16:-16, 16:-16]
    assert np.median(inner[0]) == pytest.approx(3.0, abs=0.2)
    assert np.median(inner[1]) == pytest.approx(-2.0, abs=0.2)


@pytest.mark.parametrize("least_exponent", [-149, -110, -60, -12])
def test_shared_divisions_are_the_plain_ones(least_exponent: int) -> None:
    """Zeros, numbers that underflow, large ones: each step of a cell is that of plain arithmetic.

    Gradients are those that 8-bit frames can have, the rest is anything.
    """
    random = np.random.default_rng(abs(least_exponent))
    count = 200_000
    size = np.exp2(random.uniform(least_exponent, 22, (count, 4, 9)))
    cells = (size * random.choice([-1.0, 1.0], size.shape)).astype(np.float32)
    cells[random.random(cells.shape) < 0.2] = 0
    cells[:, :, 6:8] = (
        random.uniform(-160, 160, (count, 4, 2)) * random.choice([1, 1e-3, 0], count)[:, None, None]
    )
    equal = random.random(count) < 0.3  # no difference of u, as in flat parts
    cells[equal, 1:3, :2] = cells[equal, :1, :2]
    inside = random.random(count) < 0.5  # small enough a residual for the division to count
    cells[inside, 0, :2] *= np.float32(1e-6)
    cells[inside, 0, 8] *= np.float32(1e-7)
    library = ctypes.CDLL(str(compiled(*EXACT)))
    for wrong_steps in (library.wrong_steps, library.wrong_register_steps):
        wrong_steps.restype = ctypes.c_long
        assert wrong_steps(ctypes.c_void_p(cells.ctypes.data), ctypes.c_long(count)) == 0


def test_what_contraction_would_cost() -> None:
    """Fused multiply-adds change the bits: the reason why the kernels are compiled without them."""
    pair = clip_pair("bikes", 100, width_px=68, height_px=51)
    exact = BatchQueue(ShimDevice()).solve([pair], np.uint8, bound_px=20)[0].flow
    if "fma" not in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        pytest.skip("this processor has no fused multiply-add")
    library = compiled("-O2", "-march=native", "-ffp-contract=fast")
    fused = BatchQueue(ShimDevice(library=library)).solve([pair], np.uint8, bound_px=20)[0].flow
    assert not np.array_equal(fused, exact)
    assert share_within_one_level(fused, exact) > 0.8


def test_sanitizers_find_nothing() -> None:
    """Address and undefined-behaviour sanitizers: no access outside, no overflow, in any kernel."""
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    runtime = subprocess.run(
        ["g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=False
    ).stdout.strip()
    if not Path(runtime).is_absolute():
        pytest.skip("g++ has no address sanitizer here")
    library = compiled("-O1", "-g", "-march=native", "-ffp-contract=off", *sanitizers)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("sanitized.py")), str(library)],
        env={
            **os.environ,
            "LD_PRELOAD": runtime,
            "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "every bit is right\n"

"""The solver in registers, compiled by g++: the oracle's bits, whoever takes turns and how deep."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kinetics_assets.engines import reference, tvl1
from kinetics_assets.engines.cuda import plan
from kinetics_assets.engines.cuda.memory import ClipShape
from kinetics_assets.engines.cuda.queue import BatchQueue
from kinetics_assets_tests.engines.cuda.shim import HERE, ShimDevice, TurnOrder
from kinetics_assets_tests.engines.moving import clip_pair, moving_texture

LARGE = 232_448
SPLITS = [(1, 1), (2, 1), (3, 2), (1, 3), (4, 3)]


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> tuple[int, int]:
    """Return groups and iterations of each, as the parameter says; plans choose no others."""
    chosen: tuple[int, int] = request.param
    monkeypatch.setattr(plan, "register_sweep", lambda *_: chosen)
    return chosen


def _assert_is_the_oracle(device: ShimDevice, *pairs: NDArray[np.uint8]) -> int:
    """Hold pairs, solved in one batch, against oracles; return the most iterations of a warp."""
    most = 0
    for pair, solved in zip(pairs, BatchQueue(device).solve(pairs, np.float32), strict=True):
        oracle = reference.solve_pair(*pair)
        assert solved.iterations[0].tolist() == oracle.iterations.tolist()
        assert np.array_equal(solved.flow[0], oracle.flow)
        most = max(most, int(solved.iterations.max()))
    assert device.batches == [len(pairs)]
    return most


@pytest.mark.parametrize("split", SPLITS, indirect=True)
def test_the_split_of_sweeps_changes_nothing(split: tuple[int, int]) -> None:
    """One group of threads or more, one iteration each or more: the same bits."""
    assert split in SPLITS
    pair = moving_texture(-0.8, 1.2, width_px=37, height_px=26)
    _assert_is_the_oracle(ShimDevice(shared_bytes=LARGE), pair)


@pytest.mark.parametrize("split", [(2, 3)], indirect=True)
@pytest.mark.parametrize(
    ("width", "height"), [(64, 48), (65, 21), (96, 70), (5, 3), (1, 9), (33, 1), (1, 1)]
)
def test_is_the_oracle_at_every_size(width: int, height: int, split: tuple[int, int]) -> None:
    """Whole warps, a lane too many, fewer rows than iterations, one column, one row."""
    assert split == (2, 3)
    pair = moving_texture(1.4, 0.7, width_px=width, height_px=height)
    _assert_is_the_oracle(ShimDevice(shared_bytes=LARGE), pair)


@pytest.mark.parametrize("split", [(2, 3), (3, 1), (2, 2)], indirect=True)
@pytest.mark.parametrize("turns", ["backward", "shuffled"])
def test_no_barrier_is_missing(turns: TurnOrder, split: tuple[int, int]) -> None:
    """Threads that take turns in another order between barriers get the same bits."""
    assert split
    pair = moving_texture(1.1, 0.6, width_px=41, height_px=30)
    _assert_is_the_oracle(ShimDevice(turns=turns, shared_bytes=LARGE), pair)


@pytest.mark.parametrize("split", [(2, 3)], indirect=True)
def test_is_the_oracle_on_a_scene_cut(split: tuple[int, int]) -> None:
    """Real footage whose iterations reach their limit, in one batch with another size."""
    assert split == (2, 3)
    pair = clip_pair("bikes", 186, width_px=52, height_px=39)
    other = moving_texture(0.4, 0.2, width_px=40, height_px=20)
    most = _assert_is_the_oracle(ShimDevice(shared_bytes=LARGE), other, pair)
    assert most == tvl1.MAX_ITERATIONS


def test_a_batch_may_take_all_solvers() -> None:
    """What fits is solved in registers, what is too wide in the ring or in place, in one batch."""
    sizes = [(64, 30), (100, 20), (700, 5)]
    pairs = [moving_texture(0.9, 0.3, width_px=w, height_px=h) for w, h in sizes]
    device = ShimDevice(threads=64)
    planned = plan.plan_batch(
        [ClipShape(2, *pair.shape[1:]) for pair in pairs], device.limits, grey=False
    )
    assert {launch.kernel for launch in planned.launches if launch.level == 0} >= {*plan.SOLVERS}
    _assert_is_the_oracle(device, *pairs)


def test_the_ring_can_be_asked_for() -> None:
    """A bench compares the two: the limits of a device say whether registers may be used."""
    shapes = [ClipShape(2, 256, 340)]
    kernels = {
        wanted: {
            launch.kernel
            for launch in plan.plan_batch(
                shapes, plan.DeviceLimits(LARGE, in_registers=wanted), grey=True
            ).launches
        }
        for wanted in (True, False)
    }
    assert "solve_in_registers" in kernels[True]
    assert "solve_in_registers" not in kernels[False]
    assert "solve_in_ring" in kernels[False]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("if (threadIdx.x < 3) __syncthreads();", "did not reach a barrier"),
        (
            "if (threadIdx.x < 3) { __syncthreads();\n } else { __syncthreads(); }",
            "wait at the barriers of lines",
        ),
    ],
)
def test_the_shim_sees_threads_that_part(tmp_path: Path, body: str, problem: str) -> None:
    """A barrier that some threads miss, or meet elsewhere, ends the process: no test passes."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to compile the kernels with")
    source = tmp_path / "part.cpp"
    source.write_text(
        f'#include "cushim.h"\nstatic void kernel()\n{{\n{body}\n}}\n'
        "int main() { shim::launch({1, 1, 1}, {8, 1, 1}, 0, shim::forward, kernel); }\n"
    )
    program = tmp_path / "part"
    subprocess.run([compiler, "-std=c++17", "-O2", f"-I{HERE}", source, "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert problem in done.stderr

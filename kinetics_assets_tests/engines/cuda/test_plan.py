"""Plans of batches: everything once, nothing over another, nothing beyond the device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.engines import tvl1
from kinetics_assets.engines.cuda.memory import ClipShape, cell_pitch, clip_bytes
from kinetics_assets.engines.cuda.plan import (
    MOST_STAGES,
    REGISTER_THREADS,
    STAGE_BYTES,
    DeviceLimits,
    macros,
    plan_batch,
    register_sweep,
    sweep_depth,
)

H200 = DeviceLimits(232_448)
TURING = DeviceLimits(65_536)

shapes = st.builds(ClipShape, st.integers(2, 4), st.integers(1, 90), st.integers(1, 700))
limits = st.builds(
    DeviceLimits, st.integers(1, 60).map(lambda k: 4096 * k), st.sampled_from([32, 96, 512, 1024])
)


@given(st.lists(shapes, min_size=1, max_size=4), limits, st.booleans())
def test_nothing_lies_over_another(
    clips: list[ClipShape], device: DeviceLimits, grey: bool
) -> None:
    """Each plane, texture, field and result has a place of its own, aligned for whole vectors."""
    plan = plan_batch(clips, device, grey=grey)
    pieces = []
    for frame in plan.frames:
        height, width = frame["level"][0]["height"], frame["level"][0]["width"]
        if frame["texture"] >= 0:
            pieces.append((frame["texture"], 4 * height * width))
        levels = frame["level"][frame["level"]["height"] > 0]
        pieces += [(level["plane"], level["height"] * level["width"]) for level in levels]
    for pair in plan.pairs:
        level = pair["level"]
        pieces.append((pair["cells"], level["height"][0] * level["pitch"][0]))
        if pair["levels"] > 1:
            pieces.append((pair["coarse"], 2 * level["height"][1] * level["width"][1]))
        assert plan.frames[pair["second"]]["texture"] >= 0
    pieces.sort()
    ends = [start + length for start, length in pieces]
    assert all(end <= start for end, (start, _) in zip(ends, pieces[1:], strict=False))
    assert ends[-1] <= plan.arena_floats
    assert all(start % 4 == 0 for start, _ in pieces)
    assert plan.results == sum(2 * (t - 1) * h * w for t, h, w in clips)
    assert plan.pixels == sum(t * h * w for t, h, w in clips)
    assert 4 * plan.arena_floats + plan.pixels + 4 * plan.results <= sum(map(clip_bytes, clips))


@given(st.lists(shapes, min_size=1, max_size=4), limits)
def test_each_pair_is_solved_once_per_level_and_warp(
    clips: list[ClipShape], device: DeviceLimits
) -> None:
    """On every level that it has, five times, within the memory and threads of the device."""
    plan = plan_batch(clips, device, grey=True)
    solved = np.zeros((len(plan.pairs), tvl1.SCALES, tvl1.WARPS), np.int64)
    for launch in plan.launches:
        threads = launch.block[0] * launch.block[1] * launch.block[2]
        assert threads % 32 == 0
        assert threads <= max(device.threads, 256)
        if not launch.kernel.startswith("solve"):
            continue
        members = plan.order[launch.first : launch.first + launch.grid[0]]
        solved[:, launch.level, launch.warp] += np.bincount(members, minlength=len(solved))
        records = plan.pairs["level"][members, launch.level]
        if launch.kernel == "solve_in_registers":
            lanes = -(-records["width"] // 32) * 32
            assert (records["groups"] * lanes).max() <= threads <= REGISTER_THREADS
            assert np.array_equal(records["groups"] * records["stages"], records["depth"])
            assert 1 <= records["stages"].max() <= MOST_STAGES
            need = 16 + 8 * REGISTER_THREADS + records["stages"].max() * STAGE_BYTES
            assert need <= launch.shared_bytes <= device.shared_bytes
            assert np.array_equal(records["pitch"], -(-10 * records["width"] // 4) * 4)
            continue
        assert not records["groups"].any()
        rows = 2 * records["depth"] + 1 if launch.kernel == "solve_in_ring" else 0
        columns = (records["width"] + 1) // 2 * 2
        need = 16 + 8 * columns + rows * 4 * records["pitch"]
        assert need.max() <= launch.shared_bytes
        if launch.kernel == "solve_in_ring":
            assert launch.shared_bytes <= device.shared_bytes
    present = np.arange(tvl1.SCALES) < plan.pairs["levels"][:, None]
    assert np.array_equal(solved, np.repeat(present[:, :, None], tvl1.WARPS, axis=2))


def test_the_usual_frame_fills_the_usual_devices() -> None:
    """340x256 in a ring: six iterations a sweep where shared memory is large, two on Turing.

    The numbers come from a model; a change of it should be seen.
    """
    assert sweep_depth(256, 340, H200) == 6
    assert sweep_depth(256, 340, DeviceLimits(166_912)) == 6  # A100
    assert sweep_depth(256, 340, DeviceLimits(101_376)) == 3  # RTX 3090, 4090
    assert sweep_depth(256, 340, TURING) == 2
    plan = plan_batch([ClipShape(2, 256, 340)], replace(H200, in_registers=False), grey=True)
    threads = [launch.block[0] for launch in plan.launches if launch.kernel == "solve_in_ring"]
    assert min(threads) >= 800


def test_the_usual_frame_is_solved_in_registers() -> None:
    """340x256: two groups of threads, with as many iterations each as shared memory has room for.

    Where the columns are more than the threads, and where no register is to be used, there is none.
    """
    assert register_sweep(256, 340, H200) == (2, 3)
    assert register_sweep(256, 340, DeviceLimits(166_912)) == (2, 3)  # A100
    assert register_sweep(256, 340, DeviceLimits(101_376)) == (2, 2)  # RTX 3090, 4090
    assert register_sweep(256, 340, TURING) == (2, 1)
    assert register_sweep(256, 340, replace(H200, in_registers=False)) == (0, 0)
    assert register_sweep(720, 1280, H200) == (0, 0)
    plan = plan_batch([ClipShape(2, 256, 340)], H200, grey=True)
    solvers = {launch.kernel for launch in plan.launches if launch.kernel.startswith("solve")}
    assert solvers == {"solve_in_registers"}


def test_wide_frames_have_a_way() -> None:
    """HD fits into the ring of the largest devices; 4096 columns fit into none."""
    assert sweep_depth(1080, 1920, H200) == 1
    assert sweep_depth(2160, 4096, H200) == 0
    assert sweep_depth(1080, 1920, TURING) == 0
    assert cell_pitch(4095) % 4 == 0


def test_one_batch_is_about_seventy_launches() -> None:
    """Whatever the number of pairs: the launches are per step, not per pair."""
    few = plan_batch([ClipShape(2, 256, 340)], H200, grey=True)
    many = plan_batch([ClipShape(300, 256, 340)], H200, grey=True)
    assert len(few.launches) == len(many.launches) < 75


@pytest.mark.parametrize(
    ("clips", "problem"),
    [
        ([], "two frames"),
        ([ClipShape(1, 20, 20)], "two frames"),
        ([ClipShape(2, 20_000, 20_000)], "pixels"),
        ([ClipShape(70_000, 1, 1)], "65535 frames"),
    ],
)
def test_what_no_device_can_hold_is_refused(clips: list[ClipShape], problem: str) -> None:
    """A batch beyond the records' limits is an error of the caller."""
    with pytest.raises(ValueError, match=problem):
        plan_batch(clips, H200, grey=True)


def test_constants_are_those_of_the_profile() -> None:
    """The compiler gets the method's numbers as exact float32, from the one place they stand."""
    definitions = macros()
    exact = np.float32(float.fromhex(definitions["LAMBDA_THETA"].removesuffix("f")))
    assert exact == np.float32(tvl1.LAMBDA * tvl1.THETA)
    assert definitions["MAX_ITERATIONS"] == "300"

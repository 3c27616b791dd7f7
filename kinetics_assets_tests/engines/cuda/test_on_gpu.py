"""What only a device can show. Skipped without one; fails instead with KINETICS_REQUIRE_GPU=1."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from kinetics_assets.engines import cpu, reference
from kinetics_assets.engines.cuda.batches import Solved
from kinetics_assets.engines.cuda.device import CupyDevice
from kinetics_assets.engines.cuda.engine import CudaEngine
from kinetics_assets.engines.cuda.queue import BatchQueue
from kinetics_assets.engines.quantise import quantise
from kinetics_assets_tests.engines.moving import (
    clip_pair,
    moving_texture,
    share_within_one_level,
)

pytestmark = pytest.mark.gpu

FULL = {"width_px": 340, "height_px": 256}
CLIPS = ("bikes", "carphone", "bigbuckbunny", "wolfgang", "face_noface")
FIRSTS = range(0, 120, 3)
CUT_LEVELS = 40


@cache
def _device() -> CupyDevice:
    """Return the device, one for all tests."""
    return CupyDevice()


def _solved(pair: NDArray[np.uint8]) -> Solved[np.float32]:
    """Return the flow of one pair."""
    return BatchQueue(_device()).solve([pair], np.float32)[0]


@pytest.mark.parametrize(
    ("width", "height"), [(64, 48), (61, 45), (136, 104), (40, 72), (33, 17), (18, 15), (1, 1)]
)
def test_is_the_oracle_at_every_size(width: int, height: int) -> None:
    """Iterations are the oracle's, and flow is within 1e-3 of it; it should be equal."""
    pair = moving_texture(1.4, 0.7, width_px=width, height_px=height)
    oracle, ours = reference.solve_pair(*pair), _solved(pair)
    assert ours.iterations[0].tolist() == oracle.iterations.tolist()
    assert np.abs(ours.flow[0] - oracle.flow).max() <= 1e-3
    assert np.array_equal(ours.flow[0], oracle.flow)


@pytest.mark.slow
def test_agrees_with_the_oracle_on_200_real_pairs() -> None:
    """Median of 99.9 % of samples within one level, 98 % in each pair that is no scene cut.

    The CPU engine stands in for the oracle, which has the same bits and takes minutes for these.
    """
    pairs = [clip_pair(name, first, **FULL) for name in CLIPS for first in FIRSTS]
    assert len(pairs) >= 200
    ours = BatchQueue(_device()).solve(pairs, np.uint8, bound_px=20)
    shares, equal = [], 0
    for pair, solved in zip(pairs, ours, strict=True):
        levels = quantise(cpu.solve_pair(*pair).flow, bound_px=20)
        equal += np.array_equal(levels, solved.flow[0])
        if np.abs(pair[0].astype(np.int16) - pair[1]).mean() <= CUT_LEVELS:
            shares.append(share_within_one_level(levels, solved.flow[0]))
    assert np.median(shares) >= 0.999
    assert min(shares) >= 0.98
    assert equal == len(pairs)


def test_a_pair_does_not_depend_on_its_company() -> None:
    """Alone and inside a batch of uneven sizes: the same bits."""
    clips = [clip_pair("bikes", first, **FULL) for first in (0, 84, 100, 186)]
    clips += [moving_texture(1.0, 0.5, width_px=w, height_px=h) for w, h in [(454, 256), (90, 160)]]
    together = BatchQueue(_device()).solve(clips, np.float32)
    for clip, solved in zip(clips, together, strict=True):
        alone = _solved(clip)
        assert np.array_equal(alone.flow, solved.flow)
        assert np.array_equal(alone.iterations, solved.iterations)


def test_wide_frames_work() -> None:
    """Rows that fit no ring are solved in place: HD, and 4096 columns."""
    for width, height in [(1920, 64), (4096, 32)]:
        pair = moving_texture(0.7, 0.3, width_px=width, height_px=height)
        assert np.array_equal(_solved(pair).flow[0], cpu.solve_pair(*pair).flow)


def test_a_small_budget_changes_nothing() -> None:
    """Batches of a few pairs give the same bits as one."""
    clip = np.repeat(clip_pair("carphone", 30, **FULL), 2, axis=0)
    expected = CudaEngine().flow_u8(clip, bound_px=20)
    cut = CudaEngine(budget_bytes=1 << 24).flow_u8(clip, bound_px=20)
    assert np.array_equal(cut, expected)


def test_versions_name_what_made_the_flow() -> None:
    """Kernels and CuPy, so that a manifest can record them."""
    assert set(CudaEngine().versions()) == {"cuda_kernels", "cupy"}

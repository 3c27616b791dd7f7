"""The oracle itself: properties that hold for the method, checked without any other code of it."""

from __future__ import annotations

import numpy as np
import pytest

from kinetics_assets.engines import tvl1
from kinetics_assets.engines.reference import solve_pair
from kinetics_assets_tests.engines.moving import end_point_error_px, moving_texture


def test_equal_frames_do_not_move() -> None:
    """Two equal frames have exactly zero flow, after the two iterations before the first test."""
    frame = moving_texture(0, 0, width_px=64, height_px=48)[0]
    solution = solve_pair(frame, frame)
    assert not solution.flow.any()
    assert (solution.iterations == 2).all()


def test_flat_frames_do_not_move() -> None:
    """Without any gradient nothing moves, even where the brightness changes."""
    dark, bright = np.full((2, 40, 40), [[[10]], [[200]]], np.uint8)
    assert not solve_pair(dark, bright).flow.any()


@pytest.mark.parametrize(("dx_px", "dy_px"), [(3, 0), (0, -2), (-4, 3)])
def test_integer_shift_is_found(dx_px: int, dy_px: int) -> None:
    """A whole-pixel move is recovered away from the borders."""
    first, second = moving_texture(dx_px, dy_px)
    assert end_point_error_px(solve_pair(first, second).flow, dx_px, dy_px) < 0.1


def test_subpixel_shift_is_found() -> None:
    """A move by parts of a pixel is recovered away from the borders."""
    first, second = moving_texture(1.3, -0.6)
    assert end_point_error_px(solve_pair(first, second).flow, 1.3, -0.6) < 0.1


def test_iterations_are_even_and_bounded() -> None:
    """Each warp runs an even number of iterations from 2 to 300: tests are at odd numbers."""
    random = np.random.default_rng(3)
    first, second = random.integers(0, 256, (2, 40, 50), dtype=np.uint8)
    iterations = solve_pair(first, second).iterations
    assert iterations.shape == (len(tvl1.level_sizes(40, 50)), tvl1.WARPS)
    assert (iterations % 2 == 0).all()
    assert iterations.min() >= 2
    assert iterations.max() == tvl1.MAX_ITERATIONS


def test_sixteen_pixels_wide() -> None:
    """The narrowest frame that has no second level is solved without a NaN."""
    random = np.random.default_rng(4)
    first, second = random.integers(0, 256, (2, 60, 16), dtype=np.uint8)
    solution = solve_pair(first, second)
    assert solution.iterations.shape[0] == 1
    assert np.isfinite(solution.flow).all()

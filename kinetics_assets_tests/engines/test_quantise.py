"""Flow in pixels to grey levels and back."""

from __future__ import annotations

import numpy as np
import pytest

from kinetics_assets.engines.quantise import dequantise, quantise


def test_known_values() -> None:
    """The ends, zero and what lies beyond the bound get denseflow's grey levels."""
    flow = np.array([-20, 20, 0, -20.001, 1e9, -np.inf, np.inf, 0.08], np.float32)
    assert quantise(flow, bound_px=20).tolist() == [0, 255, 128, 0, 255, 0, 255, 128]


def test_halves_round_to_even() -> None:
    """A value half way between two levels goes to the even one, as cvRound does."""
    flow = np.array([0.5, 1.5, 2.5, 254.5], np.float32) - np.float32(127.5)
    assert quantise(flow, bound_px=127.5).tolist() == [0, 2, 2, 254]


def test_there_and_back_is_within_half_a_level() -> None:
    """`dequantise` undoes `quantise` up to half a level, and `quantise` undoes it exactly."""
    flow = np.linspace(-20, 20, 10_001, dtype=np.float32)
    levels = quantise(flow, bound_px=20)
    assert np.abs(dequantise(levels, bound_px=20) - flow).max() <= 20 / 255 + 1e-5
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(quantise(dequantise(every, bound_px=20), bound_px=20), every)


def test_shape_and_input_are_kept() -> None:
    """The result has the shape of the flow, and the flow is not written to."""
    flow = np.full((3, 2, 4, 5), 1.25, np.float32)
    assert quantise(flow, bound_px=20).shape == flow.shape
    assert (flow == np.float32(1.25)).all()


def test_nan_is_an_error() -> None:
    """A NaN is never written as some grey level."""
    with pytest.raises(FloatingPointError, match="NaN"):
        quantise(np.array([0, np.nan], np.float32), bound_px=20)


@pytest.mark.parametrize("bound_px", [0.0, -20.0, float("nan"), float("inf")])
def test_bound_must_be_positive(bound_px: float) -> None:
    """A bound that maps nothing is refused in both directions."""
    with pytest.raises(ValueError, match="bound"):
        quantise(np.zeros(1, np.float32), bound_px=bound_px)
    with pytest.raises(ValueError, match="bound"):
        dequantise(np.zeros(1, np.uint8), bound_px=bound_px)

"""Gray conversion and resize against OpenCV's, within one grey level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kinetics_assets.engines.gray import bgr_to_gray, resize_gray
from kinetics_assets_tests.engines.moving import moving_texture

cv2 = pytest.importorskip("cv2", exc_type=ImportError, reason="cv2 lacks libGL here")

SIZES = [(1, 1), (3, 50), (85, 64), (128, 96), (170, 128), (171, 131), (340, 256), (256, 455)]


def _far_apart(ours: NDArray[np.uint8], theirs: NDArray[Any]) -> tuple[int, float]:
    """Return the largest difference in levels and the share of pixels that differ at all."""
    difference = np.abs(ours.astype(np.int16) - theirs)
    return int(difference.max()), float((difference > 0).mean())


@pytest.mark.parametrize("shape", [(1, 1), (37, 51), (64, 64), (240, 321)])
def test_gray_is_opencv_s(shape: tuple[int, int]) -> None:
    """The luma of random colours is OpenCV's, within one level and nearly always equal."""
    bgr = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    worst, differing = _far_apart(bgr_to_gray(bgr), cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY))
    assert worst <= 1
    assert differing <= 0.01


def test_gray_of_gray_is_itself() -> None:
    """Equal channels keep their value, white and black included."""
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(bgr_to_gray(np.dstack([ramp, ramp, ramp])), ramp)


@pytest.mark.parametrize("source", ["noise", "texture", "thin"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_resize_is_opencv_s(source: str, width: int, height: int) -> None:
    """Up or down, odd or even, noise or picture: OpenCV's bilinear resize within one level."""
    random = np.random.default_rng(2)
    gray = {
        "noise": random.integers(0, 256, (135, 241), dtype=np.uint8),
        "texture": moving_texture(0, 0, width_px=340, height_px=256)[0],
        "thin": random.integers(0, 256, (1, 7), dtype=np.uint8),
    }[source]
    ours = resize_gray(gray, width, height)
    worst, differing = _far_apart(ours, cv2.resize(gray, (width, height)))
    assert ours.shape == (height, width)
    assert worst <= 1
    assert differing <= 0.01


def test_same_size_is_a_copy() -> None:
    """Nothing is interpolated at the same size, and the result is not the argument."""
    gray = moving_texture(0, 0)[0]
    ours = resize_gray(gray, gray.shape[1], gray.shape[0])
    assert np.array_equal(ours, gray)
    assert not np.shares_memory(ours, gray)


def test_wrong_arrays_are_refused() -> None:
    """Wrong types, shapes and sizes are refused by name."""
    gray = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="BGR"):
        bgr_to_gray(gray)
    with pytest.raises(ValueError, match="0x4"):
        resize_gray(gray, 0, 4)
    with pytest.raises(ValueError, match="resize"):
        resize_gray(gray.astype(np.float32), 2, 2)

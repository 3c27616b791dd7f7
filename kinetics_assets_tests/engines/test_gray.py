"""Gray conversion and resize against OpenCV's, within one grey level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kinetics_assets.engines.gray import GrayMaker, bgr_to_gray, resize_gray
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


@pytest.mark.parametrize("shape", [(135, 241), (1, 7), (85, 64), (33, 64)])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_many_frames_are_made_like_single_ones(
    shape: tuple[int, int], width: int, height: int
) -> None:
    """Gray and resize of one frame after another give what both give apart, frame by frame."""
    random = np.random.default_rng(3)
    maker = GrayMaker(shape, width, height)
    for _ in range(3):
        bgr = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
        apart = resize_gray(bgr_to_gray(bgr), width, height)
        assert np.array_equal(maker.make(bgr), apart)


def test_every_colour_is_exact() -> None:
    """The luma is the integer formula, for all sums that floats of 32 bits have to hold."""
    random = np.random.default_rng(4)
    corners = np.stack(np.meshgrid(*[[0, 1, 127, 128, 254, 255]] * 3), -1).reshape(1, -1, 3)
    bgr = np.concatenate([corners, random.integers(0, 256, (1, 100_000, 3))], axis=1)
    wanted = (bgr @ np.array([3735, 19235, 9798]) + (1 << 14)) >> 15
    assert np.array_equal(bgr_to_gray(bgr.astype(np.uint8)), wanted)


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
    with pytest.raises(ValueError, match="Wanted"):
        GrayMaker((4, 4), 2, 2).make(np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(ValueError, match="0x4"):
        resize_gray(gray, 0, 4)
    with pytest.raises(ValueError, match="resize"):
        resize_gray(gray.astype(np.float32), 2, 2)

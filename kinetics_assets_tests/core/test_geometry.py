"""Sizes: rounding rules, orientation, squared samples, and what a size setting means."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.core import geometry
from kinetics_assets.core.errors import SettingsError
from kinetics_assets.core.geometry import Orientation, Size

SIDES = st.integers(1, 8192)
SIZES = st.builds(Size, SIDES, SIDES)


@pytest.mark.parametrize(
    ("size", "short", "expected"),
    [
        (Size(1280, 720), 256, Size(455, 256)),  # 455.11
        (Size(854, 480), 256, Size(455, 256)),  # 455.47
        (Size(720, 1280), 256, Size(256, 455)),
        (Size(340, 256), 256, Size(340, 256)),
        (Size(320, 240), 256, Size(320, 240)),  # never larger
        (Size(600, 400), 250, Size(375, 250)),
        (Size(513, 400), 200, Size(257, 200)),  # 256.5 goes up
        (Size(300, 300), 256, Size(256, 256)),
    ],
)
def test_denseflow_rounds_the_other_side_half_up(size: Size, short: int, expected: Size) -> None:
    """Only a longer short side is made shorter; the other side may be odd."""
    assert geometry.short_side(size, short, upscale=False) == expected


@pytest.mark.parametrize(
    ("size", "short", "expected"),
    [
        (Size(1280, 720), 256, Size(456, 256)),  # ffmpeg -vf scale=-2:256
        (Size(720, 1280), 256, Size(256, 456)),
        (Size(854, 480), 256, Size(456, 256)),
        (Size(641, 480), 256, Size(342, 256)),
        (Size(95, 63), 256, Size(94, 62)),  # not scaled: odd sides one shorter
        (Size(1, 1), 256, Size(2, 2)),
        (Size(10000, 10), 8, Size(8000, 8)),
    ],
)
def test_videos_have_even_sides(size: Size, short: int, expected: Size) -> None:
    """The other side is the nearest even number, as ffmpeg's -2 makes it."""
    assert geometry.even_short_side(size, short, upscale=False) == expected


def test_upscaling_is_done_on_demand_only() -> None:
    """A smaller picture grows only where that was asked for."""
    assert geometry.short_side(Size(320, 240), 256, upscale=True) == Size(341, 256)
    assert geometry.even_short_side(Size(320, 240), 256, upscale=True) == Size(342, 256)


@given(SIZES, st.integers(2, 1000))
def test_scaling_keeps_shape_and_never_grows(size: Size, short: int) -> None:
    """The short side is met or the size untouched; portrait stays portrait; error is rounding."""
    scaled = geometry.short_side(size, short, upscale=False)
    assert scaled.short_px == min(size.short_px, short) or scaled.short_px == 1
    assert scaled.width_px <= size.width_px
    assert scaled.height_px <= size.height_px
    assert (scaled.width_px > scaled.height_px) <= (size.width_px > size.height_px)
    exact = size.long_px * scaled.short_px / size.short_px
    assert abs(scaled.long_px - exact) <= 0.5


@given(SIZES, st.integers(2, 1000), st.booleans())
def test_even_sides_are_even(size: Size, short: int, upscale: bool) -> None:
    """Whatever comes in, the encoder gets even sides."""
    scaled = geometry.even_short_side(size, short, upscale=upscale)
    assert scaled.width_px % 2 == scaled.height_px % 2 == 0
    assert scaled.short_px >= 2


ONE = 65536
MATRICES = {
    "upright": ((ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30), Orientation()),
    "quarter left": ((0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30), Orientation(True, False, True)),
    "half": ((-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30), Orientation(False, True, True)),
    "quarter right": ((0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30), Orientation(True, True, False)),
    "mirrored": ((-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30), Orientation(False, True, False)),
    "empty": ((0,) * 9, Orientation()),
}


@pytest.mark.parametrize("name", MATRICES)
def test_display_matrices_are_understood(name: str) -> None:
    """The four turns, the mirror and an empty matrix."""
    matrix, expected = MATRICES[name]
    assert geometry.orientation_of(matrix) == expected


@pytest.mark.parametrize("name", MATRICES)
def test_orientation_moves_corners_as_the_matrix_says(name: str) -> None:
    """A corner goes where x' = x m0 + y m3, y' = x m1 + y m4 sends it."""
    matrix, way = MATRICES[name]
    if not any(matrix):
        return
    pixels = np.zeros((4, 6), np.uint8)
    pixels[0, -1] = 1  # the top right corner, at (+1, -1) from the centre
    if way.transpose:
        pixels = pixels.T
    if way.flip_horizontal:
        pixels = pixels[:, ::-1]
    if way.flip_vertical:
        pixels = pixels[::-1]
    right = matrix[0] - matrix[3] > 0
    down = matrix[1] - matrix[4] > 0
    row, column = (int(index[0]) for index in np.nonzero(pixels))
    assert (column > 0, row > 0) == (right, down)


@given(SIZES, st.builds(Orientation, st.booleans(), st.booleans(), st.booleans()))
def test_undoing_an_orientation_gives_the_stored_size(size: Size, way: Orientation) -> None:
    """`undo` is the inverse of `apply`."""
    assert way.undo(way.apply(size)) == size


def test_samples_are_squared_by_the_width() -> None:
    """720x576 with 16:15 samples is shown 768 wide; lines are never invented."""
    assert geometry.squared(Size(720, 576), Fraction(16, 15)) == Size(768, 576)
    assert geometry.squared(Size(720, 576), Fraction(1, 10_000)) == Size(1, 576)


@pytest.mark.parametrize(
    ("text", "upright", "expected"),
    [
        ("256", Size(1280, 720), Size(455, 256)),
        ("256", Size(100, 50), Size(100, 50)),
        ("340x256", Size(100, 50), Size(340, 256)),
        ("340x256", Size(1280, 720), Size(340, 256)),
        ("original", Size(1281, 721), Size(1281, 721)),
    ],
)
def test_a_size_setting_decides_the_size(text: str, upright: Size, expected: Size) -> None:
    """A short side never enlarges, a fixed size is met exactly, the original stays."""
    assert geometry.is_size(text)
    assert geometry.frame_size(upright, geometry.parse_size(text), upscale=False) == expected


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "256px", "340x", "x256", "0x256", "340\u00d7256", "٢٥٦", "1e3", "999999"],
)
def test_a_wrong_size_setting_is_refused(text: str) -> None:
    """The message shows what was got and what is allowed."""
    assert not geometry.is_size(text)
    with pytest.raises(SettingsError, match="340x256"):
        geometry.parse_size(text)

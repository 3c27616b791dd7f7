"""The numbers of the TV-L1 profile."""

from __future__ import annotations

import pytest

from kinetics_assets.engines import tvl1


def test_sizes_of_the_usual_frame() -> None:
    """The pyramid of 340x256 has the five sizes that OpenCV makes, rounded half to even."""
    assert tvl1.level_sizes(256, 340) == [
        (256, 340),
        (205, 272),
        (164, 218),
        (131, 174),
        (105, 139),
    ]


@pytest.mark.parametrize(
    ("height", "width", "levels"),
    [(1, 1, 1), (16, 200, 1), (19, 200, 1), (20, 20, 2), (25, 400, 3), (39, 39, 5)],
)
def test_no_level_below_sixteen_pixels(height: int, width: int, levels: int) -> None:
    """A level with a side below 16 pixels is dropped; level 0 stays whatever its size."""
    sizes = tvl1.level_sizes(height, width)
    assert len(sizes) == levels
    assert sizes[0] == (height, width)
    assert all(min(size) >= 16 for size in sizes[1:])


def test_a_large_frame_after_a_small_one_has_all_levels() -> None:
    """No state is kept between sizes (OpenCV's object keeps the lower number of scales)."""
    tvl1.level_sizes(16, 16)
    assert len(tvl1.level_sizes(256, 340)) == tvl1.SCALES

"""Planes of pictures: sizes by true means, levels and matrix to less than a level."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kinetics_assets.core.geometry import Size
from kinetics_assets.engines.planes import (
    BT709,
    DOWN_UNIT,
    Canvas,
    area_taps,
    colour_levels,
    fill,
    luma_levels,
    row_taps,
    to_bt601,
)

LEVELS: NDArray[np.uint8] = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize(
    ("source_px", "target_px"),
    [(1, 1), (7, 7), (7, 1), (9, 4), (480, 256), (854, 340), (1280, 340), (4096, 17)],
)
def test_taps_cover_the_source_once(source_px: int, target_px: int) -> None:
    """Shares of a target pixel sum to one, those of each source pixel to what it is worth."""
    for unit, taps in (
        (1 << 14, area_taps(source_px, target_px, 1 << 14)),
        (DOWN_UNIT, row_taps(source_px, target_px)),
    ):
        assert set(taps.shares.sum(axis=1).tolist()) == {unit}
        assert taps.first.min() >= 0
        assert taps.first.max() + taps.shares.shape[1] <= source_px
        worth = np.zeros(source_px)
        for first, shares in zip(taps.first, taps.shares, strict=True):
            worth[first : first + len(shares)] += shares / unit
        assert np.abs(worth - target_px / source_px).max() < 3 / unit


@pytest.mark.parametrize(("source_px", "target_px"), [(1000, 999), (257, 256), (3000, 2999)])
def test_shares_of_rows_fit_a_byte(source_px: int, target_px: int) -> None:
    """Also where a target row is all but one source row."""
    shares = row_taps(source_px, target_px).shares
    assert shares.min() >= 0
    assert shares.max() <= 255
    assert set(shares.sum(axis=1).tolist()) == {DOWN_UNIT}


def drawn(
    frame: tuple[NDArray[np.uint8], ...], size: Size, *, is_full: bool
) -> tuple[NDArray[np.uint8], ...]:
    """Return the planes of the picture of a frame."""
    canvas = Canvas(size)
    fill(canvas, frame, is_full=is_full)
    return canvas.views()


def test_smaller_pictures_are_means_over_areas() -> None:
    """Each pixel is the mean of the rectangle that it covers, to a level even in noise."""
    height, width, size = 45, 77, Size(30, 16)
    luma = np.random.default_rng(2).integers(0, 256, (height, width), dtype=np.uint8)
    colour = np.full((23, 39), 128, np.uint8)
    made = drawn((luma, colour, colour), size, is_full=True)[0]

    def cover(source_px: int, target_px: int) -> NDArray[np.float64]:
        edges = np.arange(target_px + 1) * source_px / target_px
        pixels = np.arange(source_px)
        overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        return np.clip(overlap, 0, None) * target_px / source_px

    wanted = cover(height, 16) @ luma @ cover(width, 30).T
    assert np.abs(made - wanted).max() < 1
    assert np.square(made - wanted).mean() < 0.11  # rounding alone is 1 / 12


def test_every_level_is_where_it_belongs() -> None:
    """Luma 16 to 235 and colour 16 to 240 fill the range, rounded; what lies beyond is cut."""
    rows, pairs = LEVELS.reshape(16, 16), LEVELS.reshape(16, 16).repeat(2, 0).repeat(2, 1)
    luma, blue, red = drawn((pairs, rows, rows), Size(32, 32), is_full=False)
    wanted = np.clip((pairs.astype(float) - 16) * 255 / 219, 0, 255)
    assert np.abs(luma - wanted).max() < 0.51
    colours = np.clip((rows.astype(float) - 128) * 255 / 224 + 128, 0, 255)
    assert np.abs(blue - colours).max() < 0.51
    assert np.array_equal(blue, red)
    untouched = drawn((pairs, rows, rows), Size(32, 32), is_full=True)
    assert np.array_equal(untouched[0], pairs)
    assert np.array_equal(untouched[1], rows)


@pytest.mark.parametrize("is_full", [False, True])
def test_flat_pictures_stay_flat_at_any_size(is_full: bool) -> None:
    """A level gives one level, whether its picture is made smaller or not."""
    for level in (0, 16, 77, 128, 235, 255):
        for size in (Size(40, 30), Size(23, 17)):
            planes = [np.full(shape, level, np.uint8) for shape in ((30, 40), (15, 20), (15, 20))]
            luma, blue, _ = drawn(tuple(planes), size, is_full=is_full)
            for plane, levels in (
                (luma, luma_levels(is_full=is_full)),
                (blue, colour_levels(is_full=is_full)),
            ):
                exact = (level - levels.black) * levels.gain / (1 << 14) + levels.neutral
                assert np.abs(plane - np.clip(exact, 0, 255)).max() <= 0.5


def test_the_matrix_of_hd_video_becomes_that_of_a_jpeg() -> None:
    """Planes of RGB colours by the one matrix become their planes by the other."""

    def planes(rgb: NDArray[np.float64], red: float, blue: float) -> NDArray[np.float64]:
        luma = rgb @ [red, 1 - red - blue, blue]
        return np.stack(
            [
                luma,
                128 + (rgb[:, 2] - luma) / (2 - 2 * blue),
                128 + (rgb[:, 0] - luma) / (2 - 2 * red),
            ]
        )

    rgb = np.random.default_rng(3).uniform(0, 255, (64, 3))
    rgb[:3] = 0, 255, 128
    given = planes(rgb, *BT709)
    canvas = Canvas(Size(16, 16))
    fill(
        canvas,
        (
            np.rint(given[0]).astype(np.uint8).reshape(8, 8).repeat(2, 0).repeat(2, 1),
            *(np.rint(plane).clip(0, 255).astype(np.uint8).reshape(8, 8) for plane in given[1:]),
        ),
        is_full=True,
    )
    to_bt601(canvas, matrix=BT709)
    luma, blue, red = canvas.views()
    wanted = planes(rgb, 0.299, 0.114)
    for found, exact in zip((luma[::2, ::2], blue, red), wanted, strict=True):
        assert np.abs(found.reshape(-1) - exact.clip(0, 255)).max() < 1.2
    assert np.array_equal(luma[::2, ::2], luma[1::2, 1::2])


def test_margins_repeat_the_last_column_and_row() -> None:
    """An encoder that reads whole groups of pixels finds nothing but the picture there."""
    canvas = Canvas(Size(17, 19))
    planes = [np.random.default_rng(4).integers(0, 256, s, dtype=np.uint8) for s in canvas.shapes]
    fill(canvas, planes, is_full=True)
    for plane, given in zip(canvas.planes, planes, strict=True):
        below, beside = (plane.shape[axis] - given.shape[axis] for axis in (0, 1))
        assert np.array_equal(plane, np.pad(given, ((0, below), (0, beside)), mode="edge"))

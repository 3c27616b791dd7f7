"""Limited range is stretched to full range, for every level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.core.geometry import Size
from kinetics_assets.media.full_range import FullRange

LEVELS: NDArray[np.uint8] = np.arange(256, dtype=np.uint8)


def stretched(luma: NDArray[np.uint8], colour: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """Return what becomes of planes; the height is odd, and they lie in larger memory."""
    maker = FullRange(Size(512, 3))
    wide = np.zeros((3, 600), np.uint8)
    wide[:, :512] = luma
    half = np.zeros((2, 300), np.uint8)
    half[:, :256] = colour
    return maker.stretch((wide[:, :512], half[:, :256], half[:, :256]))


def test_every_level_is_where_it_belongs() -> None:
    """Luma 16 to 235 and colour 16 to 240 fill the range, to less than a level."""
    luma, blue, red = stretched(np.repeat(LEVELS, 2), LEVELS)
    wanted = (np.clip(LEVELS.astype(float), 16, 235) - 16) * 255 / 219
    assert np.abs(luma[2, ::2] - wanted).max() < 0.7
    colours = np.clip((LEVELS.astype(float) - 128) * 255 / 224 + 128, 0, 255)
    assert np.abs(blue[1] - colours).max() < 1
    assert np.array_equal(blue, red)


def test_the_ends_and_grey_are_exact() -> None:
    """Black, white and no colour stay what they are, also beyond the ends."""
    luma, blue, _ = stretched(np.repeat(LEVELS, 2), LEVELS)
    assert set(luma[0, : 2 * 17]) == {0}
    assert set(luma[0, 2 * 235 :]) == {255}
    assert blue[0, 128] == 128
    assert (blue[0, 0], blue[0, 255]) == (0, 255)

"""Pictures whose parts prove which way up they are and which number they have.

Quadrants: red top left, green top right, blue bottom left, yellow bottom right. Across the middle
runs a bar of eight cells, white for 1 and black for 0: the picture's number, lowest bit left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

BITS: Final = 8
QUADRANTS: Final = {
    "top left": (200, 30, 30),
    "top right": (30, 180, 30),
    "bottom left": (30, 30, 200),
    "bottom right": (200, 200, 30),
}
"""Colour of each quadrant, red green blue."""
_BAR_SHARE: Final = 6


def numbered(number: int, width_px: int, height_px: int) -> Pixels:
    """Return picture `number` (modulo 256) as (H, W, 3) RGB."""
    pixels = np.zeros((height_px, width_px, 3), np.uint8)
    top, left = height_px // 2, width_px // 2
    pixels[:top, :left] = QUADRANTS["top left"]
    pixels[:top, left:] = QUADRANTS["top right"]
    pixels[top:, :left] = QUADRANTS["bottom left"]
    pixels[top:, left:] = QUADRANTS["bottom right"]
    half = max(2, height_px // _BAR_SHARE // 2)
    edges = np.linspace(0, width_px, BITS + 1).astype(int)
    for bit in range(BITS):
        value = 235 if number >> bit & 1 else 16
        pixels[top - half : top + half, edges[bit] : edges[bit + 1]] = value
    return pixels


def number_of(pixels: Pixels) -> int:
    """Return the number in the bar of an upright (H, W, 3) picture."""
    height, width = pixels.shape[:2]
    centres = (np.arange(BITS) + 0.5) * width / BITS
    cells = pixels[height // 2, centres.astype(int)].mean(axis=1)
    return sum(1 << bit for bit, value in enumerate(cells) if value > 128)


def quadrants_of(pixels: Pixels) -> dict[str, str]:
    """Return, for each place of a (H, W, 3) RGB picture, which quadrant's colour is there."""
    height, width = pixels.shape[:2]
    places = {
        "top left": (height // 6, width // 4),
        "top right": (height // 6, 3 * width // 4),
        "bottom left": (5 * height // 6, width // 4),
        "bottom right": (5 * height // 6, 3 * width // 4),
    }
    return {place: _nearest(pixels[at].astype(int)) for place, at in places.items()}


def is_upright(pixels: Pixels) -> bool:
    """Return whether each quadrant of a (H, W, 3) RGB picture is where it belongs."""
    return all(place == name for place, name in quadrants_of(pixels).items())


def _nearest(colour: NDArray[np.int_]) -> str:
    """Return the quadrant whose colour is nearest."""
    return min(QUADRANTS, key=lambda name: int(np.abs(colour - QUADRANTS[name]).sum()))

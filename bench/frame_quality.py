"""How near JPEG frames come to their video: PSNR to a reference in floats, and colour bars.

The reference is no peer's: planes are scaled in floats by a bicubic kernel that is stretched when
it shrinks, so that nothing aliases, with the colour samples where MPEG-4 has them, and converted by
the matrix of their tags without rounding.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import simplejpeg
from footage import fetch  # noqa: F401 - makes the tests' folder importable
from numpy.typing import NDArray

from kinetics_assets.media.colour import colour_of
from kinetics_assets.media.picture import plane_pixels
from kinetics_assets_tests.resources.media import BARS

Pixels = NDArray[np.float64]

_SHARES: Final = {1: (0.2126, 0.0722)}
"""Red and blue share of the luma by number of the matrix; all others are ITU-R 601."""
_BT601: Final = (0.299, 0.114)


def chosen_frames(path: Path, count: int) -> dict[int, Any]:
    """Return `count` frames of a video, evenly spread, by their number from 0."""
    with av.open(str(path)) as source:
        total = sum(1 for _ in source.decode(video=0))
    wanted = set(np.linspace(0, total - 1, count).astype(int).tolist())
    with av.open(str(path)) as source:
        return {at: frame for at, frame in enumerate(source.decode(video=0)) if at in wanted}


def reference(frame: Any, size: tuple[int, int]) -> Pixels:  # noqa: ANN401 - PyAV's frame
    """Return (H, W, 3) RGB of an 8-bit 4:2:0 `frame` at `size` (width, height), not rounded."""
    tags = colour_of(frame)
    planes = [plane_pixels(plane).astype(float) for plane in frame.planes]
    black, luma_span, colour_span = (0, 255, 255) if tags.is_full else (16, 219, 224)
    luma = (_scaled(planes[0], size) - black) / luma_span
    blue, red = ((_scaled(p, size, colour=True) - 128) / colour_span for p in planes[1:])
    r_share, b_share = _SHARES.get(tags.matrix, _BT601)
    r = luma + 2 * (1 - r_share) * red
    b = luma + 2 * (1 - b_share) * blue
    g = (luma - r_share * r - b_share * b) / (1 - r_share - b_share)
    return np.clip(np.dstack([r, g, b]) * 255, 0, 255)


def psnr(picture: Path, wanted: Pixels) -> tuple[float, float]:
    """Return the PSNR of a JPEG's RGB and of its luma, in dB."""
    pixels = simplejpeg.decode_jpeg(picture.read_bytes(), "RGB").astype(float)
    return _decibels(pixels - wanted), _decibels(_luma(pixels) - _luma(wanted))


def bars_error(picture: Path) -> int:
    """Return the largest error in the middle of the colour bars, in levels."""
    pixels = simplejpeg.decode_jpeg(picture.read_bytes(), "RGB").astype(int)
    width = pixels.shape[1] / len(BARS)
    middle = pixels[pixels.shape[0] // 2]
    return max(
        int(np.abs(middle[int((index + 0.5) * width)] - colour).max())
        for index, colour in enumerate(BARS)
    )


def _luma(pixels: Pixels) -> Pixels:
    red, blue = _BT601
    luma: Pixels = pixels @ np.array([red, 1 - red - blue, blue])
    return luma


def _decibels(error: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.mean(error**2)))


def _scaled(plane: Pixels, size: tuple[int, int], *, colour: bool = False) -> Pixels:
    """Return `plane` at `size`; colour samples lie on the left one of two luma samples."""
    height, width = plane.shape
    # of a colour plane 2 * width luma samples: its first lies half a luma sample left of the middle
    shift = 0.25 if colour else 0.0
    across = _weights(width, size[0], shift)
    down = _weights(height, size[1], 0.0)
    scaled: Pixels = down @ plane @ across.T
    return scaled


@lru_cache(maxsize=32)
def _weights(given: int, wanted: int, shift: float) -> Pixels:
    """Return the (wanted, given) weights of a bicubic kernel (a = -0.5), stretched to shrink."""
    scale = given / wanted
    stretch = max(scale, 1.0)
    centres = (np.arange(wanted) + 0.5) * scale - 0.5 + shift
    reach = int(np.ceil(2 * stretch)) + 1
    at = np.floor(centres).astype(int)[:, None] + np.arange(-reach, reach + 1)
    values = _cubic((at - centres[:, None]) / stretch)
    weights = np.zeros((wanted, given))
    rows = np.broadcast_to(np.arange(wanted)[:, None], at.shape)
    np.add.at(weights, (rows, np.clip(at, 0, given - 1)), values)
    return weights / weights.sum(1, keepdims=True)


def _cubic(x: Pixels) -> Pixels:
    """Return Keys' cubic convolution kernel at `x`."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))

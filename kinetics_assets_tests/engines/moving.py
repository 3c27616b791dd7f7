"""Frames to compute flow on: real clips, and a texture that moves by a known amount."""

from __future__ import annotations

from functools import cache

import av
import numpy as np
from numpy.typing import NDArray

from kinetics_assets.engines.gray import bgr_to_gray, resize_gray
from kinetics_assets_tests import footage


@cache
def clip_pair(name: str, first: int, *, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Return frames `first` and `first + 1` of a clip as gray frames, (2, H, W), read-only."""
    frames = []
    with av.open(str(footage.fetch(name))) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index >= first:
                gray = bgr_to_gray(frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False))
                frames.append(resize_gray(gray, width_px, height_px))
            if len(frames) == 2:
                break
    pair = np.stack(frames)
    pair.flags.writeable = False
    return pair


def moving_texture(
    dx_px: float, dy_px: float, *, width_px: int = 160, height_px: int = 120
) -> NDArray[np.uint8]:
    """Return two frames (2, H, W) of one smooth texture, moved by (dx, dy) pixels in the second."""
    random = np.random.default_rng(7)
    waves = random.normal(0.0, 0.35, (40, 2))
    phases = random.uniform(0.0, 2.0 * np.pi, 40)
    y, x = np.mgrid[0:height_px, 0:width_px].astype(np.float64)
    frames = []
    for share in (0.0, 1.0):
        angles = (
            np.multiply.outer(waves[:, 0], x - share * dx_px)
            + np.multiply.outer(waves[:, 1], y - share * dy_px)
            + phases[:, None, None]
        )
        frames.append(127.5 + 20.0 * np.sin(angles).sum(axis=0) / np.sqrt(2.0))
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)


def end_point_error_px(flow: NDArray[np.float32], dx_px: float, dy_px: float) -> float:
    """Return the mean distance of one flow (2, H, W) from (dx, dy), 16 pixels off the borders."""
    inner = flow[:, 16:-16, 16:-16]
    return float(np.hypot(inner[0] - dx_px, inner[1] - dy_px).mean())


def share_within_one_level(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return the share of samples that differ by at most one grey level."""
    return float((np.abs(a.astype(np.int16) - b) <= 1).mean())

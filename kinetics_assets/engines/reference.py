"""TV-L1 of the profile "opencv4-cuda", word for word in NumPy float32: the oracle of all tests.

Slow (about a second per pair at 340x256) and meant to be read. Each function below is one step of
the method; arrays are indexed (y, x), `u1`, `u2` are the x and y displacement in pixels, `p11`,
`p12` the dual field of u1 and `p21`, `p22` that of u2.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.engines import tvl1
from kinetics_assets.engines.base import (
    Device,
    FlowField,
    FlowLevels,
    GrayFrames,
    checked_frames,
    flow_shape,
)
from kinetics_assets.engines.quantise import quantise

Plane: TypeAlias = NDArray[np.float32]

_LAMBDA_THETA = np.float32(tvl1.LAMBDA * tvl1.THETA)
_TAU_OVER_THETA = np.float32(tvl1.TAU / tvl1.THETA)
_THETA = np.float32(tvl1.THETA)
_UPSCALE = np.float32(1.0 / tvl1.SCALE_STEP)


class ReferenceEngine:
    """The oracle as an engine. One thread, no state."""

    name: str = "reference"
    profile: str = tvl1.PROFILE
    device: Device = "cpu"

    def versions(self) -> dict[str, str]:
        """Return the version of numpy."""
        return {"numpy": np.__version__}

    def flow(self, frames: GrayFrames) -> FlowField:
        """Return the flow in pixels, (T - 1, 2, H, W); see `FlowEngine.flow`."""
        frames = checked_frames(frames)
        field = np.empty(flow_shape(frames), np.float32)
        for pair in range(len(field)):
            field[pair] = solve_pair(frames[pair], frames[pair + 1]).flow
        return field

    def flow_u8(self, frames: GrayFrames, *, bound_px: float) -> FlowLevels:
        """Return the flow as grey levels, (T - 1, 2, H, W); see `FlowEngine.flow_u8`."""
        return quantise(self.flow(frames), bound_px=bound_px)


def solve_pair(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> tvl1.PairSolution:
    """Return the flow from `first` to `second`, two gray frames (H, W) of one size."""
    height, width = first.shape
    sizes = tvl1.level_sizes(height, width)
    pyramid = list(zip(_pyramid(first, sizes), _pyramid(second, sizes), strict=True))
    iterations = np.zeros((len(sizes), tvl1.WARPS), np.int32)
    u1, u2 = np.zeros((2, *sizes[-1]), np.float32)
    for level in reversed(range(len(sizes))):
        u1, u2 = _solve_level(*pyramid[level], u1, u2, iterations[level])
        if level > 0:
            ratios = [
                np.float32(1.0 / (b / a)) for a, b in zip(u1.shape, sizes[level - 1], strict=True)
            ]
            u1, u2 = (_resize(u, sizes[level - 1], *ratios) * _UPSCALE for u in (u1, u2))
    return tvl1.PairSolution(np.stack([u1, u2]), iterations)


def _pyramid(frame: NDArray[np.uint8], sizes: list[tuple[int, int]]) -> list[Plane]:
    """Return `frame` at each size, each level made from the one above."""
    levels: list[Plane] = [frame.astype(np.float32)]
    for size in sizes[1:]:
        levels.append(_resize(levels[-1], size, _UPSCALE, _UPSCALE))
    return levels


def _resize(
    source: Plane, size: tuple[int, int], ratio_y: np.float32, ratio_x: np.float32
) -> Plane:
    """Return `source` at `size`, bilinear without the half-pixel shift: pixel x reads x * ratio."""
    (y1, y2, down, up), (x1, x2, right, left) = (
        _taps(count, ratio, limit)
        for count, ratio, limit in zip(size, (ratio_y, ratio_x), source.shape, strict=True)
    )
    up, down = up[:, None], down[:, None]
    rows1, rows2 = source[y1], source[y2]
    result: Plane = rows1[:, x1] * (left * up)
    result += rows1[:, x2] * (right * up)
    result += rows2[:, x1] * (left * down)
    result += rows2[:, x2] * (right * down)
    return result


def _taps(
    count: int, ratio: np.float32, limit: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Plane, Plane]:
    """Return both source indices and the weights (of the second, of the first) along one axis."""
    position = np.arange(count, dtype=np.float32) * ratio
    floor = np.floor(position)
    index = floor.astype(np.intp)
    second = position - floor
    first = (floor + np.float32(1)) - position
    return np.minimum(index, limit - 1), np.minimum(index + 1, limit - 1), second, first


def _solve_level(
    image0: Plane, image1: Plane, u1: Plane, u2: Plane, iterations: NDArray[np.int32]
) -> tuple[Plane, Plane]:
    """Return the refined flow of one level and fill in `iterations`, one number per warp."""
    gradient_x, gradient_y = _central_differences(image1)
    threshold = tvl1.stop_threshold(*image0.shape)
    p11, p12, p21, p22 = np.zeros((4, *image0.shape), np.float32)
    for warp in range(tvl1.WARPS):
        warped, ix, iy = _warp((image1, gradient_x, gradient_y), u1, u2)
        squared = ix * ix + iy * iy
        residual = warped - ix * u1 - iy * u2 - image0
        error, expected, done = np.inf, 0.0, 0
        while error > threshold and done < tvl1.MAX_ITERATIONS:
            measure = done % 2 == 1 and expected < threshold
            v1, v2 = _threshold(residual, squared, (ix, iy), (u1, u2))
            new1, new2 = v1 + _THETA * _divergence(p11, p12), v2 + _THETA * _divergence(p21, p22)
            if measure:
                moved = (u1 - new1) ** 2 + (u2 - new2) ** 2
                error = expected = _ordered_sum(moved)
            else:
                error = np.inf
                expected -= threshold
            u1, u2 = new1, new2
            p11, p12 = _dual_step(u1, p11, p12)
            p21, p22 = _dual_step(u2, p21, p22)
            done += 1
        iterations[warp] = done
    return u1, u2


def _ordered_sum(values: Plane) -> float:
    """Return the float64 sum of `values`: down each column, then over the columns.

    The order of `np.sum` is numpy's affair; a running sum has one that can be told and repeated.
    """
    columns = values.cumsum(axis=0, dtype=np.float64)[-1]
    return float(columns.cumsum()[-1])


def _central_differences(image: Plane) -> tuple[Plane, Plane]:
    """Return the x and y gradient, replicated border, so half a one-sided difference there."""
    padded = np.pad(image, 1, mode="edge")
    half = np.float32(0.5)
    return (
        half * (padded[1:-1, 2:] - padded[1:-1, :-2]),
        half * (padded[2:, 1:-1] - padded[:-2, 1:-1]),
    )


def _warp(images: tuple[Plane, ...], u1: Plane, u2: Plane) -> list[Plane]:
    """Return `images` read at (x + u1, y + u2): normalised Catmull-Rom, replicated border.

    A fifth tap, at distance 2 of a whole-numbered position, has weight 0 and is left out.
    """
    height, width = u1.shape
    x = np.arange(width, dtype=np.float32) + u1
    y = np.arange(height, dtype=np.float32)[:, None] + u2
    x0, y0 = np.floor(x) - np.float32(1), np.floor(y) - np.float32(1)
    sums = [np.zeros_like(u1) for _ in images]
    total = np.zeros_like(u1)
    for down in range(4):
        tap_y = y0 + np.float32(down)
        rows = np.clip(tap_y, 0, height - 1).astype(np.intp)
        weight_y = _catmull_rom(np.abs(y - tap_y))
        for right in range(4):
            tap_x = x0 + np.float32(right)
            columns = np.clip(tap_x, 0, width - 1).astype(np.intp)
            weight = _catmull_rom(np.abs(x - tap_x)) * weight_y
            total += weight
            taps = [image[rows, columns] for image in images]
            sums = [have + weight * tap for have, tap in zip(sums, taps, strict=True)]
    scale = np.float32(1) / total
    return [have * scale for have in sums]


def _catmull_rom(t: Plane) -> Plane:
    """Return the cubic convolution weight (a = -0.5) at distances `t` >= 0."""
    f = np.float32
    near = t * t * (f(1.5) * t - f(2.5)) + f(1)
    far = t * (t * (f(-0.5) * t + f(2.5)) - f(4)) + f(2)
    return np.where(t <= 1, near, np.where(t < 2, far, f(0)))


def _threshold(
    residual: Plane, squared: Plane, gradient: tuple[Plane, Plane], flow: tuple[Plane, Plane]
) -> tuple[Plane, Plane]:
    """Return the flow moved towards agreement of the two images, by a bounded step."""
    (ix, iy), (u1, u2) = gradient, flow
    rho = residual + (ix * u1 + iy * u2)
    bound = _LAMBDA_THETA * squared
    divisor: Plane = np.where(squared > tvl1.FLT_EPSILON, squared, np.float32(np.inf))
    step: Plane = -rho / divisor  # 0 where the gradient vanishes
    step[rho > bound] = -_LAMBDA_THETA
    step[rho < -bound] = _LAMBDA_THETA
    return u1 + step * ix, u2 + step * iy


def _divergence(p: Plane, q: Plane) -> Plane:
    """Return the divergence of (p, q) by backward differences, zero outside the image."""
    result = p.copy()
    result[:, 1:] -= p[:, :-1]
    below = q.copy()
    below[1:] -= q[:-1]
    result += below
    return result


def _dual_step(u: Plane, p: Plane, q: Plane) -> tuple[Plane, Plane]:
    """Return the dual field (p, q) of `u` one step on, by forward differences of `u`."""
    dx = np.diff(u, axis=1, append=u[:, -1:])
    dy = np.diff(u, axis=0, append=u[-1:])
    norm = np.float32(1) + _TAU_OVER_THETA * np.sqrt(dx * dx + dy * dy)
    return (p + _TAU_OVER_THETA * dx) / norm, (q + _TAU_OVER_THETA * dy) / norm

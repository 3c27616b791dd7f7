"""The numba kernels of the CPU engine: TV-L1 of the profile "opencv4-cuda", fused by rows.

Importing this module imports numba, so it is itself imported only inside functions (see `cpu.py`).

Why it is fast: one iteration is one pass over memory, and a *wavefront* runs up to `_DEPTH`
iterations in one sweep over the rows (iteration j + 1 follows one row behind iteration j) while
their data is still in the cache. The row kernels index flat planes by `offset + x`, both unsigned,
because LLVM vectorises that: not two-dimensional indexing, not signed (wrap-around) indices, and
row slices cost a reference count each.

State of one level (`State`): ten flat planes of (H + 2, stride) float32: u1, u2, p11, p12, p21,
p22, and per warp ix, iy, ix^2 + iy^2 and the residual at zero flow. Image pixel (y, x) lies at
(y + 1) * stride + _LEFT + x. Right of the image, u repeats its last pixel and the data planes are
zero, so that kernels run over whole vectors. Rows are counted from 1.

Every sample is bit for bit that of `reference.py`: the same float32 operations in the same order,
true divisions and roots, nothing contracted or reordered. All of it still vectorises: choices are
selects, and the one sum over pixels has an accumulator per column.

Numba's disk cache sees changes of this file only: raise `REVISION` with any change of `tvl1.py` or
`cpu_taps.py` too, or old machine code stays in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np
from numba import njit

from kinetics_assets.engines import tvl1
from kinetics_assets.engines.cpu_taps import add_up_taps

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Plane: TypeAlias = NDArray[np.float32]
    Cells: TypeAlias = NDArray[np.int32]
    Scalar: TypeAlias = float | np.floating
    Offset: TypeAlias = int | np.uintp
    State: TypeAlias = tuple[Plane, Plane, Plane, Plane, Plane, Plane, Plane, Plane, Plane, Plane]

REVISION: Final = "2"
"""Raised whenever the arithmetic changes; part of what makes an output stale."""

_DEPTH: Final = 64
_LEFT: Final = 16
_VECTOR: Final = 16
_STAGGER: Final = 112
_MARGIN: Final = 3

_U1 = np.uintp(1)
_U2 = np.uintp(2)
_U3 = np.uintp(3)
_CHANNELS = np.uintp(4)
_ZERO = np.float32(0)
_ONE = np.float32(1)
_TWO = np.float32(2)
_INFINITE = np.float32(np.inf)
_HALF = np.float32(0.5)
_STEP = np.float32(tvl1.LAMBDA * tvl1.THETA)
_TAUT = np.float32(tvl1.TAU / tvl1.THETA)
_THETA = np.float32(tvl1.THETA)
_FLAT = np.float32(tvl1.FLT_EPSILON)
_WARPS = tvl1.WARPS
_MAX_ITERATIONS = tvl1.MAX_ITERATIONS
_EPSILON_SQUARED = tvl1.EPSILON * tvl1.EPSILON

P = ParamSpec("P")
R = TypeVar("R")


def _kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` to run without the interpreter lock; keeps its type for the type checker.

    No fast-math flag is set: each of them changes results, and with them where the method ends up.
    """
    compiled = njit(cache=True, nogil=True, fastmath=False, error_model="numpy")(function)
    return cast("Callable[P, R]", compiled)


@_kernel
def solve_level(image0: Plane, texture: Plane, flow: Plane, iterations: Cells) -> None:
    """Refine `flow` in place on one pyramid level.

    Args:
        image0: (H, W) the first frame.
        texture: The second frame, from `gradient_texture`.
        flow: (2, H, W) start and result, in pixels of this level.
        iterations: (WARPS,) filled with how many iterations each warp took.
    """
    height, width = image0.shape
    stride = _LEFT + (width + _VECTOR - 1) // _VECTOR * _VECTOR + _VECTOR
    state = _zero_state((height + 2) * stride)
    columns = np.empty(width, np.float64)
    for y in range(height):
        start = (y + 1) * stride + _LEFT
        state[0][start : start + width] = flow[0, y]
        state[1][start : start + width] = flow[1, y]
    threshold = _EPSILON_SQUARED * height * width
    for warp in range(_WARPS):
        _warp(image0, texture, state, stride)
        done = 0
        block = 2  # the first test is after the second iteration
        while done < _MAX_ITERATIONS:
            block = min(block, _MAX_ITERATIONS - done)
            error = _iterate(state, columns, height, stride, block)
            done += block
            if not error > threshold:
                break
            block = iterations_until_test(error, threshold)
        iterations[warp] = done
    for y in range(height):
        start = (y + 1) * stride + _LEFT
        flow[0, y] = state[0][start : start + width]
        flow[1, y] = state[1][start : start + width]


@_kernel
def iterations_until_test(error: Scalar, threshold: float) -> int:
    """Return how many iterations to run up to and with the next test.

    The stop rule tests an odd-numbered iteration (counted from 0) once the last measured `error`,
    less one `threshold` per iteration since, is below `threshold`. Tests are at odd numbers, so the
    distance between two of them is even.
    """
    count = 2
    expected: Scalar = error - threshold
    while expected >= threshold and count < _MAX_ITERATIONS:
        expected -= threshold
        expected -= threshold
        count += 2
    return count


@_kernel
def _zero_state(size: int) -> State:
    """Return ten planes of zeros, each an allocation of its own.

    In one common block LLVM could not tell the planes apart and would not vectorise.
    """
    return (
        _zero_plane(size, 0), _zero_plane(size, 1), _zero_plane(size, 2), _zero_plane(size, 3),
        _zero_plane(size, 4), _zero_plane(size, 5), _zero_plane(size, 6), _zero_plane(size, 7),
        _zero_plane(size, 8), _zero_plane(size, 9),
    )  # fmt: skip


@_kernel
def _zero_plane(size: int, index: int) -> Plane:
    """Return a plane of zeros that starts in another cache set than the planes beside it."""
    start = index * _STAGGER
    return np.zeros(start + size, np.float32)[start:]


@_kernel
def _iterate(
    state: State, columns: NDArray[np.float64], height: int, stride: int, count: int
) -> float:
    """Run `count` iterations and return the summed squared update of the last one.

    The sum of each column goes to `columns`, from above to below; these are added left to right.
    """
    u1, u2, p11, p12, p21, p22, ix, iy, squared, residual = state
    width = columns.size
    padded = np.uintp(stride - _LEFT - _VECTOR)
    exact = np.uintp(width)
    columns[:] = 0.0
    remaining = count
    while remaining > 0:
        depth = min(remaining, _DEPTH)
        for front in range(height + depth):
            for behind in range(min(depth, front + 1)):
                row = front - behind + 1
                here = np.uintp(row * stride + _LEFT)
                above = np.uintp((row - 1) * stride + _LEFT)
                if row <= height:
                    if remaining == depth and behind == depth - 1:
                        _primal_row_measured(
                            u1, u2, p11, p12, p21, p22, ix, iy, squared, residual, columns,
                            here, above, exact,
                        )  # fmt: skip
                    else:
                        _primal_row(
                            u1, u2, p11, p12, p21, p22, ix, iy, squared, residual,
                            here, above, padded,
                        )  # fmt: skip
                    end = row * stride + _LEFT + width
                    for x in range(end, (row + 1) * stride - _VECTOR + 1):
                        u1[x] = u1[end - 1]
                        u2[x] = u2[end - 1]
                if 2 <= row <= height + 1:
                    below = here if row <= height else above  # below the last row lies itself
                    _dual_row(u1, u2, p11, p12, p21, p22, above, below, padded)
        remaining -= depth
    total = 0.0
    for x in range(width):
        total += columns[x]
    return total


@_kernel
def _primal_row(
    u1: Plane, u2: Plane, p11: Plane, p12: Plane, p21: Plane, p22: Plane,
    ix: Plane, iy: Plane, squared: Plane, residual: Plane,
    here: Offset, above: Offset, count: int | np.uintp,
) -> None:  # fmt: skip
    """Take one primal step: bounded data step, then theta times the divergence of the dual."""
    left = here - _U1
    for x in range(count):
        old1 = u1[here + x]
        old2 = u2[here + x]
        rho = residual[here + x] + (ix[here + x] * old1 + iy[here + x] * old2)
        step = _data_step(rho, squared[here + x])
        divergence1 = (p11[here + x] - p11[left + x]) + (p12[here + x] - p12[above + x])
        divergence2 = (p21[here + x] - p21[left + x]) + (p22[here + x] - p22[above + x])
        u1[here + x] = (old1 + step * ix[here + x]) + _THETA * divergence1
        u2[here + x] = (old2 + step * iy[here + x]) + _THETA * divergence2


@_kernel
def _primal_row_measured(
    u1: Plane, u2: Plane, p11: Plane, p12: Plane, p21: Plane, p22: Plane,
    ix: Plane, iy: Plane, squared: Plane, residual: Plane, columns: NDArray[np.float64],
    here: Offset, above: Offset, count: int | np.uintp,
) -> None:  # fmt: skip
    """Do as `_primal_row` and add the squared update of each pixel to its column."""
    left = here - _U1
    for x in range(count):
        old1 = u1[here + x]
        old2 = u2[here + x]
        rho = residual[here + x] + (ix[here + x] * old1 + iy[here + x] * old2)
        step = _data_step(rho, squared[here + x])
        divergence1 = (p11[here + x] - p11[left + x]) + (p12[here + x] - p12[above + x])
        divergence2 = (p21[here + x] - p21[left + x]) + (p22[here + x] - p22[above + x])
        new1 = (old1 + step * ix[here + x]) + _THETA * divergence1
        new2 = (old2 + step * iy[here + x]) + _THETA * divergence2
        moved = (old1 - new1) * (old1 - new1) + (old2 - new2) * (old2 - new2)
        columns[x] += np.float64(moved)
        u1[here + x] = new1
        u2[here + x] = new2


@_kernel
def _data_step(rho: Scalar, squared: Scalar) -> Scalar:
    """Return by how many gradients the flow moves towards agreement of the images, bounded."""
    bound = _STEP * squared
    step = -rho / (squared if squared > _FLAT else _INFINITE)
    step = -_STEP if rho > bound else step
    return _STEP if rho < -bound else step


@_kernel
def _dual_row(
    u1: Plane, u2: Plane, p11: Plane, p12: Plane, p21: Plane, p22: Plane,
    here: Offset, below: Offset, count: int | np.uintp,
) -> None:  # fmt: skip
    """Take one dual step by forward differences."""
    right = here + _U1
    for x in range(count):
        dx1 = u1[right + x] - u1[here + x]
        dy1 = u1[below + x] - u1[here + x]
        dx2 = u2[right + x] - u2[here + x]
        dy2 = u2[below + x] - u2[here + x]
        norm1 = _ONE + _TAUT * np.sqrt(dx1 * dx1 + dy1 * dy1)
        norm2 = _ONE + _TAUT * np.sqrt(dx2 * dx2 + dy2 * dy2)
        p11[here + x] = (p11[here + x] + _TAUT * dx1) / norm1
        p12[here + x] = (p12[here + x] + _TAUT * dy1) / norm1
        p21[here + x] = (p21[here + x] + _TAUT * dx2) / norm2
        p22[here + x] = (p22[here + x] + _TAUT * dy2) / norm2


@_kernel
def _warp(image0: Plane, texture: Plane, state: State, stride: int) -> None:
    """Read the second frame and its gradients at the present flow, into the four data planes."""
    u1, u2, _, _, _, _, ix, iy, squared, residual = state
    height, width = image0.shape
    pitch = np.uintp(texture.shape[1])
    cell_x = np.empty(width, np.int32)
    cell_y = np.empty(width, np.int32)
    weight_x = np.empty((4, width), np.float32)
    weight_y = np.empty((4, width), np.float32)
    samples = np.empty(4 * width, np.float32)
    flat = texture.reshape(-1)
    for y in range(height):
        here = np.uintp((y + 1) * stride + _LEFT)
        _taps(u1, here, _ZERO, _ONE, np.float32(width + 1), cell_x, weight_x)
        _taps(u2, here, np.float32(y), _ZERO, np.float32(height + 1), cell_y, weight_y)
        _sample_row(flat, pitch, cell_x, cell_y, weight_x, weight_y, samples)
        for x in range(np.uintp(width)):
            scale = _ONE / samples[x * _CHANNELS + _U3]
            gx = samples[x * _CHANNELS] * scale
            gy = samples[x * _CHANNELS + _U1] * scale
            warped = samples[x * _CHANNELS + _U2] * scale
            ix[here + x] = gx
            iy[here + x] = gy
            squared[here + x] = gx * gx + gy * gy
            residual[here + x] = warped - gx * u1[here + x] - gy * u2[here + x] - image0[y, x]


@_kernel
def _taps(
    u: Plane, here: Offset, start: Scalar, unit: Scalar, limit: Scalar,
    cells: Cells, weights: Plane,
) -> None:  # fmt: skip
    """Fill in cell and four Catmull-Rom weights of each position `start + x * unit + u[x]`.

    Cells are limited to [-2, `limit`], beyond which the replicated border is constant; that of a
    NaN is -2, so that no flow whatever reads outside the texture.
    """
    lowest = np.float32(-2)
    for x in range(np.uintp(cells.size)):
        position = start + np.float32(x) * unit + u[here + x]
        cell = np.floor(position)
        weights[0, x] = _far(position - (cell - _ONE))
        weights[1, x] = _near(position - cell)
        weights[2, x] = _near(cell + _ONE - position)
        weights[3, x] = _far(cell + _TWO - position)
        cell = cell if cell > lowest else lowest  # noqa: FURB136  # for the NaN
        cell = cell if cell < limit else limit  # noqa: FURB136  # as the line above
        cells[x] = np.int32(cell)


@_kernel
def _near(t: Scalar) -> Scalar:
    """Return the Catmull-Rom weight at distances `t` from 0 to 1."""
    return t * t * (np.float32(1.5) * t - np.float32(2.5)) + _ONE


@_kernel
def _far(t: Scalar) -> Scalar:
    """Return the Catmull-Rom weight at distances `t` from 1 to 2."""
    return t * (t * (np.float32(-0.5) * t + np.float32(2.5)) - np.float32(4)) + _TWO


@_kernel
def _sample_row(
    texture: Plane, pitch: Offset, cell_x: Cells, cell_y: Cells,
    weight_x: Plane, weight_y: Plane, samples: Plane,
) -> None:  # fmt: skip
    """Fill `samples` with the weighted sums of 4x4 pixels of `texture`, one row, no division."""
    first = _MARGIN - 1
    for x in range(np.uintp(cell_x.size)):
        tap = np.uintp(cell_y[x] + first) * pitch + np.uintp(cell_x[x] + first) * _CHANNELS
        across = (weight_x[0, x], weight_x[1, x], weight_x[2, x], weight_x[3, x])
        down = (weight_y[0, x], weight_y[1, x], weight_y[2, x], weight_y[3, x])
        add_up_taps(texture, tap, pitch, across, down, samples, x * _CHANNELS)


@_kernel
def gradient_texture(image: Plane) -> Plane:
    """Return x gradient, y gradient, value and 1 of each pixel, with a repeated border.

    Summed with weights, the 1 gives the sum of the weights.

    Shape (H + 7, (W + 7) * 4): three pixels of margin above and left, four below and right, which
    is what four taps at positions from -2 to W + 1 need.
    """
    height, width = image.shape
    texture = np.empty((height + 7, (width + 7) * 4), np.float32)
    for row in range(height + 7):
        y = min(max(row - _MARGIN, 0), height - 1)
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for column in range(width + 7):
            x = min(max(column - _MARGIN, 0), width - 1)
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            texture[row, column * 4] = _HALF * (image[y, right] - image[y, left])
            texture[row, column * 4 + 1] = _HALF * (image[below, x] - image[above, x])
            texture[row, column * 4 + 2] = image[y, x]
            texture[row, column * 4 + 3] = _ONE
    return texture


@_kernel
def resize(source: Plane, target: Plane, ratio_y: Scalar, ratio_x: Scalar, gain: Scalar) -> None:
    """Fill `target` with `gain` times `source`, bilinear, pixel x read at x * ratio (no shift)."""
    last_y, last_x = source.shape[0] - 1, source.shape[1] - 1
    for y in range(target.shape[0]):
        position_y = np.float32(y) * ratio_y
        floor_y = np.floor(position_y)
        down = position_y - floor_y
        up = (floor_y + _ONE) - position_y
        y1, y2 = min(int(floor_y), last_y), min(int(floor_y) + 1, last_y)
        for x in range(target.shape[1]):
            position_x = np.float32(x) * ratio_x
            floor_x = np.floor(position_x)
            right = position_x - floor_x
            left = (floor_x + _ONE) - position_x
            x1, x2 = min(int(floor_x), last_x), min(int(floor_x) + 1, last_x)
            value = source[y1, x1] * (left * up)
            value += source[y1, x2] * (right * up)
            value += source[y2, x1] * (left * down)
            value += source[y2, x2] * (right * down)
            target[y, x] = value * gain

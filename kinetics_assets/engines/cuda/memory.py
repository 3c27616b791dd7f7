"""The records that the kernels read and where everything of a batch lies in device memory.

One record per frame and per pair, as `Frame` and `Pair` of tvl1.cu. They point into four flat
arrays: pixels (input), the arena (floats that never leave the device), results and counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.engines import tvl1

Records: TypeAlias = NDArray[np.void]

FRAME: Final = np.dtype(
    [
        ("pixels", "<i8"),
        ("texture", "<i8"),
        ("level", [("height", "<i4"), ("width", "<i4"), ("plane", "<i8")], (tvl1.SCALES,)),
    ]
)
PAIR: Final = np.dtype(
    [
        *((name, "<i4") for name in ("first", "second", "levels", "unused")),
        *((name, "<i8") for name in ("cells", "coarse", "output")),
        (
            "level",
            [
                *(
                    (name, "<i4")
                    for name in ("height", "width", "pitch", "depth", "groups", "stages")
                ),
                *((name, "<f4") for name in ("ratio_y", "ratio_x")),
                ("threshold", "<f8"),
            ],
            (tvl1.SCALES,),
        ),
    ]
)
COUNTS: Final = tvl1.SCALES * tvl1.WARPS + 1
"""Numbers per pair: iterations of each level and warp, then 1 where the flow is not finite."""

CELL_FLOATS: Final = 9
PIXEL_FLOATS: Final = 10
"""Where rows are not of cells: a still, a dual and a flow."""

FLOAT_BYTES: Final = 4
MOST_FRAMES: Final = 65_535
"""Per batch: frames and pairs are counted over the third dimension of a grid, which ends there."""

MOST_PIXELS: Final = 1 << 27
"""Per frame: keeps offsets inside a pair below 2^31."""

_TEXEL_FLOATS: Final = 4
_ALIGNED_FLOATS: Final = 64


class ClipShape(NamedTuple):
    """A clip of `frames` consecutive frames of one size; at least two."""

    frames: int
    height_px: int
    width_px: int


@dataclass(slots=True)
class Extent:
    """Sizes of the arrays: samples of input, floats of the arena, samples of output."""

    pixels: int = 0
    arena_floats: int = 0
    results: int = 0

    def take(self, floats: int) -> int:
        """Return where the next `floats` of the arena begin."""
        start = self.arena_floats
        self.arena_floats += floats
        return start


def lay_out(shapes: Sequence[ClipShape]) -> tuple[Records, Records, Extent]:
    """Return the records of all frames and pairs, to be solved with rows of cells, and the extent.

    Depths of sweeps are left at 0; rows may be made those of pixels.

    Raises:
        ValueError: a clip of fewer than two frames, too large frames, or too many.
    """
    if not shapes or min(shape.frames for shape in shapes) < 2:
        raise ValueError(f"A batch needs clips of two frames or more, got {shapes}.")
    if max(shape.height_px * shape.width_px for shape in shapes) > MOST_PIXELS:
        raise ValueError(f"Frames may have {MOST_PIXELS} pixels, got {shapes}.")
    count = sum(shape.frames for shape in shapes)
    if count > MOST_FRAMES:
        raise ValueError(f"A batch may have {MOST_FRAMES} frames, got {count}.")
    frames = np.zeros(count, FRAME)
    pairs = np.zeros(count - len(shapes), PAIR)
    extent = Extent()
    frame = 0
    for index, shape in enumerate(shapes):
        pair = frame - index  # each clip before has one pair less than frames
        _fill_frames(frames[frame : frame + shape.frames], shape, extent)
        _fill_pairs(pairs[pair : pair + shape.frames - 1], frame, shape, extent)
        frame += shape.frames
    return frames, pairs, extent


def clip_bytes(shape: ClipShape) -> int:
    """Return the bytes of device memory that the pairs of a clip take, with float output."""
    sizes = tvl1.level_sizes(shape.height_px, shape.width_px)
    pixels = shape.height_px * shape.width_px
    frame = pixels + FRAME.itemsize + FLOAT_BYTES * sum(_frame_floats(sizes))
    pair = PAIR.itemsize + FLOAT_BYTES * (sum(_pair_floats(sizes)) + 2 * pixels + COUNTS + 1)
    return shape.frames * frame + (shape.frames - 1) * pair


def cell_pitch(width_px: int) -> int:
    """Return the floats from one row of cells to the next, whole vectors of four."""
    return _rounded_up(CELL_FLOATS * width_px, 4)


def pixel_pitch(width_px: int) -> int:
    """Return the floats from one row to the next where rows are not of cells."""
    return _rounded_up(PIXEL_FLOATS * width_px, 4)


def _fill_frames(records: Records, shape: ClipShape, extent: Extent) -> None:
    """Fill in the records of one clip's frames; textures are read of second frames only."""
    sizes = tvl1.level_sizes(shape.height_px, shape.width_px)
    texture, *planes = _frame_floats(sizes)
    numbers = np.arange(shape.frames)
    records["pixels"] = extent.pixels + numbers * shape.height_px * shape.width_px
    extent.pixels += shape.frames * shape.height_px * shape.width_px
    records["texture"] = extent.take((shape.frames - 1) * texture) + (numbers - 1) * texture
    records["texture"][0] = -1
    for level, ((height, width), floats) in enumerate(zip(sizes, planes, strict=True)):
        here = records["level"][:, level]
        here["height"], here["width"] = height, width
        here["plane"] = extent.take(shape.frames * floats) + numbers * floats


def _fill_pairs(records: Records, first_frame: int, shape: ClipShape, extent: Extent) -> None:
    """Fill in the records of one clip's pairs; its frames are counted from `first_frame`."""
    sizes = tvl1.level_sizes(shape.height_px, shape.width_px)
    cells, coarse = _pair_floats(sizes)
    count = shape.frames - 1
    numbers = np.arange(count)
    results = 2 * shape.height_px * shape.width_px
    records["first"], records["second"] = first_frame + numbers, first_frame + 1 + numbers
    records["levels"] = len(sizes)
    records["cells"] = extent.take(count * cells) + numbers * cells
    records["coarse"] = extent.take(count * coarse) + numbers * coarse
    records["output"] = extent.results + numbers * results
    extent.results += count * results
    for level, (height, width) in enumerate(sizes):
        coarser = sizes[min(level + 1, len(sizes) - 1)]
        ratios = (1.0 / (height / coarser[0]), 1.0 / (width / coarser[1]))
        threshold = tvl1.stop_threshold(height, width)
        size = (height, width, cell_pitch(width), 0, 0, 0)
        records["level"][:, level] = (*size, *ratios, threshold)


def _frame_floats(sizes: list[tuple[int, int]]) -> list[int]:
    """Return the floats of a frame's texture, at its largest, and of each of its planes."""
    planes = [height * width for height, width in sizes]
    return [_rounded_up(floats, _ALIGNED_FLOATS) for floats in (planes[0] * _TEXEL_FLOATS, *planes)]


def _pair_floats(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the floats of a pair's cells and of the flow it keeps of a coarser level."""
    height, width = sizes[0]
    coarse = 2 * sizes[1][0] * sizes[1][1] if len(sizes) > 1 else 0
    return (
        _rounded_up(height * pixel_pitch(width), _ALIGNED_FLOATS),
        _rounded_up(coarse, _ALIGNED_FLOATS),
    )


def _rounded_up(count: int, unit: int) -> int:
    """Return the least multiple of `unit` that is not below `count`."""
    return -(-count // unit) * unit

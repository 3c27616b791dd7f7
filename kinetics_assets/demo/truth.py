"""What the optical flow of a demo clip must be, and how far a computed flow is from it.

Each demo video is a texture with a constant velocity. Cutting a clip keeps it; resizing scales it
with the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kinetics_assets.core.classes import class_names
from kinetics_assets.demo.clips import DATASET, DemoClip, plan

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from kinetics_assets.core.clips import Clip

LARGEST_MEAN_ERROR_PX = 0.3
"""Mean end-point error that a good engine stays below, away from the borders."""
BORDER_PX = 16
"""Pixels along each border that are left out: their content comes from outside the picture."""


def demo_clip(clip: Clip) -> DemoClip:
    """Return the demo's plan of one annotation row.

    Raises:
        KeyError: `clip` is none of the demo's.
    """
    return {row.clip: row for row in plan(class_names(DATASET))}[clip]


def velocity_px(clip: Clip, *, width_px: int) -> tuple[float, float]:
    """Return the true displacement (x, y) between two frames of `clip` at `width_px`."""
    source = demo_clip(clip).source
    scale = width_px / source.width_px
    return source.velocity_px[0] * scale, source.velocity_px[1] * scale


def end_point_error_px(
    flow_u8: NDArray[np.uint8], velocity: tuple[float, float], *, bound_px: float
) -> float:
    """Return the mean distance, in pixels, of a quantised flow from a constant `velocity`.

    Args:
        flow_u8: Shape (pairs, 2, height, width); 128 stands for no motion.
        velocity: True displacement (x, y) in pixels per frame.
        bound_px: Displacement that the largest grey level stands for.
    """
    inner = flow_u8[:, :, BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX].astype(np.float64)
    flow = inner * (2 * bound_px / 255.0) - bound_px
    miss = flow - np.asarray(velocity)[None, :, None, None]
    return float(np.sqrt((miss**2).sum(axis=1)).mean())


def read_flow(folder: Path, *, start_index: int, pairs: int) -> NDArray[np.uint8]:
    """Return the flow pictures of a frame folder, shape (pairs, 2, height, width)."""
    import simplejpeg

    return np.stack(
        [
            np.stack(
                [
                    simplejpeg.decode_jpeg(
                        (folder / f"flow_{axis}_{number:05d}.jpg").read_bytes(), colorspace="GRAY"
                    )[:, :, 0]
                    for axis in ("x", "y")
                ]
            )
            for number in range(start_index, start_index + pairs)
        ]
    )

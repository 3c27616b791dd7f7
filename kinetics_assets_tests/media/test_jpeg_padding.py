"""Regression: odd pictures took their last column from memory that nobody had written."""

from __future__ import annotations

import numpy as np
import pytest

from kinetics_assets.media.jpeg import encode_planes


def encoded(height_px: int, width_px: int, *, rubbish: int) -> bytes:
    """Encode planes that lie in larger buffers whose remainder holds `rubbish`."""
    generator = np.random.Generator(np.random.PCG64(height_px * width_px))
    planes = []
    for height, width in (
        (height_px, width_px),
        *[((height_px + 1) // 2, (width_px + 1) // 2)] * 2,
    ):
        buffer = np.full((height + 8, width + 32), rubbish, np.uint8)
        buffer[:height, :width] = generator.integers(0, 255, (height, width))
        planes.append(buffer[:height, :width])
    return encode_planes(*planes, quality=95)


@pytest.mark.parametrize(("height_px", "width_px"), [(64, 85), (63, 84), (63, 85), (16, 18)])
def test_bytes_do_not_depend_on_what_lies_beside_the_picture(height_px: int, width_px: int) -> None:
    """Equal pixels give equal bytes, whatever stands in memory behind an odd side."""
    assert encoded(height_px, width_px, rubbish=0) == encoded(height_px, width_px, rubbish=255)

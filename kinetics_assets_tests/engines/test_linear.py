"""Pictures of several channels are resized like OpenCV's."""

from __future__ import annotations

import numpy as np
import pytest

from kinetics_assets.engines.linear import LinearResize

cv2 = pytest.importorskip("cv2", exc_type=ImportError, reason="cv2 lacks libGL here")


@pytest.mark.parametrize(
    ("shape", "width", "height"),
    [((135, 241), 85, 64), ((64, 48), 97, 131), ((90, 160), 160, 45), ((1, 7), 3, 5)],
)
def test_colour_is_resized_as_opencv_does(shape: tuple[int, int], width: int, height: int) -> None:
    """Three bytes a pixel, up or down: within one level and nearly always equal."""
    bgr = np.random.default_rng(4).integers(0, 256, (*shape, 3), dtype=np.uint8)
    resizer = LinearResize(shape, width, height, channels=3)
    ours = resizer.resize(bgr[resizer.rows].reshape(len(resizer.rows), -1))
    theirs = cv2.resize(bgr, (width, height), interpolation=cv2.INTER_LINEAR)
    difference = np.abs(ours.reshape(height, width, 3).astype(int) - theirs)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 0.01

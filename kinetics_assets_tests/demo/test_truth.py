"""The demo's truth: known velocities and the distance of a flow from them."""

from __future__ import annotations

import numpy as np
import pytest

from kinetics_assets.core.clips import Clip, ClipId
from kinetics_assets.demo import clips, truth


def test_velocity_scales_with_the_picture() -> None:
    """Half the width means half the displacement, along both axes."""
    row = clips.plan(clips.chosen_classes())[0]
    full = truth.velocity_px(row.clip, width_px=row.source.width_px)
    half = truth.velocity_px(row.clip, width_px=row.source.width_px // 2)
    assert full == row.source.velocity_px
    assert half == pytest.approx((full[0] / 2, full[1] / 2))


def test_a_clip_that_is_none_of_the_demos_is_refused() -> None:
    """Truth is never made up."""
    with pytest.raises(KeyError):
        truth.velocity_px(Clip(ClipId("AAAAAAAAAAA", 0, 1), "zumba"), width_px=10)


def test_error_of_a_quantised_flow_is_the_distance_in_pixels() -> None:
    """A constant flow that is off by (3, 4) pixels has an error of 5, up to one grey level."""
    flow = np.empty((2, 2, 48, 64), dtype=np.uint8)
    flow[:, 0] = round(255 * (4.0 + 20) / 40)
    flow[:, 1] = round(255 * (4.0 + 20) / 40)
    assert truth.end_point_error_px(flow, (1.0, 0.0), bound_px=20.0) == pytest.approx(5.0, abs=0.12)
    assert truth.end_point_error_px(flow, (4.0, 4.0), bound_px=20.0) < 0.12

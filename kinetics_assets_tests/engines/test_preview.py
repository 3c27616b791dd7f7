"""The preview engines, which no one gets without naming them."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.engines.preview import DisPreview, FarnebackPreview
from kinetics_assets.engines.tvl1 import PROFILE


def test_profiles_are_not_tvl1() -> None:
    """A preview records an algorithm of its own, so its flow never counts as TV-L1."""
    assert len({DisPreview().profile, FarnebackPreview().profile, PROFILE}) == 3


@pytest.mark.parametrize("engine", [DisPreview(), FarnebackPreview()])
def test_missing_opencv_names_the_remedy(
    engine: DisPreview | FarnebackPreview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cv2 that cannot be imported gives one error that names the package to install."""
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ToolMissing, match="opencv-python-headless"):
        engine.flow(np.zeros((2, 40, 40), np.uint8))
    with pytest.raises(ToolMissing, match="opencv-python-headless"):
        engine.versions()

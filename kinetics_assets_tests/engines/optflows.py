"""``cv2.optflow`` for a test: the real one where OpenCV has contrib, else the stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

from kinetics_assets_tests.resources import cv2_optflow_stand_in


def has_contrib() -> bool:
    """Return whether OpenCV here has its own TV-L1."""
    import cv2

    return hasattr(getattr(cv2, "optflow", None), "DualTVL1OpticalFlow_create")


@contextmanager
def present() -> Iterator[ModuleType]:
    """Let cv2 have a TV-L1 within the block; yield the module that has it."""
    import cv2

    with pytest.MonkeyPatch.context() as patch:
        if not has_contrib():
            patch.setattr(cv2, "optflow", cv2_optflow_stand_in, raising=False)
        found: ModuleType = vars(cv2)["optflow"]  # of which the stubs without contrib know nothing
        yield found

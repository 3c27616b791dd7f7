"""Which kind of device a flow engine runs on, known by its name before anything heavy is imported.

Definitions must say which steps need a GPU when they load; the engines themselves import numpy.
"""

from __future__ import annotations

from typing import Literal

Device = Literal["cpu", "gpu"]
_ON_GPU = ("cuda", "opencv_cuda", "denseflow")


def device_of(engine: str) -> Device:
    """Return the device of an engine: these families, and ``<family>-<method>``, run on a GPU."""
    is_on_gpu = any(engine == family or engine.startswith(f"{family}-") for family in _ON_GPU)
    return "gpu" if is_on_gpu else "cpu"

"""Is there a CUDA device, and what to load to use it: told without loading CuPy.

Nothing here initialises CUDA in this process where the driver's management library answers instead:
a process that did could not fork children that use the device.
"""

from __future__ import annotations

import ctypes
import os
from importlib.util import find_spec
from typing import Final

_HIDDEN: Final = {"", "-1", "NoDevFiles"}


def usable() -> bool:
    """Return whether the engine can run here: CuPy is installed and a device is to be seen."""
    return find_spec("cupy") is not None and device_count() > 0


def device_count() -> int:
    """Return how many devices the driver has; 0 without a driver or where all are hidden.

    A device that ``CUDA_VISIBLE_DEVICES`` hides is counted as long as it names another.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in _HIDDEN:
        return 0
    count = _counted("libnvidia-ml.so.1", "nvmlInit_v2", "nvmlDeviceGetCount_v2", "nvmlShutdown")
    if count is None:
        count = _counted("libcuda.so.1", "cuInit", "cuDeviceGetCount", None, (0,))
    return count or 0


def _counted(
    library: str, start: str, count: str, end: str | None, arguments: tuple[int, ...] = ()
) -> int | None:
    """Return what the function `count` of a driver's `library` tells, None without the library."""
    try:
        driver = ctypes.CDLL(library)
        if getattr(driver, start)(*arguments):
            return 0
        found = ctypes.c_int(0)
        failed = getattr(driver, count)(ctypes.byref(found))
        if end is not None:
            getattr(driver, end)()
    except (OSError, AttributeError):
        return None
    return 0 if failed else found.value

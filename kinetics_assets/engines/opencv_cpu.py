"""TV-L1 as OpenCV computes it on the CPU (profile "opencv4-cpu"), by OpenCV itself.

It is in the wheels with contrib only. The algorithm is another than on CUDA: a median filter, other
resizes, borders and stop rule; on camera footage 2 % of the 8-bit samples differ by more than one
level. So it is used only when named, by whoever has a dataset to go on with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.engines import tvl1
from kinetics_assets.engines.opencv_wheel import OpenCvEngine, opencv

if TYPE_CHECKING:
    from types import ModuleType

CONTRIB_REMEDY: Final = (
    "Run `pip uninstall -y opencv-python opencv-python-headless && pip install --force-reinstall"
    " --no-deps opencv-contrib-python-headless`: the wheel with contrib has all of the others, and"
    " two of them in one place damage each other."
)
_PARAMETERS: Final[dict[str, float]] = {
    "tau": tvl1.TAU,
    "lambda_": tvl1.LAMBDA,
    "theta": tvl1.THETA,
    "nscales": 5,
    "warps": tvl1.WARPS,
    "epsilon": tvl1.EPSILON,
    "innnerIterations": 30,
    "outerIterations": 10,
    "scaleStep": tvl1.SCALE_STEP,
    "gamma": 0.0,
    "medianFiltering": 5,
    "useInitialFlow": False,
}
"""Those of denseflow, which are OpenCV's defaults; the CPU has its 300 iterations in two loops and
the filter between them. The names are OpenCV's, one slip included."""


class OpenCvCpuEngine(OpenCvEngine):
    """``cv2.optflow``: about a second per pair at 340x256, ten times the time of the engine `cpu`.

    OpenCV's own threads solve a pair; how many they are is a setting of the whole process.
    """

    name: str = "opencv_cpu"
    profile: str = "opencv4-cpu"

    def __init__(self, *, threads: int | None = None) -> None:
        """Let OpenCV have `threads` threads in this process, by default as many as it likes.

        Raises:
            ValueError: `threads` is below one.
        """
        if threads is not None and threads < 1:
            raise ValueError(f"The engine {self.name} needs at least one thread, got {threads}.")
        self.threads = threads

    def versions(self) -> dict[str, str]:
        """Return the version of OpenCV.

        Raises:
            ToolMissing: OpenCV cannot be imported, or is without contrib.
        """
        _opencv_with_contrib()
        return super().versions()

    def pair_flow(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the flow (H, W, 2).

        A new solver per pair: one is not made for two threads, and keeps the number of levels of
        the smallest frames that it ever saw.
        """
        cv2 = _opencv_with_contrib()
        if self.threads is not None and cv2.getNumThreads() != self.threads:
            cv2.setNumThreads(self.threads)
        solver = cv2.optflow.DualTVL1OpticalFlow_create(**_PARAMETERS)
        return np.asarray(solver.calc(first, second, None), np.float32)


def has_tvl1(cv2: ModuleType) -> bool:
    """Return whether this OpenCV has its own TV-L1: only builds with contrib have."""
    return hasattr(getattr(cv2, "optflow", None), "DualTVL1OpticalFlow_create")


def _opencv_with_contrib() -> ModuleType:
    """Return the module cv2.

    Raises:
        ToolMissing: it cannot be imported, or has no TV-L1.
    """
    cv2 = opencv()
    if not has_tvl1(cv2):
        raise ToolMissing("OpenCV with contrib (cv2.optflow)", CONTRIB_REMEDY)
    return cv2

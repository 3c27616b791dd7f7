"""What a CUDA OpenCV can and cannot do here: each trouble with its one remedy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from kinetics_assets.core.errors import DeviceLost, ToolMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kinetics_assets.core.errors import EnvironmentFault

SETTING: Final = "flow.opencv_cuda_python"
OTHER_ENGINE: Final = "or choose another engine (flow.engine)."
_OUT_OF_MEMORY: Final = re.compile(r"out.of.memory|insufficient memory|\(-4:", re.IGNORECASE)
_BUILD: Final = "Build OpenCV and opencv_contrib with -DWITH_CUDA=ON; the engine cuda needs neither"
_METHOD_WORDS: Final = {"tvl1": "TV-L1", "farneback": "Farneback", "brox": "Brox", "nvof": "NVOF"}
_SLOW_FROM, _SLOW_BELOW = (4, 0, 0), (4, 5, 5)
"""TV-L1 waits for the whole device at every test whether it is done, in between."""

Kind = Literal["opencv", "cuda", "class", "device", "memory"]
"""What is missing: cv2 itself, CUDA in it, the method in it, a device that works, its memory."""

_MEANINGS: Final[tuple[tuple[str, Kind, str], ...]] = (
    (
        "without NVIDIA OpticalFlow",
        "class",
        "Build OpenCV anew where it can fetch the headers of NVIDIA's Optical Flow SDK",
    ),
    (
        "NvOF library|NVOFAPI|NvOFAPI",
        "class",
        (
            "Install the driver's libnvidia-opticalflow.so.1; in a container, start it with"
            " NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"
        ),
    ),
    ("NV_OF_ERR_INVALID_VERSION", "class", "Update the NVIDIA driver"),
    (
        "OF_NOT_AVAILABLE|NV_OF_ERR_UNSUPPORTED_DEVICE",
        "class",
        "This GPU has no hardware for optical flow: use one of the Turing generation or newer",
    ),
    (
        "compiled without CUDA",
        "class",
        "Build OpenCV with the module cudalegacy (-DBUILD_opencv_cudalegacy=ON)",
    ),
    (
        "no kernel image|wrong flow",
        "cuda",
        "Build OpenCV for this GPU (-DCUDA_ARCH_BIN=<its compute capability>)",
    ),
    (
        "gpu api call|CUDA-capable|CUDA driver|cudaError",
        "device",
        "Check the driver (`nvidia-smi`), and that OpenCV was built for this GPU",
    ),
)
"""Words of an error -> what is missing, what to do; the first that fits counts."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a method cannot be used."""

    kind: Kind
    says: str
    """What was found, without a full stop."""
    remedy: str
    """What to do, without a full stop."""

    def fault(self) -> EnvironmentFault:
        """Return it as what stops a step."""
        remedy = f"{self.remedy}, {OTHER_ENGINE}"
        if self.kind in {"device", "memory"}:
            return DeviceLost(f"{self.says}.", remedy=remedy)
        return ToolMissing(f"OpenCV CUDA ({self.says})", remedy)


def trouble_in(found: Mapping[str, Any], method: str, *, python: str) -> Trouble | None:
    """Return why `method` cannot be used where a worker found this; None: it can.

    Args:
        found: What the worker said first, or ``{"died": words}`` for one that said nothing.
        method: ``tvl1``, ``farneback``, ``brox`` or ``nvof``.
        python: The interpreter.
    """
    by_hand = f"Run `{python} -I -c 'import cv2'` and mend what it says"
    if "missing" in found:
        says = f"there is no interpreter {python}"
        return Trouble("opencv", says, f"Name one that can be executed in {SETTING}")
    if "died" in found:
        return Trouble(
            "opencv", f"{python} cannot be asked for its OpenCV: {found['died']}", by_hand
        )
    if "import_error" in found:
        if found["is_absent"]:
            remedy = f"Name the interpreter that your CUDA OpenCV was built for in {SETTING}"
            return Trouble("opencv", f"{python} has no cv2", remedy)
        return Trouble(
            "opencv", f"cv2 of {python} cannot be loaded: {found['import_error']}", by_hand
        )
    return _trouble_in_opencv(found, method, opencv=f"OpenCV {found['opencv']} of {python}")


def trouble_of(words: str, *, python: str) -> Trouble:
    """Return what stands behind an error on frames that are known to be good."""
    if is_out_of_memory(words):
        return Trouble(
            "memory",
            f"There is too little memory: {words}",
            "End what else is on that GPU (`nvidia-smi`), or make smaller frames (rawframes.size)",
        )
    says = f"cv2.cuda of {python} fails on frames known to be good: {words}"
    for pattern, kind, remedy in _MEANINGS:
        if re.search(pattern, words, re.IGNORECASE):
            return Trouble(kind, says, remedy)
    return Trouble("opencv", says, "Try a pair of frames there by hand")


def is_out_of_memory(words: str) -> bool:
    """Return whether an error says that the device's memory is short."""
    return bool(_OUT_OF_MEMORY.search(words))


def slowness(opencv: str, method: str) -> str:
    """Return what is to be said of the speed of this version, empty when nothing."""
    numbers = [int(part) for part in re.findall(r"\d+", opencv)[:3]]
    version = tuple([*numbers, 0, 0, 0][:3])
    if method == "tvl1" and _SLOW_FROM <= version < _SLOW_BELOW:
        return "its TV-L1 is several times slower than that of 4.5.5 and newer"
    return ""


def _trouble_in_opencv(found: Mapping[str, Any], method: str, *, opencv: str) -> Trouble | None:
    """Return why an OpenCV that can be loaded has not the method, or no device for it."""
    words, problem = _METHOD_WORDS[method], found["devices_error"]
    if not found["has_cuda"]:
        return Trouble("cuda", f"{opencv} was built without CUDA", _BUILD)
    if not found["classes"].get(method):
        remedy = "Build it with opencv_contrib (-DOPENCV_EXTRA_MODULES_PATH, cudaoptflow)"
        return Trouble("class", f"{opencv} has CUDA, but not its {words}", remedy)
    if found["devices"] < 1:
        cause = f" ({problem})" if problem else ""
        cause = cause or (" (the driver is too old for its CUDA)" if found["devices"] < 0 else "")
        remedy = "Check `nvidia-smi`, CUDA_VISIBLE_DEVICES, and that the driver fits its CUDA"
        return Trouble("device", f"{opencv} sees no device{cause}", remedy)
    return None

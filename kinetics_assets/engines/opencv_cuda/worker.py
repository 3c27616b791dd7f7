"""The program that computes flow with a CUDA OpenCV, in an interpreter that is not ours.

It is started by its path and must stand alone: nothing but Python 3.8, numpy and cv2 is there.
Frames come and flow goes through one shared file whose descriptor is the argument; without one it
only says what it found. What is asked and answered are lines of JSON, the first of which says what
`look` returns. Whatever OpenCV prints goes to the standard error.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import sys
from collections.abc import Callable
from typing import Any

CLASSES = {
    "tvl1": ("OpticalFlowDual_TVL1",),
    "farneback": ("FarnebackOpticalFlow",),
    "brox": ("BroxOpticalFlow",),
    "nvof": ("NvidiaOpticalFlow_2_0", "NvidiaOpticalFlow_1_0"),
}
"""Method -> OpenCV's classes for it, the best first."""
FRACTIONS = 32.0
"""The hardware's vectors have 5 bits after the point."""


def main() -> None:
    """Say what is here, then answer until there is nothing more to read."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    found = look()
    say(answers, found)
    if len(sys.argv) < 2 or "opencv" not in found:
        return
    shared, solver = Shared(int(sys.argv[1])), Solver()
    for line in sys.stdin:
        say(answers, answer(json.loads(line), shared, solver))


def look() -> dict[str, Any]:
    """Return OpenCV's version, methods, and devices, or why it cannot be imported."""
    try:
        import cv2
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything
        absent = isinstance(error, ModuleNotFoundError) and error.name == "cv2"
        return {"import_error": words_of(error), "is_absent": absent}
    devices, problem = 0, ""
    try:
        devices = int(cv2.cuda.getCudaEnabledDeviceCount())
    except Exception as error:  # noqa: BLE001 - of a driver that does not fit, too
        problem = words_of(error)
    text = cv2.getBuildInformation() if hasattr(cv2, "getBuildInformation") else ""
    return {
        "opencv": str(cv2.__version__),
        "has_cuda": bool(re.search(r"NVIDIA CUDA:\s+YES", text)) or devices > 0,
        "devices": devices,
        "devices_error": problem,
        "classes": {
            method: next((name for name in names if named(name) is not None), "")
            for method, names in CLASSES.items()
        },
    }


def answer(question: dict[str, Any], shared: Shared, solver: Solver) -> dict[str, Any]:
    """Return that the flow of the shared frames is in its place, or what went wrong."""
    import cv2

    size = question["frames"], question["height"], question["width"]
    try:
        frames, flow = shared.arrays(*size)
        solver.solve(question["method"], frames, flow)
    except cv2.error as error:
        return {"error": words_of(error), "code": getattr(error, "code", None)}
    except MemoryError:
        return {"error": "out of memory, the machine's own"}
    except Exception as error:  # noqa: BLE001 - the other side judges
        return {"error": words_of(error)}
    return {"pairs": len(flow)}


class Shared:
    """The frames and the flow, in memory that both processes see."""

    def __init__(self, descriptor: int) -> None:
        """Use the open file `descriptor`."""
        self._descriptor = descriptor
        self._map: Any = None

    def arrays(self, count: int, height: int, width: int) -> tuple[Any, Any]:
        """Return frames (count, height, width) and room for flow (count - 1, 2, height, width)."""
        import numpy as np

        plane = height * width
        size = flow_offset(count, height, width) + 8 * (count - 1) * plane
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self._descriptor, size)
        frames = np.frombuffer(self._map, np.uint8, count * plane)
        offset = flow_offset(count, height, width)
        flow = np.frombuffer(self._map, np.float32, 2 * (count - 1) * plane, offset)
        return frames.reshape(count, height, width), flow.reshape(count - 1, 2, height, width)


def flow_offset(count: int, height: int, width: int) -> int:
    """Return where in the shared memory flow begins, in bytes."""
    return -(-count * height * width // 64) * 64


class Solver:
    """One of OpenCV's algorithms, made anew for every size: they keep buffers and levels."""

    def __init__(self) -> None:
        """Have none yet."""
        self._key: tuple[Any, ...] = ()
        self._made: Any = None
        self._stream: Any = None

    def solve(self, method: str, frames: Any, flow: Any) -> None:  # noqa: ANN401 - arrays
        """Put the flow of neighbouring `frames` into `flow`; each frame is uploaded once."""
        height, width = frames.shape[1:]
        self._make(method, width, height)
        read = read_hardware if method == "nvof" else read_float
        before = self._upload(method, frames[0])
        for pair in range(len(flow)):
            after = self._upload(method, frames[pair + 1])
            # without a stream every kernel is waited for
            result = self._made.calc(before, after, None, stream=self._stream)
            self._stream.waitForCompletion()
            flow[pair] = read(self._made, result, width, height).transpose(2, 0, 1)
            before = after

    def _make(self, method: str, width: int, height: int) -> None:
        """Have the algorithm for this size."""
        if self._stream is None:
            self._stream = named("Stream")()
        if self._key == (method, width, height):
            return
        if self._made is not None and self._key[0] == "nvof":
            self._made.collectGarbage()  # ends its session; it is never used again
        self._key, self._made = (), None
        self._made = MAKERS[method](width, height)
        self._key = method, width, height

    def _upload(self, method: str, frame: Any) -> Any:  # noqa: ANN401 - an array, a GpuMat
        """Return a frame on the device: 8 bits, for Brox 0 to 1."""
        import numpy as np

        there = named("GpuMat")()
        pixels = frame.astype(np.float32) / np.float32(255.0) if method == "brox" else frame
        there.upload(pixels, self._stream)
        self._stream.waitForCompletion()  # Farneback before 4.9 does not wait for it
        return there


def make_tvl1(width: int, height: int) -> Any:  # noqa: ANN401, ARG001 - OpenCV's object
    """Return TV-L1 with the defaults of OpenCV 3 to 5, and so of denseflow."""
    return creator("OpticalFlowDual_TVL1")(0.25, 0.15, 0.3, 5, 5, 0.01, 300, 0.8, 0.0, False)


def make_farneback(width: int, height: int) -> Any:  # noqa: ANN401, ARG001 - OpenCV's object
    """Return Farneback's algorithm with OpenCV's defaults."""
    return creator("FarnebackOpticalFlow")(5, 0.5, False, 13, 10, 5, 1.1, 0)


def make_brox(width: int, height: int) -> Any:  # noqa: ANN401, ARG001 - OpenCV's object
    """Return Brox' algorithm with OpenCV's defaults."""
    return creator("BroxOpticalFlow")(0.197, 50.0, 0.8, 5, 150, 10)


def make_nvof(width: int, height: int) -> Any:  # noqa: ANN401 - OpenCV's object
    """Return a session of the hardware at its best quality, without hints, on the finest grid."""
    if named("NvidiaOpticalFlow_2_0") is not None:
        create = creator("NvidiaOpticalFlow_2_0")
        return create((width, height), perfPreset=5, outputGridSize=1, gpuId=0)
    create = creator("NvidiaOpticalFlow_1_0")
    if "imageSize" in (create.__doc__ or ""):
        return create((width, height), 5, False, False, False, 0)
    return create(width, height, 5, False, False, False, 0)  # before 4.5.2


MAKERS: dict[str, Callable[[int, int], Any]] = {
    "tvl1": make_tvl1,
    "farneback": make_farneback,
    "brox": make_brox,
    "nvof": make_nvof,
}


def read_float(made: Any, result: Any, width: int, height: int) -> Any:  # noqa: ANN401, ARG001
    """Return flow (height, width, 2) in pixels from what an algorithm gave."""
    return checked(result.download(), "float32", width, height)


def read_hardware(made: Any, result: Any, width: int, height: int) -> Any:  # noqa: ANN401
    """Return flow (height, width, 2) in pixels: each vector stands for a square of pixels."""
    import numpy as np

    vectors = result[0] if isinstance(result, tuple) else result  # the second is the cost
    if hasattr(vectors, "download"):
        vectors = vectors.download()
    grid = int(made.getGridSize())
    vectors = checked(vectors, "int16", -(-width // grid), -(-height // grid))
    field = vectors.astype(np.float32) / np.float32(FRACTIONS)
    return field.repeat(grid, axis=0).repeat(grid, axis=1)[:height, :width]


def checked(result: Any, kind: str, width: int, height: int) -> Any:  # noqa: ANN401 - an array
    """Return `result` if it has this type and (height, width, 2)."""
    if str(result.dtype) != kind or result.shape != (height, width, 2):
        raise ValueError(f"flow is {result.dtype} {result.shape}, not {kind} {(height, width, 2)}")
    return result


def named(name: str) -> Any:  # noqa: ANN401 - a class of OpenCV, or None
    """Return a class of cv2.cuda under its present or its older name, None if there is none."""
    import cv2

    found = getattr(getattr(cv2, "cuda", None), name, None)
    return getattr(cv2, "cuda_" + name, None) if found is None else found


def creator(name: str) -> Callable[..., Any]:
    """Return the function that makes an object of a class of cv2.cuda."""
    import cv2

    found = getattr(getattr(cv2, "cuda", None), name + "_create", None)
    return named(name).create if found is None else found


def words_of(error: BaseException) -> str:
    """Return what an error says, as one line."""
    return " ".join((type(error).__name__ + ": " + str(error)).split())[:600]


def say(answers: Any, what: dict[str, Any]) -> None:  # noqa: ANN401 - a text file
    """Send one answer."""
    answers.write(json.dumps(what) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()

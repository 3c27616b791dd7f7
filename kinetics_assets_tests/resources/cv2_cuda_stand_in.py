"""Stands in for cv2 of a CUDA build: the types of its real API, a flow that is real, misbehaviour.

It is copied into an interpreter's packages as ``cv2.py``, with ``behaviour.json`` beside it:

- ``mode``: a way of misbehaving, see `_misbehave` and the places that ask `_does`;
- ``always``: also on the pair that the engine knows (240 rows), else on all others;
- ``times``: how often it misbehaves before it works, 0 for ever;
- ``only``: rows of the frames on which alone it misbehaves;
- ``version``, ``lacks`` (names of classes that are not there), ``names`` (``old``: those of
  classes have an underscore, ``cv2.cuda_BroxOpticalFlow.create``).

What it is asked for is written to ``log`` there. Wrong types, sizes, argument names or a missing
stream are errors, as they are, or give wrong flow, with the real one.
"""

# ruff: noqa: N801, N802, N803 - names are those of the real one

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

_HERE = Path(__file__).resolve().parent
_TOLD = json.loads((_HERE / "behaviour.json").read_text())
_KNOWN_ROWS = 240
_BUILD = "General configuration for OpenCV {}\n  NVIDIA CUDA:                   {}\n"
_CODES = {-217: "Gpu API call", -216: "No CUDA support", -215: "Assertion failed", -206: "Bad func"}
__version__ = _TOLD.get("version", "4.10.0")


class error(Exception):
    """Raised by every function of cv2."""

    def __init__(self, code: int, words: str) -> None:
        """Keep what the real one has."""
        self.code, self.err = code, words
        name = _CODES[code]
        where = f"OpenCV({__version__}) modules/cudaoptflow/src/stand_in.cpp:1"
        super().__init__(f"{where}: error: ({code}:{name}) {words}")


def getBuildInformation() -> str:
    """Return what was built."""
    return _BUILD.format(__version__, "NO" if _does("no_cuda") else "YES (ver 12.4, CUFFT CUBLAS)")


def _note(what: str, **more: object) -> None:
    """Add a line to the log."""
    with (_HERE / "log").open("a") as file:
        file.write(json.dumps({"what": what, "pid": os.getpid(), **more}) + "\n")


def _does(mode: str) -> bool:
    """Return whether it is to misbehave in this way."""
    return bool(_TOLD["mode"] == mode)


def _misbehave(rows: int) -> str:
    """Return how the flow of frames with so many rows goes wrong, after going wrong for good."""
    if "only" in _TOLD and rows not in {_TOLD["only"], _KNOWN_ROWS}:
        return "well"
    if rows == _KNOWN_ROWS and not _TOLD.get("always"):
        return "well"
    count = _HERE / "count"
    done = int(count.read_text()) if count.exists() else 0
    if _TOLD.get("times") and done >= _TOLD["times"]:
        return "well"
    count.write_text(str(done + 1))
    mode = str(_TOLD["mode"])
    if mode == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "exits":
        sys.stderr.write("terminate called after throwing an instance\n")
        sys.stderr.flush()
        os._exit(134)
    while mode == "hang":
        time.sleep(60)
    words = {
        "out_of_memory": "out of memory in function 'allocate'",
        "lost": "CUDA-capable device(s) is/are busy or unavailable in function 'call'",
        "illegal": "an illegal memory access was encountered in function 'call'",
        "no_kernel": "no kernel image is available for execution on the device",
    }
    if mode in words:
        raise error(-217, words[mode])
    return mode


class GpuMat:
    """An array on the device."""

    def __init__(self, array: np.ndarray | None = None) -> None:
        """Take a copy of `array`."""
        self._array = None if array is None else np.array(array)
        self.needs: Stream | None = None

    def upload(self, array: np.ndarray, stream: Stream | None = None) -> None:
        """Take a copy of `array`."""
        if not isinstance(array, np.ndarray) or array.dtype not in ("u1", "f4", "i2"):
            raise error(-215, "arr is not a numerical tuple")
        if stream is not None and not isinstance(stream, Stream):
            raise error(-215, "stream is no Stream")
        if stream is not None:
            stream.is_waited_for = False
        self.needs = stream
        self._array = np.array(array)
        _note("upload", type=str(array.dtype))

    def download(self, stream: Stream | None = None) -> np.ndarray:
        """Return a copy."""
        is_there = self.needs is None or self.needs.is_waited_for
        if self._array is None or stream is not None or not is_there:
            raise error(-215, "there is nothing yet")
        return self._array.copy()


class Stream:
    """An order of work."""

    def __init__(self) -> None:
        """Have nothing to do."""
        self.is_waited_for = True

    def waitForCompletion(self) -> None:
        """Be done."""
        self.is_waited_for = True


class _Dense:
    """What the algorithms have in common: frames and flow of one size, on a stream."""

    TYPES: tuple[str, ...]

    def __init__(self) -> None:
        """Have seen no size."""
        self._shape: tuple[int, ...] = ()

    def calc(self, I0: GpuMat, I1: GpuMat, flow: GpuMat | None, stream: Stream) -> GpuMat:
        """Return the flow as 32FC2."""
        first, second = _planes(I0, I1, stream, self.TYPES)
        if flow is not None or self._shape not in {(), first.shape}:
            raise error(-215, "sticky: this object has levels or flow of another size")
        self._shape = first.shape
        stream.is_waited_for = False
        mode = _misbehave(first.shape[0])
        field = _field(first, second)
        if mode == "wrong_size":
            field = field[:-1]
        if mode == "nan":
            field[0, 0] = np.nan
        if mode == "zeros":
            field[:] = 0
        if mode == "junk":
            os.write(1, b"[ INFO] junk\n{}\n" * 99)
        if mode == "chatter":
            os.write(2, b"warning\n" * 40_000)
        result = GpuMat(field)
        result.needs = stream
        return result


class OpticalFlowDual_TVL1(_Dense):
    """TV-L1."""

    TYPES = ("uint8",)


class FarnebackOpticalFlow(_Dense):
    """Farneback."""

    TYPES = ("uint8", "float32")


class BroxOpticalFlow(_Dense):
    """Brox."""

    TYPES = ("float32",)


class _Hardware:
    """A session of the hardware: one size, vectors in fixed point."""

    def __init__(self, size: tuple[int, int], grid: int) -> None:
        """Open a session for frames of (width, height)."""
        if _does("no_library"):
            raise error(-206, "Cannot find NvOF library.")
        if _does("no_hardware"):
            raise error(-206, "nvOFInit returned error 1:NV_OF_ERR_OF_NOT_AVAILABLE")
        self._size, self._grid, self._is_open = size, grid, True

    def getGridSize(self) -> int:
        """Return how many pixels side by side share a vector."""
        return self._grid

    def calc(
        self,
        inputImage: GpuMat,
        referenceImage: GpuMat,
        flow: GpuMat | None,
        stream: Stream,
    ) -> tuple[GpuMat, None]:
        """Return vectors as 16SC2, and no cost."""
        first, second = _planes(inputImage, referenceImage, stream, ("uint8",))
        if flow is not None or not self._is_open or first.shape != self._size[::-1]:
            raise error(-215, "the session is of another size, or over")
        _misbehave(first.shape[0])
        vectors = np.rint(32 * _field(first, second)[:: self._grid, :: self._grid])
        return GpuMat(vectors.astype(np.int16)), None

    def collectGarbage(self) -> None:
        """End the session."""
        self._is_open = False
        _note("collect")


class NvidiaOpticalFlow_1_0(_Hardware):
    """The first interface."""


class NvidiaOpticalFlow_2_0(_Hardware):
    """The second interface."""


def _planes(
    first: GpuMat, second: GpuMat, stream: object, types: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the arrays of two frames that fit."""
    if not (isinstance(first, GpuMat) and isinstance(second, GpuMat)):
        raise error(-215, "Overload resolution failed: not a GpuMat")
    if not isinstance(stream, Stream):
        raise error(-215, "the stand-in wants an explicit Stream")
    a, b = first.download(), second.download()
    if a.ndim != 2 or a.shape != b.shape or not a.dtype == b.dtype in types:
        raise error(-215, f"frames are {a.dtype} {a.shape} and {b.dtype} {b.shape}")
    if a.dtype == np.float32:
        if a.max(initial=0) > 1:
            raise error(-215, "frames are not within 0 and 1")
        return a * np.float32(255), b * np.float32(255)
    return a, b


def _field(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return a flow: the motion of the whole picture, and a little of what changes in place."""
    window = np.outer(*(np.hanning(size + 2)[1:-1] for size in first.shape))
    was, there = (np.fft.rfft2(window * (frame - frame.mean())) for frame in (first, second))
    there *= np.conj(was)
    there /= np.maximum(np.abs(there), 1e-9)
    peak = np.unravel_index(np.argmax(np.fft.irfft2(there, first.shape)), first.shape)
    sizes = first.shape
    dy, dx = (int(at) - size * (2 * int(at) > size) for at, size in zip(peak, sizes, strict=True))
    changes = (second.astype(np.float32) - first) / np.float32(2550)
    return np.stack([dx + changes, dy - changes], axis=2).astype(np.float32)


def _create_tvl1(*numbers: float) -> OpticalFlowDual_TVL1:
    """OpticalFlowDual_TVL1_create([, tau[, lambda[, theta[, nscales[, ...]]]]]) -> retval."""
    _check(numbers, (float, float, float, int, int, float, int, float, float, bool))
    if numbers[-1:] == (True,):
        raise error(-215, "the initial flow is read from where nothing was written")
    return OpticalFlowDual_TVL1()


def _create_farneback(*numbers: float) -> FarnebackOpticalFlow:
    """FarnebackOpticalFlow_create([, numLevels[, pyrScale[, fastPyramids[, ...]]]]) -> retval."""
    _check(numbers, (int, float, bool, int, int, int, float, int))
    return FarnebackOpticalFlow()


def _create_brox(*numbers: float) -> BroxOpticalFlow:
    """BroxOpticalFlow_create([, alpha[, gamma[, scale_factor[, inner[, ...]]]]]) -> retval."""
    _check(numbers, (float, float, float, int, int, int))
    if _does("no_legacy"):
        raise error(-216, "The library is compiled without CUDA support in 'throw_no_cuda'")
    return BroxOpticalFlow()


def _create_first(*numbers: int) -> NvidiaOpticalFlow_1_0:
    """NvidiaOpticalFlow_1_0_create(width, height[, perfPreset[, ...]]) -> retval."""
    _check(numbers, (int, int, int, bool, bool, bool, int))
    return NvidiaOpticalFlow_1_0((numbers[0], numbers[1]), 4)


def _create_second(
    imageSize: tuple[int, int],
    perfPreset: int = 5,
    outputGridSize: int = 1,
    gpuId: int = 0,
) -> NvidiaOpticalFlow_2_0:
    """NvidiaOpticalFlow_2_0_create(imageSize[, perfPreset[, outputGridSize[, ...]]]) -> retval."""
    _check((*imageSize, perfPreset, outputGridSize, gpuId), (int, int, int, int, int))
    return NvidiaOpticalFlow_2_0(imageSize, outputGridSize)


def _check(given: tuple[object, ...], types: tuple[type, ...]) -> None:
    """Refuse what the real binding cannot convert."""
    _note("create", given=given)
    fits = [
        type(one) is kind or (kind is float and type(one) is int)
        for one, kind in zip(given, types, strict=False)
    ]
    if len(given) > len(types) or not all(fits):
        raise error(-215, f"Overload resolution failed: {given}")


def _devices() -> int:
    """Return how many devices there are."""
    if _does("no_device") or _does("no_cuda"):
        return 0
    if _does("broken_driver"):
        raise error(-217, "forward compatibility was attempted on non supported HW")
    return -1 if _does("old_driver") else 1


_CREATORS = {
    "OpticalFlowDual_TVL1": _create_tvl1,
    "FarnebackOpticalFlow": _create_farneback,
    "BroxOpticalFlow": _create_brox,
    "NvidiaOpticalFlow_1_0": _create_first,
    "NvidiaOpticalFlow_2_0": _create_second,
}
cuda = ModuleType("cv2.cuda")
vars(cuda).update(GpuMat=GpuMat, Stream=Stream, getCudaEnabledDeviceCount=_devices)
for _name, _creator in _CREATORS.items():
    if not _does("no_cuda") and _name not in _TOLD.get("lacks", []):
        if _TOLD.get("names") == "old":
            globals()[f"cuda_{_name}"] = SimpleNamespace(create=_creator)
        else:
            setattr(cuda, _name, globals()[_name])
            setattr(cuda, f"{_name}_create", _creator)
if _does("junk"):
    sys.stdout.write("[ INFO:0] junk\n")
    sys.stdout.flush()
if _does("broken"):
    raise ImportError("libcudart.so.12: cannot open shared object file: No such file or directory")
if _does("hang_at_start"):
    time.sleep(600)
_note(
    "import",
    environment=dict(os.environ),
    path=sys.path,
    folder=str(Path.cwd()),
    isolated=sys.flags.isolated,
)

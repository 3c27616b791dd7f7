"""What a process that may crash is asked; see `kinetics_assets.stages.doctor.probing`.

Each function returns plain values; a library may print what it likes before.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.errors import KineticsError
from kinetics_assets.io.devices import find_devices
from kinetics_assets.io.nvml import LIBRARY, PROGRAM, read_gpus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CUDA_LIBRARY = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76
"""Attributes of a device in CUDA's driver: its compute capability."""


def main(arguments: Sequence[str]) -> None:
    """Print the answer to a question as the last line."""
    question, *rest = arguments
    answer = _QUESTIONS[question](*rest)
    sys.stdout.write(f"\n{json.dumps(answer)}\n")


def imports(*names: str) -> dict[str, Any]:
    """Return, per module, its version, or why it cannot be imported."""
    return {name: _imported(name) for name in names}


def cupy() -> dict[str, Any]:
    """Return CuPy's version and what its compiler compiles for, or why not."""
    answer = _imported("cupy")
    if "error" in answer:
        return answer
    try:
        nvrtc = importlib.import_module("cupy").cuda.nvrtc
        return answer | {
            "nvrtc": ".".join(map(str, nvrtc.getVersion())),
            "architectures": sorted(nvrtc.getSupportedArchs()),
        }
    except Exception as error:  # noqa: BLE001 - CuPy has no one class for a missing library
        return answer | {"nvrtc_error": _words(error)}


def opencv() -> dict[str, Any]:
    """Return OpenCV's version and whether it has its own TV-L1, or why it cannot be imported."""
    from kinetics_assets.engines.opencv_cpu import has_tvl1

    answer = _imported("cv2")
    if "version" not in answer:
        return answer
    return answer | {"tvl1": has_tvl1(importlib.import_module("cv2"))}


def cpu() -> dict[str, Any]:
    """Return which kernels the CPU engine has, and why not the fast ones; compiles them if new."""
    from kinetics_assets.engines.cpu import kernels_at_hand

    return _or_fault(kernels_at_hand)


def frame_code() -> dict[str, Any]:
    """Return the compiled code that makes pictures, and if it is unwanted; compiles it if new."""
    from kinetics_assets.engines.cpu_compiled.compiler import SWITCH
    from kinetics_assets.media.libraries import compiled_libraries

    return asdict(compiled_libraries()) | {"switched_off": os.environ.get(SWITCH) == "numba"}


def gpu(opencv_cuda_python: str, *listed: str) -> dict[str, Any]:
    """Return what the driver, CUDA's driver library and the engines' registry say.

    Args:
        opencv_cuda_python: ``flow.opencv_cuda_python``, empty if it is not set.
        listed: ``limits.gpu_devices``.
    """
    return {
        "has_driver": shutil.which(PROGRAM) is not None or _loads(LIBRARY),
        "gpus": _or_fault(lambda: [gpu.uuid for gpu in read_gpus()]),
        "devices": _or_fault(lambda: list(find_devices(listed))),
        "auto": _or_fault(lambda: _auto(opencv_cuda_python)),
        "cuda": _cuda(),  # last, as it starts CUDA
    }


def _auto(opencv_cuda_python: str) -> str:
    """Return the engine that "auto" stands for."""
    from kinetics_assets.engines.registry import AUTO, resolve_engine

    python = Path(opencv_cuda_python) if opencv_cuda_python else None
    return resolve_engine(AUTO, opencv_cuda_python=python)


def _cuda() -> dict[str, Any]:
    """Return the version that CUDA's driver takes and its devices, or the number of its error."""
    try:
        driver = ctypes.CDLL(CUDA_LIBRARY)
    except OSError:
        return {"absent": True}
    version, count = ctypes.c_int(), ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    status = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if status:
        return {"version": version.value, "error": status}
    found = []
    for number in range(count.value):
        device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        name = ctypes.create_string_buffer(96)
        status = (
            driver.cuDeviceGet(ctypes.byref(device), number)
            or driver.cuDeviceGetName(name, len(name), device)
            or driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
            or driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
        )
        if status:
            return {"version": version.value, "error": status}
        capability = 10 * major.value + minor.value
        found.append({"name": name.value.decode(errors="replace"), "capability": capability})
    return {"version": version.value, "devices": found}


def _or_fault(question: Callable[[], Any]) -> dict[str, Any]:
    """Return an answer, or message and remedy of the error that it raised."""
    try:
        return {"is": question()}
    except KineticsError as error:
        return {"fault": error.message, "remedy": error.remedy}


def _loads(library: str) -> bool:
    """Return whether a library can be loaded."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _imported(name: str) -> dict[str, Any]:
    """Return a module's version, or why it cannot be imported."""
    try:
        module = importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything
        # of a package that is not there no part was tried
        absent = isinstance(error, ModuleNotFoundError) and error.name == name
        return {"error": _words(error), "absent": absent}
    return {"version": str(getattr(module, "__version__", "unknown"))}


def _words(error: Exception) -> str:
    """Return what an error says, as one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


_QUESTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "cpu": cpu,
    "frame_code": frame_code,
    "imports": imports,
    "opencv": opencv,
    "cupy": cupy,
    "gpu": gpu,
}

"""Name of an engine -> engine, and what "auto" stands for on this machine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from kinetics_assets.core.errors import ToolMissing, UnknownEngine
from kinetics_assets.engines.cpu import CpuEngine
from kinetics_assets.engines.cuda import probe
from kinetics_assets.engines.cuda.engine import CudaEngine
from kinetics_assets.engines.denseflow import PROGRAM, DenseflowEngine
from kinetics_assets.engines.opencv_cpu import OpenCvCpuEngine
from kinetics_assets.engines.opencv_cuda import engine as opencv_cuda
from kinetics_assets.engines.preview import DisPreview, FarnebackPreview
from kinetics_assets.engines.reference import ReferenceEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kinetics_assets.engines.base import FileFlowEngine, FlowEngine

AUTO: Final = "auto"


@dataclass(frozen=True, slots=True)
class _Options:
    """What an engine may need to know; each takes what is its own."""

    threads: int | None
    opencv_cuda_python: Path | None
    clip_seconds: float


def _opencv_cuda(name: str) -> Callable[[_Options], FlowEngine]:
    """Return what makes the engine of this name."""
    return lambda options: opencv_cuda.OpenCvCudaEngine(
        name, python=options.opencv_cuda_python, clip_seconds=options.clip_seconds
    )


_ENGINES: Final[dict[str, Callable[[_Options], FlowEngine]]] = {
    "cuda": lambda _: CudaEngine(),
    **{name: _opencv_cuda(name) for name in opencv_cuda.METHODS},
    "cpu": lambda options: CpuEngine(threads=options.threads),
    "reference": lambda _: ReferenceEngine(),
    "opencv_cpu": lambda options: OpenCvCpuEngine(threads=options.threads),
    "preview-dis": lambda _: DisPreview(),
    "preview-farneback": lambda _: FarnebackPreview(),
}

ENGINE_NAMES: Final = tuple(_ENGINES)
"""Every name that `engine_by_name` takes."""

_FILE_ENGINES: Final[dict[str, Callable[[Path | None], FileFlowEngine]]] = {
    "denseflow": lambda program: DenseflowEngine(program=program),
}

FILE_ENGINE_NAMES: Final = tuple(_FILE_ENGINES)
"""Every name that `file_engine_by_name` takes."""

_PROBES: Final[tuple[tuple[str, Callable[[Path | None], bool]], ...]] = (
    ("cuda", lambda _: probe.usable()),
    ("opencv_cuda", lambda python: probe.device_count() > 0 and opencv_cuda.is_usable(python)),
    ("denseflow", lambda _: shutil.which(PROGRAM) is not None and probe.device_count() > 0),
    ("cpu", lambda _: find_spec("numba") is not None),
)
"""What "auto" may choose, best first, each with a test that it can run here.

Cheap, but for OpenCV's: its interpreter is started, where there is a device.
"""


def engine_by_name(
    name: str,
    *,
    threads: int | None = None,
    opencv_cuda_python: Path | None = None,
    clip_seconds: float = opencv_cuda.CLIP_SECONDS,
) -> FlowEngine:
    """Return the engine called `name`.

    Args:
        name: One of `ENGINE_NAMES`; resolve "auto" first.
        threads: For engines that use threads; None means all cores of this process.
        opencv_cuda_python: Interpreter for those of OpenCV CUDA; None means our own.
        clip_seconds: Longest time for a clip, for engines that another process runs.

    Raises:
        UnknownEngine: there is no such engine.
    """
    if name not in _ENGINES:
        raise UnknownEngine(name, ENGINE_NAMES)
    return _ENGINES[name](_Options(threads, opencv_cuda_python, clip_seconds))


def file_engine_by_name(name: str, *, program: Path | None = None) -> FileFlowEngine:
    """Return the engine called `name`, one that works from a video file.

    Args:
        name: One of `FILE_ENGINE_NAMES`.
        program: Where its program is; None looks on the PATH.

    Raises:
        UnknownEngine: there is no such engine.
    """
    if name not in _FILE_ENGINES:
        raise UnknownEngine(name, FILE_ENGINE_NAMES)
    return _FILE_ENGINES[name](program)


def signature(name: str) -> tuple[str, str]:
    """Return the name and the profile of an engine of either kind: what flow depends on.

    Raises:
        UnknownEngine: there is no such engine.
    """
    engine = file_engine_by_name(name) if name in _FILE_ENGINES else engine_by_name(name, threads=1)
    return engine.name, engine.profile


def resolve_engine(name: str, *, opencv_cuda_python: Path | None = None) -> str:
    """Return the name of the engine that `name` stands for: itself, or the best one for "auto".

    Args:
        name: An engine or "auto".
        opencv_cuda_python: Interpreter in which OpenCV CUDA is looked for; None means our own.

    Raises:
        UnknownEngine: there is no such engine.
        ToolMissing: "auto", and no engine for training data can run here.
    """
    if name != AUTO:
        if name not in {**_ENGINES, **_FILE_ENGINES}:
            raise UnknownEngine(name, (AUTO, *ENGINE_NAMES, *FILE_ENGINE_NAMES))
        return name
    for candidate, usable in _PROBES:
        if usable(opencv_cuda_python):
            return candidate
    raise ToolMissing("Every optical-flow engine", "Run `pip install numba` for the CPU engine.")

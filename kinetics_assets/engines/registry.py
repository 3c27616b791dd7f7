"""Name of an engine -> engine, and what "auto" stands for on this machine."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from kinetics_assets.core.errors import ToolMissing, UnknownEngine
from kinetics_assets.engines.cpu import CpuEngine
from kinetics_assets.engines.cuda import probe
from kinetics_assets.engines.cuda.engine import CudaEngine
from kinetics_assets.engines.denseflow import PROGRAM, DenseflowEngine
from kinetics_assets.engines.preview import DisPreview, FarnebackPreview
from kinetics_assets.engines.reference import ReferenceEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kinetics_assets.engines.base import FileFlowEngine, FlowEngine

AUTO: Final = "auto"

_ENGINES: Final[dict[str, Callable[[int | None], FlowEngine]]] = {
    "cuda": lambda _: CudaEngine(),
    "cpu": lambda threads: CpuEngine(threads=threads),
    "reference": lambda _: ReferenceEngine(),
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

_PROBES: Final[tuple[tuple[str, Callable[[], bool]], ...]] = (
    ("cuda", probe.usable),
    ("denseflow", lambda: shutil.which(PROGRAM) is not None and probe.device_count() > 0),
    ("cpu", lambda: find_spec("numba") is not None),
)
"""What "auto" may choose, best first, each with a cheap test that it can run here."""


def engine_by_name(name: str, *, threads: int | None = None) -> FlowEngine:
    """Return the engine called `name`.

    Args:
        name: One of `ENGINE_NAMES`; resolve "auto" first.
        threads: For engines that use threads; None means all cores of this process.

    Raises:
        UnknownEngine: there is no such engine.
    """
    if name not in _ENGINES:
        raise UnknownEngine(name, ENGINE_NAMES)
    return _ENGINES[name](threads)


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


def resolve_engine(name: str) -> str:
    """Return the name of the engine that `name` stands for: itself, or the best one for "auto".

    Raises:
        UnknownEngine: there is no such engine.
        ToolMissing: "auto", and no engine for training data can run here.
    """
    if name != AUTO:
        if name not in {**_ENGINES, **_FILE_ENGINES}:
            raise UnknownEngine(name, (AUTO, *ENGINE_NAMES, *FILE_ENGINE_NAMES))
        return name
    for candidate, usable in _PROBES:
        if usable():
            return candidate
    raise ToolMissing("Every optical-flow engine", "Run `pip install numba` for the CPU engine.")

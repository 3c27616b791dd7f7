"""Which steps need a GPU, and how a step says so to the executor.

The tag and the pool of a step are fixed when definitions load, so the engine that ``auto`` stands
for is asked for then, in a process of its own: CUDA that was started here would be broken in every
step forked from here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING

from kinetics_assets.core.engine_devices import device_of
from kinetics_assets.core.errors import DeviceLost
from kinetics_assets.core.layout import Layout
from kinetics_assets.io.devices import VISIBLE, find_devices

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.settings import Settings

AUTO = "auto"
DEVICE_TAG = "kinetics/device"
"""Tag of a step; ``gpu`` asks the executor for a leased device."""
DATASET_TAG = "kinetics/dataset"
"""Tag of a step: the dataset whose ``limits`` say which devices it may use."""
GPU_POOL = "gpu"
"""Pool of steps that need a device; its limit is set on the Dagster instance."""
FAULT_VARIABLE = "KINETICS_DEVICE_FAULT"
"""Set in a step that was to have a device and has none: why."""
_RESOLVE = (
    "import pathlib, sys; from kinetics_assets.engines.registry import resolve_engine;"
    "python = pathlib.Path(sys.argv[1]) if sys.argv[1:] else None;"
    "print(resolve_engine('auto', opencv_cuda_python=python))"
)
_RESOLVE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class LeaseOrder:
    """What is to be leased."""

    dataset: str
    """Whose ``limits`` count."""
    holder: str
    """Who takes the lease, for people."""

    def pack(self) -> str:
        """Return the order as one command-line argument."""
        return json.dumps(asdict(self))


def gpu_step_tags(dataset: str) -> dict[str, str]:
    """Return the tags of a step that works on a GPU with the limits of `dataset`."""
    return {DEVICE_TAG: "gpu", DATASET_TAG: dataset}


def flow_needs_gpu(settings: Settings, split: Split) -> bool:
    """Return whether the flow of a split is computed on a GPU, as far as can be told now.

    The engine is the one set, else the one that the split was begun with, else the one that
    ``auto`` would become on this machine.
    """
    engine = _settled_engine(settings, split)
    if engine is None:
        if not _devices(settings):
            return False
        engine = _best_engine(settings.flow.opencv_cuda_python)
    return device_of(engine) == "gpu"


def refuse_lost_device(settings: Settings, split: Split) -> None:
    """Stop a flow step that was to have a GPU and has none, unless its engine needs none.

    Raises:
        DeviceLost: With the cause that was met when the step began.
    """
    fault = os.environ.get(FAULT_VARIABLE)
    if fault is None:
        return
    engine = _settled_engine(settings, split)
    if engine is None or device_of(engine) == "gpu":
        raise DeviceLost(fault)


def gpu_places(datasets: Iterable[Settings]) -> int:
    """Return how many GPU steps of these datasets may run at a time here, 0 without a GPU."""
    slots: dict[str, int] = {}
    for settings in datasets:
        engine = settings.flow.engine
        if engine == AUTO or device_of(engine) == "gpu":
            for device in _devices(settings):
                slots[device] = max(slots.get(device, 0), settings.limits.gpu_slots)
    return sum(slots.values())


def _settled_engine(settings: Settings, split: Split) -> str | None:
    """Return the engine that is set, or that ``auto`` was resolved to; None if it was not yet."""
    if settings.flow.engine != AUTO:
        return settings.flow.engine
    path = Layout.of(settings).choices(split)
    try:
        chosen = json.loads(path.read_text(encoding="utf-8")).get("flow_engine")
    except (OSError, ValueError, AttributeError):
        return None  # not there, or damaged, which the step says
    return chosen if isinstance(chosen, str) else None


def _devices(settings: Settings) -> tuple[str, ...]:
    """Return the devices that steps under these settings may use, none where there is none."""
    return _found(settings.limits.gpu_devices, os.environ.get(VISIBLE))


@cache
def _found(listed: tuple[str, ...], visible: str | None) -> tuple[str, ...]:
    """Return the devices, asking the driver once: it may need a second to answer."""
    try:
        return find_devices(listed, env={} if visible is None else {VISIBLE: visible})
    except DeviceLost:
        return ()


@cache
def _best_engine(opencv_cuda_python: Path | None) -> str:
    """Return what ``auto`` stands for on this machine; ``cpu`` if that cannot be told.

    The step itself asks again, and says why if no engine is usable.
    """
    try:
        done = subprocess.run(  # noqa: S603 - a constant command
            [sys.executable, "-c", _RESOLVE, *map(str, filter(None, [opencv_cuda_python]))],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_RESOLVE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "cpu"
    return done.stdout.strip()

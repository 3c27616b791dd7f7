"""What is decided once per dataset and split, written down, and kept to."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import DamagedFile, MixedFlow
from kinetics_assets.engines.registry import AUTO, resolve_engine
from kinetics_assets.io.atomic import os_faults, write_file
from kinetics_assets.io.devices import VISIBLE
from kinetics_assets.io.locks import exclusive

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.stages.order import ClassOrder


def chosen_engine(order: ClassOrder) -> str:
    """Return the flow engine of the split: as set, or what ``auto`` was or would be resolved to.

    Decides nothing: who only looks, or writes lists where no device is to be seen, must not.

    Raises:
        UnknownEngine: The settings name an engine that does not exist.
        DamagedFile: What was written down cannot be understood.
    """
    settled = settled_engine(order)
    if settled is None:
        return _best_engine(order.settings.flow.opencv_cuda_python, os.environ.get(VISIBLE))
    return settled if order.settings.flow.engine == AUTO else resolve_engine(settled)


def settle_engine(order: ClassOrder, engine: str) -> None:
    """Write down that ``auto`` stands for `engine` in this split, whose first flow is made now.

    Raises:
        MixedFlow: A step elsewhere has just written down another one.
        DamagedFile: What was written down cannot be understood.
    """
    if settled_engine(order) is None:
        path = order.layout.choices(order.split)
        with exclusive(path.with_name(".choices.lock"), wait=True, what=f"{path}"):
            choices = {"flow_engine": engine, **_read(path)}
            write_file(path, (json.dumps(choices, indent=1, sort_keys=True) + "\n").encode())
    settled = settled_engine(order)
    if settled != engine:
        raise MixedFlow(
            f"{settled} was chosen for {order.settings.dataset} {order.split} a moment ago, not"
            f" {engine}.",
            remedy="Run again, or set flow.engine.",
        )


def settled_engine(order: ClassOrder) -> str | None:
    """Return the flow engine that is set, or what ``auto`` was resolved to; None if not yet."""
    wanted = order.settings.flow.engine
    return wanted if wanted != AUTO else _read(order.layout.choices(order.split)).get("flow_engine")


@cache
def _best_engine(python: Path | None, visible: str | None) -> str:
    """Return what ``auto`` stands for, asked once: the interpreter of an OpenCV may be started."""
    del visible  # what it decides is asked of the environment
    return resolve_engine(AUTO, opencv_cuda_python=python)


def _read(path: Path) -> dict[str, str]:
    """Return what was chosen so far.

    Raises:
        DamagedFile: The file is none of ours, so that what was chosen is not known.
    """
    try:
        with os_faults(f"reading {path}"):
            choices = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(choices, dict) or not all(isinstance(it, str) for it in choices.values()):
        raise _damaged(path, "no table of texts")
    return choices


def _damaged(path: Path, problem: str) -> DamagedFile:
    """Return the error of a file that nobody but the user can mend: a choice is not guessed."""
    return DamagedFile(
        f'{path} says which engine flow.engine = "auto" stands for, and is damaged ({problem}).',
        remedy="Delete it to have the engine chosen anew; where flow is there already, set"
        " flow.engine to the one that made it, which its manifests name.",
    )

"""What is decided once per dataset and split, written down, and kept to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kinetics_assets.engines.registry import AUTO, resolve_engine
from kinetics_assets.io.atomic import write_file
from kinetics_assets.io.locks import exclusive

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.stages.order import ClassOrder


def chosen_engine(order: ClassOrder) -> str:
    """Return the flow engine of the split: as set, or what ``auto`` was resolved to first.

    Raises:
        UnknownEngine: The settings name an engine that does not exist.
    """
    settled = settled_engine(order)
    if settled is not None:
        return settled if order.settings.flow.engine == AUTO else resolve_engine(settled)
    path = order.layout.choices(order.split)
    with exclusive(path.with_name(".choices.lock"), wait=True, what=f"{path}"):
        choices = _read(path)
        if "flow_engine" not in choices:
            python = order.settings.flow.opencv_cuda_python
            choices["flow_engine"] = resolve_engine(AUTO, opencv_cuda_python=python)
            write_file(path, (json.dumps(choices, indent=1, sort_keys=True) + "\n").encode())
    return choices["flow_engine"]


def settled_engine(order: ClassOrder) -> str | None:
    """Return the flow engine that is set, or what ``auto`` was resolved to; None if not yet."""
    wanted = order.settings.flow.engine
    return wanted if wanted != AUTO else _read(order.layout.choices(order.split)).get("flow_engine")


def _read(path: Path) -> dict[str, str]:
    """Return what was chosen so far."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

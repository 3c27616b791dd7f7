"""Puts a pretended GPU behind the flow engine "cuda" in every process that finds this on its path.

It computes nothing and takes the time that a device would take, one batch of this machine at a
time; what a batch took is appended to a file. Only for `bench/gpu_steps.py`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from typing import Any

_CHANGES = {
    "kinetics_assets.engines.cuda.device": "CupyDevice",
    "kinetics_assets.engines.cuda.engine": "_CUPY_WHEELS",
}


class _Finder:
    """Finds two modules as everyone does, and changes a name in each once it is loaded."""

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Return how to load one of the two, None for all others."""
        if name not in _CHANGES:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            _change_after(spec.loader, _CHANGES[name])
        return spec


def _change_after(loader: Any, changed: str) -> None:  # noqa: ANN401 - any loader
    """Let `loader` replace one name in the module that it executes."""
    execute = loader.exec_module

    def exec_module(module: object) -> None:
        from pretend_device import PretendDevice

        execute(module)
        setattr(module, changed, PretendDevice if changed == "CupyDevice" else ("numpy",))

    loader.exec_module = exec_module


if "KINETICS_PRETEND_GPU" in os.environ:
    sys.meta_path.insert(0, _Finder())

"""The process of one run of the steps in `gpu_steps`: ``-m`` this with a home and a job."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg

from kinetics_assets.executors.gpu import signals_cancel_run

STEPS = "kinetics_assets_tests.executors.gpu_steps"


def main(home: str, name: str) -> int:
    """Execute a job on the instance of `home`; return 0 when it succeeded."""
    pointer = dg.build_reconstructable_job(STEPS, "job", (name,), {}, str(Path.cwd()))
    with signals_cancel_run(), dg.DagsterInstance.from_config(home) as instance:
        return 0 if dg.execute_job(pointer, instance).success else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""What the process of one run does: it executes a job and ends."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from kinetics_assets.executors.gpu import WORKER_TAG, signals_cancel_run
from kinetics_assets.io.processes import identity
from kinetics_assets.runs.instance import open_instance


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """What a run worker has to do."""

    home: str
    """Home of the Dagster instance."""
    job: str
    """Name of a job in `kinetics_assets.definitions`."""
    keys: list[list[str]]
    """Assets of the job that are to be materialised."""
    tags: dict[str, str]
    """Tags of the run; the partition is one of them."""
    run_config: dict[str, Any]

    def pack(self) -> str:
        """Return the order as one command-line argument."""
        return json.dumps(asdict(self))


def job_named(name: str) -> dg.JobDefinition:
    """Return a job of the definitions; steps find their job by this function."""
    from kinetics_assets.definitions import defs

    return defs.resolve_job_def(name)


def work(order: WorkOrder) -> bool:
    """Execute the run of `order` and return whether it succeeded; SIGTERM ends it in order."""
    job = dg.build_reconstructable_job(
        __name__,
        "job_named",
        (order.job,),
        reconstructor_working_directory=str(Path.cwd()),
    )
    with signals_cancel_run(), open_instance(Path(order.home)) as instance:
        result = dg.execute_job(
            job,
            instance,
            run_config=order.run_config,
            tags={**order.tags, WORKER_TAG: identity(os.getpid())},
            asset_selection=[dg.AssetKey(key) for key in order.keys],
        )
        return result.success

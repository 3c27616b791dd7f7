"""Real steps that want a GPU, for the tests of leases."""

# no `from __future__ import annotations`: Dagster compares the type of `context` itself
import json
import os
import subprocess
import time
from pathlib import Path

import dagster as dg

from kinetics_assets.assets.faults import as_failures
from kinetics_assets.core.clips import Split
from kinetics_assets.executors.devices import GPU_POOL, gpu_step_tags, refuse_lost_device
from kinetics_assets.executors.gpu import kinetics_executor
from kinetics_assets.io.leases import held_lease, lease_descriptors
from kinetics_assets.io.settings_file import load_settings

NOTES = "KINETICS_TEST_NOTES"
"""Variable that names the folder where steps leave what they saw."""
GO = "go"
"""Name of the file there that lets those who share go on."""
MOMENT_SECONDS = 0.3
_ENDLESS_SECONDS = 600.0
_TRY_ONCE_MORE = dg.RetryPolicy(max_retries=1)


def _note(context: dg.AssetExecutionContext, **more: float) -> None:
    """Leave what this attempt is in a file; a later note replaces an earlier one."""
    lease = held_lease()
    seen = {
        "pid": os.getpid(),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "lease": lease and [lease.device, lease.slot],
        **more,
    }
    op = context.op_execution_context
    name = f"{op.op_def.name}.{context.run_id}.{op.retry_number}"
    temp = Path(os.environ[NOTES]) / f".{name}"
    temp.write_text(json.dumps(seen))
    temp.rename(temp.with_name(name))


@dg.asset
def without(context: dg.AssetExecutionContext) -> None:
    """Look around on the CPU."""
    _note(context)


@dg.asset(op_tags=gpu_step_tags("demo"), pool=GPU_POOL)
def sharing(context: dg.AssetExecutionContext) -> None:
    """Work on a device until the test says so, at least for a moment."""
    start = time.monotonic()  # one clock for all processes
    _note(context, start=start)
    while not (Path(os.environ[NOTES]) / GO).exists():
        time.sleep(0.1)
    time.sleep(MOMENT_SECONDS)
    _note(context, start=start, end=time.monotonic())


@dg.asset(op_tags=gpu_step_tags("demo"), pool=GPU_POOL, retry_policy=_TRY_ONCE_MORE)
def hanging_once(context: dg.AssetExecutionContext) -> None:
    """Hang at the first attempt, unless a file says that this was done already."""
    _note(context)
    done = Path(os.environ[NOTES]) / "hung"
    if not done.exists():
        done.touch()
        time.sleep(_ENDLESS_SECONDS)


@dg.asset(op_tags=gpu_step_tags("demo"), pool=GPU_POOL)
def with_helper(context: dg.AssetExecutionContext) -> None:
    """Start a program that works on the device, then hang."""
    helper = subprocess.Popen(
        ["sleep", str(_ENDLESS_SECONDS)], pass_fds=lease_descriptors(), start_new_session=True
    )
    _note(context, helper=helper.pid)
    time.sleep(_ENDLESS_SECONDS)


@dg.asset(op_tags=gpu_step_tags("demo"), pool=GPU_POOL, retry_policy=_TRY_ONCE_MORE)
def careful(context: dg.AssetExecutionContext) -> None:
    """Do as the flow stage does: refuse to begin without the device."""
    _note(context)
    with as_failures():
        refuse_lost_device(load_settings("demo"), Split.TRAIN)


_ASSETS = {
    "without": [without],
    "sharing": [sharing],
    "hanging_once": [hanging_once],
    "with_helper": [with_helper],
    "careful": [careful],
}
defs = dg.Definitions(
    assets=[without, sharing, hanging_once, with_helper, careful],
    jobs=[dg.define_asset_job(f"{name}_job", assets) for name, assets in _ASSETS.items()],
    executor=kinetics_executor,
)


def job(name: str) -> dg.JobDefinition:
    """Return a job by name."""
    return defs.resolve_job_def(name)

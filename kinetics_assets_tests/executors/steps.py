"""Small real steps for the tests of the executor; run with ``-m``, the process of one run."""

# no `from __future__ import annotations`: Dagster compares the type of `context` itself
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg

from kinetics_assets.executors.gpu import kinetics_executor, signals_cancel_run

NOTES = "KINETICS_TEST_NOTES"
"""Variable that names the folder where steps leave what they saw."""


def _note(name: str) -> None:
    """Leave what this process is in a file."""
    seen = {
        "pid": os.getpid(),
        "session": os.getsid(0),
        "cuda": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "children": Path("/proc/thread-self/children").read_text().split(),
    }
    (Path(os.environ[NOTES]) / name).write_text(json.dumps(seen))


@dg.asset
def plain() -> None:
    """Look around and end."""
    _note("plain")


@dg.asset(deps=[plain], retry_policy=dg.RetryPolicy(max_retries=1))
def killed_once(context: dg.AssetExecutionContext) -> None:
    """Print, and have a child print; die by SIGKILL at the first attempt."""
    attempt = context.op_execution_context.retry_number
    _note(f"killed_once.{attempt}")
    sys.stdout.write(f"printed {attempt}\n")
    sys.stdout.flush()
    code = f"import sys; sys.stderr.write('a child, {attempt}')"
    subprocess.run([sys.executable, "-c", code], check=True)
    if attempt == 0:
        os.kill(os.getpid(), signal.SIGKILL)


@dg.asset
def endless() -> None:
    """Work until somebody ends it."""
    _note("endless")
    while True:
        time.sleep(0.2)


defs = dg.Definitions(
    assets=[plain, killed_once, endless],
    jobs=[
        dg.define_asset_job("short", [plain, killed_once]),
        dg.define_asset_job("long", [endless]),
    ],
    executor=kinetics_executor,
)


def job(name: str) -> dg.JobDefinition:
    """Return a job by name."""
    return defs.resolve_job_def(name)


def main(home: str, name: str) -> int:
    """Execute a job on the instance of `home`; return 0 when it succeeded."""
    pointer = dg.build_reconstructable_job(
        "kinetics_assets_tests.executors.steps", "job", (name,), {}, str(Path.cwd())
    )
    with signals_cancel_run(), dg.DagsterInstance.from_config(home) as instance:
        return 0 if dg.execute_job(pointer, instance).success else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

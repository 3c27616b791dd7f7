"""The executor of all our runs: each step is a process of its own on this machine.

What happens when a process dies:

- a step: its run worker sees it within two looks and follows the asset's `RetryPolicy`;
- a run worker: the kernel kills its steps; the run is marked failed by the code server that
  started it, or by `kinetics_assets.runs.reap_dead_runs` at the next start;
- a run that is terminated: its steps get SIGTERM, and SIGKILL five seconds later.

A step that is tagged as one for a GPU (`kinetics_assets.executors.devices`) gets a process that
leases one device, sees that device only, and keeps it until it is dead; all other steps see none.
How many GPU steps begin is the business of the pool ``gpu``, which device each has that of the
lease.

This file and `kinetics_assets.assets.backfills` are the only ones that import
what Dagster does not export; a test names each of these imports.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.executor.step_delegating import (
    CheckStepHealthResult,
    StepDelegatingExecutor,
    StepHandler,
    StepHandlerContext,
)
from dagster._utils.interrupts import capture_interrupts as signals_cancel_run

from kinetics_assets.executors.devices import DATASET_TAG, DEVICE_TAG, LeaseOrder
from kinetics_assets.executors.nursery import Birth, Nursery
from kinetics_assets.io.devices import VISIBLE
from kinetics_assets.io.processes import identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan

WORKER_TAG = ".dagster/kinetics_worker"
"""Tag of a run, hidden in the UI: its process, as `kinetics_assets.io.processes` names it."""
STEP_IMPORTS = (
    "dagster._cli.api",
    "dagster._core.execution.api",
    "dagster._core.instance.factory",
    "dagster._core.storage.root",
    "dagster._core.storage.sqlite_storage",
    "pandas",  # pyarrow asks for it when it reads the first table
    "kinetics_assets.executors.compute_logs",
    "kinetics_assets.stages.run",
    "kinetics_assets.stages.annotations",
    "kinetics_assets.stages.filelists",
)
"""What every step needs, imported once per run instead of once per step."""
_LEASED_STEP = "kinetics_assets.executors.leased_step"
_GRACE_SECONDS = 5.0
__all__ = ["STEP_IMPORTS", "WORKER_TAG", "kinetics_executor", "signals_cancel_run"]


class LocalStepHandler(StepHandler):
    """Starts, watches and ends the step processes of one run."""

    def __init__(self) -> None:
        """Begin without a process; the nursery starts with the first step."""
        self._nursery: Nursery | None = None
        self._pids: dict[str, int] = {}
        self._seen_ended: set[int] = set()

    @property
    def name(self) -> str:
        """Name in the run's event log."""
        return "LocalStepHandler"

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """Start the process of a step."""
        args = step_handler_context.execute_step_args
        step_key = _step_key(step_handler_context)
        if self._nursery is None:
            pointer = args.job_origin.repository_origin.code_pointer
            module = getattr(pointer, "module", None)
            preload = (*STEP_IMPORTS, module) if module else STEP_IMPORTS
            self._nursery = Nursery.mine() or Nursery.start(preload)
        command = list(args.get_command_args())
        arguments = tuple(command[command.index("api") :])
        tags = step_handler_context.step_tags[step_key]
        if tags.get(DEVICE_TAG) == "gpu":
            who = f"step {step_key} of run {args.run_id}"
            order = LeaseOrder(tags[DATASET_TAG], who).pack()
            birth, about = Birth(_LEASED_STEP, (order, *arguments)), "which takes a GPU"
        else:
            birth, about = Birth("dagster", arguments, environment={VISIBLE: ""}), "without a GPU"
        pid = self._pids[step_key] = self._nursery.fork(birth)
        yield DagsterEvent.step_worker_starting(
            step_handler_context.get_step_context(step_key),
            message=f"Step {step_key} is process {pid}, {about}.",
            metadata={"pid": dg.MetadataValue.int(pid)},
        )

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Tell whether a step that has not reported its end still runs.

        An ended process is unhealthy at the second look only: its last event may have been written
        after the executor had read the log.
        """
        step_key = _step_key(step_handler_context)
        pid = self._pids.get(step_key)
        if pid is None or self._nursery is None:
            return CheckStepHealthResult.unhealthy(f"no process of step {step_key} is known")
        status = self._nursery.poll(pid)
        if status is None or pid not in self._seen_ended:
            if status is not None:
                self._seen_ended.add(pid)
            return CheckStepHealthResult.healthy()
        return CheckStepHealthResult.unhealthy(f"process {pid} {_how_it_ended(status)}")

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """End the process of a step, by force if it does not follow."""
        step_key = _step_key(step_handler_context)
        pid = self._pids.get(step_key)
        if pid is None or self._nursery is None or self._nursery.poll(pid) is not None:
            return
        yield DagsterEvent.engine_event(
            step_handler_context.get_step_context(step_key),
            f"Ending process {pid} of step {step_key}.",
            EngineEventData(),
        )
        self._nursery.kill(pid, signal.SIGTERM)
        if self._nursery.wait(pid, seconds=_GRACE_SECONDS) is None:
            self._nursery.kill(pid, signal.SIGKILL)
            self._nursery.wait(pid, seconds=_GRACE_SECONDS)

    def close(self) -> None:
        """End the nursery, and with it whatever still runs."""
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None


class KineticsExecutor(StepDelegatingExecutor):
    """Dagster's step delegation with our handler, which ends with the run."""

    def __init__(self, handler: LocalStepHandler, **options: Any) -> None:  # noqa: ANN401 - passed on
        """Keep `handler` to close it; `options` are those of the base class."""
        super().__init__(handler, **options)
        self._handler = handler

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        """Run the steps and pass their events on; the run is tagged with this process."""
        instance = plan_context.plan_data.instance
        instance.add_run_tags(plan_context.run_id, {WORKER_TAG: identity(os.getpid())})
        try:
            yield from super().execute(plan_context, execution_plan)
        finally:
            self._handler.close()
            # a step that was ended keeps its place in a pool, and the daemon looks late, if there
            # is one at all; now that every step is dead, the places are free
            instance.event_log_storage.free_concurrency_slots_for_run(plan_context.run_id)


@dg.executor(
    name="kinetics",
    config_schema={
        "max_concurrent": dg.Field(
            dg.IntSource, default_value=4, description="Most steps of one run at a time."
        ),
        "sleep_seconds": dg.Field(
            float, default_value=0.25, description="Pause between two looks at the event log."
        ),
        "check_step_health_interval_seconds": dg.Field(
            int, default_value=1, description="Pause between two looks at the step processes."
        ),
        "retries": get_retries_config(),
    },
    requirements=multiple_process_executor_requirements(),
)
def kinetics_executor(init_context: dg.InitExecutorContext) -> dg.Executor:
    """Each step is a process of its own on this machine, tied to the life of its run."""
    config: Any = init_context.executor_config
    return KineticsExecutor(
        LocalStepHandler(),
        retries=RetryMode.from_config(config["retries"]),
        sleep_seconds=config["sleep_seconds"],
        check_step_health_interval_seconds=config["check_step_health_interval_seconds"],
        max_concurrent=config["max_concurrent"],
        should_verify_step=True,
    )


def _step_key(context: StepHandlerContext) -> str:
    """Return the one step that `context` is about."""
    (step_key,) = context.execute_step_args.step_keys_to_execute or ()
    return step_key


def _how_it_ended(status: int) -> str:
    """Return an exit status in words."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status} before the step was done"

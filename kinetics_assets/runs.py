"""Runs that the command line starts: one Dagster run per class, seen in the UI like any other.

::

    this process ── nursery ─┬─ run worker ── nursery ─┬─ step
                             └─ run worker ── ...      └─ step

Each process dies with the one to its left, whatever kills that. SIGTERM and SIGINT end the runs
first, so that Dagster shows them as cancelled; after a SIGKILL `reap_dead_runs` clears up at the
next start.
"""

from __future__ import annotations

import signal
import time
import uuid
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kinetics_assets.assets.jobs import (
    annotations_job_name,
    filelists_job_name,
    prepare_job_name,
)
from kinetics_assets.assets.partitions import annotations_key, asset_key, partition_of
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.stages import CLASS_STAGES, Stage
from kinetics_assets.executors.gpu import STEP_IMPORTS
from kinetics_assets.executors.nursery import Birth, Nursery
from kinetics_assets.instance import (
    dagster_home,
    is_materialised,
    open_instance,
    reap_dead_runs,
)
from kinetics_assets.run_events import RunEvent, RunLog
from kinetics_assets.run_worker import WorkOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType
    from typing import Any

    import dagster as dg

    from kinetics_assets.core.settings import Settings

__all__ = [
    "RunEvent",
    "RunOutcome",
    "RunRequest",
    "dagster_home",
    "is_materialised",
    "open_instance",
    "reap_dead_runs",
    "run_all",
]

REQUEST_TAG = "kinetics/request"
_REPOSITORY_TAG = {".dagster/repository": "__repository__@kinetics_assets"}
"""Ties a run to the jobs of workspace.yaml's code location in the UI."""
_RUN_IMPORTS = ("kinetics_assets.definitions", "kinetics_assets.run_worker", "yt_dlp", "numba")
"""What is imported once for many runs; the last two each serve one stage."""
_LOOK_SECONDS = 0.5
_STOP_SECONDS = 15.0
_LOG_TAIL_LINES = 20


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run: stages of one class, or a stage that knows no classes."""

    dataset: str
    label: str | None
    """Class; empty for unlabelled test rows; None for annotations and file lists."""
    targets: tuple[tuple[Split, Stage], ...]
    """What to materialise; the split of annotations does not matter."""
    retry_now: bool = False
    """Also try clips that failed for good or whose pause is not over."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended."""

    request: RunRequest
    run_id: str | None
    """None when the worker ended before it made a run."""
    succeeded: bool
    failure: str = ""
    """Why it did not succeed, for a person; one paragraph per failed step."""


@dataclass(slots=True)
class _Worker:
    """A run that is under way."""

    request: RunRequest
    pid: int
    log: RunLog
    output: Path
    """What the process prints; nobody needs it unless it dies."""


@dataclass(slots=True)
class _Company:
    """The run workers of one call of `run_all`."""

    home: Path
    instance: dg.DagsterInstance
    nursery: Nursery
    on_event: Callable[[RunEvent], None]
    workers: list[_Worker] = field(default_factory=list)

    def start(self, request: RunRequest) -> None:
        """Start the worker of a request."""
        token = uuid.uuid4().hex
        output = self.home / "worker_logs" / f"{token}.log"
        output.parent.mkdir(mode=0o700, exist_ok=True)
        birth = Birth(
            "kinetics_assets.run_worker",
            (_order(request, home=self.home, token=token).pack(),),
            log_path=str(output),
            has_nursery=True,
        )
        log = RunLog(self.instance, request=request, tag=(REQUEST_TAG, token))
        self.workers.append(_Worker(request, self.nursery.fork(birth), log, output))

    def look(self) -> list[RunOutcome]:
        """Pass on what happened since the last look; return the runs that ended."""
        outcomes = []
        for worker in list(self.workers):
            status = self.nursery.poll(worker.pid)
            for event in worker.log.news():
                self.on_event(event)
            if status is not None:
                self.workers.remove(worker)
                outcomes.append(self._outcome(worker, status))
        return outcomes

    def stop(self) -> None:
        """End all runs: ask first, then by force."""
        for worker in self.workers:
            self.nursery.kill(worker.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for worker in self.workers:
            self.nursery.wait(worker.pid, seconds=max(0.0, deadline - time.monotonic()))
        self.nursery.close()
        reap_dead_runs(self.instance)

    def _outcome(self, worker: _Worker, status: int) -> RunOutcome:
        """Return how an ended worker's run ended; its output is kept only if it failed."""
        run_id = worker.log.run_id
        if status == 0:
            worker.output.unlink(missing_ok=True)
            return RunOutcome(worker.request, run_id, succeeded=True)
        reap_dead_runs(self.instance)
        failure = "\n".join(worker.log.failures) or _tail(worker.output, status)
        return RunOutcome(worker.request, run_id, succeeded=False, failure=failure)


def run_all(
    requests: Sequence[RunRequest],
    *,
    settings: Settings,
    max_parallel: int,
    on_event: Callable[[RunEvent], None] = lambda _: None,
) -> list[RunOutcome]:
    """Run the requests, `max_parallel` at a time, and return how each ended, in their order.

    A request whose splits have different partitions (test, and the others) becomes two runs. To be
    called in the main thread. An error raised by `on_event` ends all runs.

    Args:
        requests: All of the dataset of `settings`.
        settings: The root they have is passed on to the runs.
        max_parallel: Most runs at a time.
        on_event: Called in this process for each step that starts, ends or fails.
    """
    waiting = deque(part for request in requests for part in _parts(request))
    order = {part: number for number, part in enumerate(waiting)}
    home = dagster_home(settings.root)
    outcomes: list[RunOutcome] = []
    with open_instance(home) as instance, _sigterm_as_exit():
        reap_dead_runs(instance)
        nursery = Nursery.start(
            (*STEP_IMPORTS, *_RUN_IMPORTS),
            environment={
                "KINETICS_ROOT": str(settings.root),
                "KINETICS_DATASETS": settings.dataset,
            },
        )
        company = _Company(home, instance, nursery, on_event)
        try:
            while waiting or company.workers:
                while waiting and len(company.workers) < max_parallel:
                    company.start(waiting.popleft())
                outcomes += company.look()
                time.sleep(_LOOK_SECONDS)
        finally:
            company.stop()
    return sorted(outcomes, key=lambda outcome: order[outcome.request])


def _parts(request: RunRequest) -> list[RunRequest]:
    """Return `request` as requests that each fit one job."""
    by_job: dict[str, list[tuple[Split, Stage]]] = {}
    for split, stage in request.targets:
        by_job.setdefault(_job_of(request.dataset, split, stage), []).append((split, stage))
    return [replace(request, targets=tuple(targets)) for targets in by_job.values()]


def _job_of(dataset: str, split: Split, stage: Stage) -> str:
    """Return the name of the job that makes a stage."""
    if stage is Stage.ANNOTATIONS:
        return annotations_job_name(dataset)
    if stage is Stage.FILELISTS:
        return filelists_job_name(dataset)
    return prepare_job_name(dataset, split)


def _order(request: RunRequest, *, home: Path, token: str) -> WorkOrder:
    """Return what the worker of a request has to do.

    Raises:
        InternalError: The request names a class for a stage that knows none, or the reverse.
    """
    by_class = {stage in CLASS_STAGES for _, stage in request.targets}
    if by_class != {request.label is not None}:
        raise InternalError(f"{request} mixes stages with and without classes.")
    keys = [
        annotations_key(request.dataset)
        if stage is Stage.ANNOTATIONS
        else asset_key(request.dataset, split, stage)
        for split, stage in request.targets
    ]
    tags = {REQUEST_TAG: token, **_REPOSITORY_TAG}
    if request.label is not None:
        tags["dagster/partition"] = partition_of(request.label)
    config: dict[str, Any] = {}
    if request.retry_now and request.label is not None:
        options = {"config": {"retry_now": True}}
        config = {"ops": {key.to_python_identifier(): options for key in keys}}
    return WorkOrder(
        home=str(home),
        job=_job_of(request.dataset, *request.targets[0]),
        keys=[list(key.path) for key in keys],
        tags=tags,
        run_config=config,
    )


def _tail(output: Path, status: int) -> str:
    """Return the end of what a worker printed before it ended without a word to Dagster."""
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    lines = output.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    said = f"The process of the run ended with {how}; its output is in {output}."
    return "\n".join([said, *lines])


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM raise `SystemExit` in the block, so that what it started is ended in order."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

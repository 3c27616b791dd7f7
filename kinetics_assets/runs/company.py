"""The run workers of one command: started, watched and ended together."""

from __future__ import annotations

import signal
import time
import uuid
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from kinetics_assets.executors.gpu import STEP_IMPORTS
from kinetics_assets.executors.nursery import Birth, Nursery
from kinetics_assets.runs.events import RunLog
from kinetics_assets.runs.instance import dagster_home, open_instance, reap_dead_runs
from kinetics_assets.runs.requests import (
    REQUEST_TAG,
    RunOutcome,
    RunRequest,
    order_of,
    parts_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import dagster as dg

    from kinetics_assets.core.settings import Settings
    from kinetics_assets.runs.events import RunEvent

_RUN_IMPORTS = ("kinetics_assets.definitions", "kinetics_assets.runs.worker", "yt_dlp", "numba")
"""What is imported once for many runs; the last two each serve one stage."""
_LOOK_SECONDS = 0.5
_STOP_SECONDS = 15.0
_LOG_TAIL_LINES = 20


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
    """Forks them; not closed here."""
    on_event: Callable[[RunEvent], None]
    workers: list[_Worker] = field(default_factory=list)

    def start(self, request: RunRequest) -> None:
        """Start the worker of a request."""
        token = uuid.uuid4().hex
        output = self.home / "worker_logs" / f"{token}.log"
        output.parent.mkdir(mode=0o700, exist_ok=True)
        birth = Birth(
            "kinetics_assets.runs",
            (order_of(request, home=self.home, token=token).pack(),),
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
            list(worker.log.news())  # learns the run's id
            run = worker.log.run_id and self.instance.get_run_by_id(worker.log.run_id)
            if run and not run.is_finished:
                self.instance.report_run_canceling(run)  # else it would count as a failure
            self.nursery.kill(worker.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for worker in self.workers:
            self.nursery.wait(worker.pid, seconds=max(0.0, deadline - time.monotonic()))

    def _outcome(self, worker: _Worker, status: int) -> RunOutcome:
        """Return how an ended worker's run ended; its output is kept only if it failed."""
        run_id = worker.log.run_id
        if status == 0:
            worker.output.unlink(missing_ok=True)
            return RunOutcome(worker.request, run_id, succeeded=True)
        reap_dead_runs(self.instance)
        failure = "\n".join(worker.log.failures) or _tail(worker.output, status)
        return RunOutcome(worker.request, run_id, succeeded=False, failure=failure)


class RunNursery:
    """The nursery of calls of `run_all` that follow each other; importing is done for all of them.

    To be used in the main thread. It starts with the first run, under the settings and the
    environment of that moment: what runs read when they load is the same for all.
    """

    def __init__(self, settings: Settings) -> None:
        """Begin without a process; runs get the root and the dataset of `settings`."""
        self._environment = {
            "KINETICS_ROOT": str(settings.root),
            "KINETICS_DATASETS": settings.dataset,
        }
        self._nursery: Nursery | None = None

    def get(self) -> Nursery:
        """Return the nursery, started if there is none."""
        if self._nursery is None:
            imports = (*STEP_IMPORTS, *_RUN_IMPORTS)
            self._nursery = Nursery.start(imports, environment=self._environment)
        return self._nursery

    def close(self) -> None:
        """End the nursery, and with it whatever still runs."""
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run_all(
    requests: Sequence[RunRequest],
    *,
    settings: Settings,
    max_parallel: int,
    on_event: Callable[[RunEvent], None] = lambda _: None,
    nursery: RunNursery | None = None,
) -> list[RunOutcome]:
    """Run the requests, `max_parallel` at a time, and return how each ended, in their order.

    A request whose splits have different partitions (test, and the others) becomes two runs. To be
    called in the main thread. An error raised by `on_event` ends all runs.

    Args:
        requests: All of the dataset of `settings`.
        settings: The root they have is passed on to the runs.
        max_parallel: Most runs at a time.
        on_event: Called in this process for each step that starts, ends or fails.
        nursery: To be used again; by default one of this call's own.
    """
    waiting = deque(part for request in requests for part in parts_of(request))
    order = {part: number for number, part in enumerate(waiting)}
    home = dagster_home(settings.root)
    outcomes: list[RunOutcome] = []
    forking = nursery or RunNursery(settings)
    with open_instance(home) as instance, _sigterm_noted() as leave_if_told:
        reap_dead_runs(instance)
        company = _Company(home, instance, forking.get(), on_event)
        try:
            while waiting or company.workers:
                leave_if_told()
                while waiting and len(company.workers) < max_parallel:
                    company.start(waiting.popleft())
                outcomes += company.look()
                time.sleep(_LOOK_SECONDS)
        finally:
            company.stop()
            if nursery is None or company.workers:
                forking.close()  # no run outlives this call
            reap_dead_runs(instance)
    return sorted(outcomes, key=lambda outcome: order[outcome.request])


def _tail(output: Path, status: int) -> str:
    """Return the end of what a worker printed before it ended without a word to Dagster."""
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    lines = output.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
    said = f"The process of the run ended with {how}; its output is in {output}."
    return "\n".join([said, *lines])


@contextmanager
def _sigterm_noted() -> Iterator[Callable[[], None]]:
    """Yield what raises `SystemExit` once SIGTERM came; the block's end does so, too.

    The handler itself raises nothing: it may run within a callback of the garbage collector, and
    what is raised there is printed and forgotten.
    """
    came: list[int] = []

    def leave_if_told() -> None:
        if came:
            raise SystemExit(128 + came[0])

    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        yield leave_if_told
    finally:
        signal.signal(signal.SIGTERM, before)
    leave_if_told()

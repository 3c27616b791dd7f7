"""Runs of the command line on a real instance, with real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.stages import Stage
from kinetics_assets.runs import (
    RunEvent,
    RunNursery,
    RunRequest,
    company,
    dagster_home,
    is_materialised,
    open_instance,
    reap_dead_runs,
    run_all,
)
from kinetics_assets_tests.processes import MARK, marked, new_mark, until
from kinetics_assets_tests.small_lists import ABSENT, EMPTY, small_settings

TOP = Path(__file__).parents[2]
LISTS = RunRequest("demo", None, ((Split.TRAIN, Stage.ANNOTATIONS),))
_PREPARE_LISTS = """
import sys, pathlib
from kinetics_assets.core.clips import Split
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.runs import RunRequest, company, run_all
company._STOP_SECONDS = 600  # a run that is slow to end is no failure
settings = load_settings("demo", root=pathlib.Path(sys.argv[1]))
request = RunRequest("demo", None, ((Split.TRAIN, Stage.ANNOTATIONS),))
run_all([request], settings=settings, max_parallel=1)
"""


@pytest.mark.slow
def test_runs_are_seen_as_the_ui_would_start_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each class is one run with its partition; failures are told in words; nothing is left.

    All runs are forked by one nursery, which had to import everything once.
    """
    mark = new_mark()
    monkeypatch.setenv(MARK, mark)
    settings = small_settings(tmp_path)
    events: list[RunEvent] = []
    nursery = RunNursery(settings)
    how: dict[str, Any] = {"settings": settings, "on_event": events.append, "nursery": nursery}
    (lists,) = run_all([LISTS], max_parallel=1, **how)
    assert lists.succeeded, lists.failure
    first_pid = nursery.get()._pid
    both = ((Split.TRAIN, Stage.VIDEOS), (Split.TEST, Stage.VIDEOS))
    requests = [
        RunRequest("demo", EMPTY, ((Split.TRAIN, Stage.VIDEOS), (Split.TRAIN, Stage.RESIZED))),
        RunRequest("demo", ABSENT, both),
    ]
    good, bad, test = run_all(requests, max_parallel=3, **how)
    assert nursery.get()._pid == first_pid
    nursery.close()
    assert good.succeeded, good.failure
    assert (bad.succeeded, test.succeeded) == (False, False)
    assert "0 of 1 clips" in bad.failure
    assert "no test list" in test.failure
    told = {(e.request.label, e.split, e.stage, e.kind) for e in events}
    assert (None, Split.TRAIN, Stage.ANNOTATIONS, "step_done") in told
    assert (EMPTY, Split.TRAIN, Stage.RESIZED, "step_done") in told
    assert (ABSENT, Split.TRAIN, Stage.VIDEOS, "step_failed") in told
    assert [e.metadata["rows"] for e in events if e.stage is Stage.RESIZED and e.metadata] == [0]
    home = dagster_home(settings.root)
    assert len(list((home / "worker_logs").iterdir())) == 2  # of the two that failed
    with open_instance(home) as instance:
        run = instance.get_run_by_id(str(good.run_id))
        assert run is not None
        assert (run.job_name, run.tags["dagster/partition"]) == ("demo_prepare", EMPTY)
        labels = [EMPTY, ABSENT]
        assert is_materialised(instance, "demo", Split.TRAIN, Stage.VIDEOS, labels) == {EMPTY}
    until(lambda: not marked(mark), "the last process to end")


def test_a_request_that_mixes_is_refused(tmp_path: Path) -> None:
    """A class for a stage without classes is a bug of the caller, told before anything starts."""
    request = RunRequest("demo", EMPTY, ((Split.TRAIN, Stage.FILELISTS),))
    with pytest.raises(InternalError, match="mixes stages"):
        run_all([request], settings=small_settings(tmp_path), max_parallel=1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_command(tmp_path: Path, number: signal.Signals) -> None:
    """Ended, the runs are cancelled; killed, they are dead and marked at the next start."""
    mark, home = new_mark(), dagster_home(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes requests, never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {**os.environ, MARK: mark, "KINETICS_DEMO_MIRROR": address}
        with subprocess.Popen(
            [sys.executable, "-c", _PREPARE_LISTS, str(tmp_path)], cwd=TOP, env=environment
        ) as command:
            connection, _ = silent.accept()  # the step is asking
            with connection:
                assert len(marked(mark)) >= 5  # command, nursery, worker, nursery, step
                command.send_signal(number)
                command.wait()
        until(lambda: not marked(mark), "all processes of the command to end")
    with open_instance(home) as instance:
        reaped = reap_dead_runs(instance)
        (run,) = instance.get_runs()
    if number is signal.SIGTERM:
        assert (reaped, run.status) == ([], dg.DagsterRunStatus.CANCELED)
    else:
        assert (reaped, run.status) == ([run.run_id], dg.DagsterRunStatus.FAILURE)


def test_a_signal_in_a_callback_of_the_garbage_collector_is_heeded() -> None:
    """Regression: what a handler raises there is swallowed, and the command went on."""

    class Thing:
        """What a weak reference may point to."""

    def be_told() -> None:
        with company._sigterm_noted() as leave_if_told:
            thing = Thing()
            watched = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
            leave_if_told()  # it did not come yet
            del thing
            assert watched() is None

    with pytest.raises(SystemExit, match="143"):
        be_told()

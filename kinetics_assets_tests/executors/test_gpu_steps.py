"""GPU steps: one leased device each, never more than the slots, free when the step is dead."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from kinetics_assets.core.errors import Locked
from kinetics_assets.executors.devices import GPU_POOL
from kinetics_assets.executors.gpu import STEP_IMPORTS
from kinetics_assets.executors.nursery import Birth, Nursery
from kinetics_assets.io.leases import hold_device, slot_states
from kinetics_assets.runs import dagster_home, open_instance, reap_dead_runs
from kinetics_assets.runs.events import first_cause
from kinetics_assets_tests.executors.gpu_steps import GO, NOTES
from kinetics_assets_tests.executors.web import Web
from kinetics_assets_tests.processes import MARK, marked, new_mark, until

STEPS = "kinetics_assets_tests.executors.gpu_steps"
RUN = "kinetics_assets_tests.executors.gpu_run"
DEVICES = ("left", "right")
RUNS = 8
PATIENCE_SECONDS = 300.0
LOOK_AGAIN_SECONDS = 1.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Yield a process that forks runs; whatever they started must be gone at the end."""
    mark = new_mark()
    started = Nursery.start((*STEP_IMPORTS, STEPS), environment={MARK: mark})
    try:
        yield started
    finally:
        started.close()
        until(lambda: not marked(mark), "the last process to end")


@dataclass(frozen=True)
class Machine:
    """A machine with stand-in devices, and the runs that are started on it."""

    home: Path
    instance: dg.DagsterInstance
    notes: Path
    nursery: Nursery
    environment: dict[str, str]

    def start(self, job: str) -> int:
        """Return the process of a new run."""
        birth = Birth(
            RUN, (str(self.home), f"{job}_job"), environment=self.environment, has_nursery=True
        )
        return self.nursery.fork(birth)

    def ended(self, pid: int) -> int | None:
        """Return the exit status of a run's process."""
        return self.nursery.wait(pid, seconds=PATIENCE_SECONDS)

    def seen(self, step: str) -> list[dict[str, Any]]:
        """Return the notes of a step, one per attempt, in the order of the attempts."""
        paths = sorted(self.notes.glob(f"{step}.*"), key=lambda path: path.suffix)
        return [json.loads(path.read_text()) for path in paths]

    def first(self, step: str) -> dict[str, Any]:
        """Return the first note of a step, waiting for it."""
        until(lambda: self.seen(step), f"the step {step} to begin", seconds=PATIENCE_SECONDS)
        return self.seen(step)[0]

    def run(self) -> dg.DagsterRun:
        """Return the latest run."""
        return self.instance.get_runs(limit=1)[0]

    def has_finished(self) -> bool:
        """Return whether the latest run is over, after a pause that leaves it the processor."""
        time.sleep(LOOK_AGAIN_SECONDS / 2)
        return self.run().is_finished

    def events(self, kind: dg.DagsterEventType) -> list[dg.EventLogEntry]:
        """Return the events of a kind of all runs."""
        runs = [run.run_id for run in self.instance.get_runs()]
        return [log for run in runs for log in self.instance.all_logs(run, of_type=kind)]


@pytest.fixture
def machine_with(
    tmp_path: Path, nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Machine]]:
    """Yield what makes a machine with settings, whose engine needs a GPU unless they say else."""
    with ExitStack() as stack:
        yield partial(_machine, tmp_path, nursery, monkeypatch, stack)


@pytest.fixture
def machine(machine_with: Callable[..., Machine]) -> Machine:
    """Return a machine with one stand-in device and one slot."""
    return machine_with(LIMITS__GPU_DEVICES=DEVICES[0], LIMITS__GPU_SLOTS="1")


def _machine(
    folder: Path,
    nursery: Nursery,
    monkeypatch: pytest.MonkeyPatch,
    stack: ExitStack,
    *,
    visible: str = "0",
    **settings: str,
) -> Machine:
    """Return a machine with these settings; its instance is open as long as `stack` is."""
    notes = folder / "notes"
    notes.mkdir()
    settings = {"ROOT": str(folder), "FLOW__ENGINE": "cuda", **settings}
    environment = {
        **{f"KINETICS_{name}": value for name, value in settings.items()},
        "KINETICS_MACHINE_DIR": os.environ["KINETICS_MACHINE_DIR"],
        "CUDA_VISIBLE_DEVICES": visible,
        NOTES: str(notes),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    home = dagster_home(folder)
    instance = stack.enter_context(open_instance(home))
    return Machine(home, instance, notes, nursery, environment)


@pytest.mark.parametrize("slots", [1, 2])
def test_runs_at_once_fill_the_devices_and_never_exceed_the_slots(
    slots: int, machine_with: Callable[..., Machine]
) -> None:
    """Of eight runs at once as many work as there are slots on two devices, then the others.

    With one slot each the pool's limit is lifted, so that all eight steps ask for a lease at once
    and the leases alone must hold.
    """
    limits = {"LIMITS__GPU_DEVICES": ",".join(DEVICES), "LIMITS__GPU_SLOTS": str(slots)}
    machine = machine_with(**limits)
    places = len(DEVICES) * slots
    storage = machine.instance.event_log_storage
    assert storage.get_concurrency_info(GPU_POOL).slot_count == places
    if slots == 1:
        storage.set_concurrency_slots(GPU_POOL, RUNS)
    pids = [machine.start("sharing") for _ in range(RUNS)]
    begun = RUNS if slots == 1 else places
    until(
        lambda: len(machine.seen("sharing")) >= places,
        "the slots to be filled",
        seconds=PATIENCE_SECONDS,
    )
    while len(machine.events(dg.DagsterEventType.STEP_WORKER_STARTING)) < begun:
        time.sleep(LOOK_AGAIN_SECONDS)
    time.sleep(LOOK_AGAIN_SECONDS)  # for one too many to show itself
    at_once = machine.seen("sharing")
    assert sorted(note["lease"] for note in at_once) == [
        [device, slot] for device in DEVICES for slot in range(slots)
    ]
    (machine.notes / GO).touch()
    assert [machine.ended(pid) for pid in pids] == [0] * RUNS
    bodies = machine.seen("sharing")
    assert len(bodies) == RUNS
    assert all(note["visible"] == note["lease"][0] for note in bodies)
    for device in DEVICES:
        assert _most_at_once([b for b in bodies if b["visible"] == device]) == slots
    assert _most_at_once(bodies) == places


def _most_at_once(bodies: list[dict[str, Any]]) -> int:
    """Return the largest number of bodies that ran at the same time."""
    changes = sorted([(b["start"], 1) for b in bodies] + [(b["end"], -1) for b in bodies])
    running = [0]
    for _, change in changes:
        running.append(running[-1] + change)
    return max(running)


def test_a_killed_step_frees_its_device_and_is_tried_again(machine: Machine) -> None:
    """SIGKILL of the step: the device is free the moment it is dead; the retry gets one too."""
    run = machine.start("hanging_once")
    first = machine.first("hanging_once")
    assert not _is_free()
    holders = _holders()
    os.kill(first["pid"], signal.SIGKILL)
    _await_death_of(first["pid"])
    assert not _holders() & holders  # the retry may have it already
    assert machine.ended(run) == 0
    again = machine.seen("hanging_once")[1]
    assert again["lease"] == first["lease"] == ["left", 0]
    assert again["pid"] != first["pid"]


def test_a_killed_run_frees_its_devices_and_can_be_run_again(machine: Machine) -> None:
    """SIGKILL of the run worker: its step dies with it, the device is free, the next run works."""
    run = machine.start("hanging_once")
    step = machine.first("hanging_once")["pid"]
    os.kill(run, signal.SIGKILL)
    assert _is_free_at_the_death_of(step)
    assert machine.ended(run) == -signal.SIGKILL
    assert reap_dead_runs(machine.instance) == [machine.run().run_id]
    assert machine.ended(machine.start("hanging_once")) == 0


def test_a_run_terminated_in_the_ui_frees_its_devices(machine: Machine, tmp_path: Path) -> None:
    """The UI's own call ends the step and with it the lease; the run is canceled, the next works.

    The run is launched the same way, by the web server and its code server; there is no daemon.
    """
    with Web(machine.home, module=STEPS, log=tmp_path / "web.log") as web:
        web.launch("hanging_once_job")
        step = machine.first("hanging_once")["pid"]
        watch = os.pidfd_open(step)
        web.terminate(machine.run().run_id)
        assert select.select([watch], [], [], PATIENCE_SECONDS)[0], "the step lives on"
        os.close(watch)
        assert _is_free()
        until(machine.has_finished, "the run to end")
    assert machine.run().status is dg.DagsterRunStatus.CANCELED
    assert machine.ended(machine.start("hanging_once")) == 0


def test_a_step_that_waits_for_a_device_ends_with_its_run(machine: Machine) -> None:
    """A run can be canceled while its step waits; the step never takes the device."""
    lease = hold_device(DEVICES[:1], slots=1, holder="the test")
    run = machine.start("hanging_once")
    while not machine.events(dg.DagsterEventType.STEP_WORKER_STARTING):
        time.sleep(LOOK_AGAIN_SECONDS / 2)
    machine.instance.report_run_canceling(machine.run())  # as the button in the UI does
    os.kill(run, signal.SIGTERM)
    assert machine.ended(run) is not None
    assert machine.run().status is dg.DagsterRunStatus.CANCELED
    lease.release()
    assert _is_free()
    assert machine.seen("hanging_once") == []


def test_a_program_that_outlives_its_step_keeps_the_device_until_it_ends(machine: Machine) -> None:
    """Nobody gets the device while a helper of a dead step may still work on it."""
    run = machine.start("with_helper")
    note = machine.first("with_helper")
    watch = os.pidfd_open(note["helper"])
    try:
        os.kill(run, signal.SIGKILL)
        assert not _is_free_at_the_death_of(note["pid"])
        time.sleep(LOOK_AGAIN_SECONDS)
        assert not _is_free()
    finally:
        os.kill(note["helper"], signal.SIGKILL)
    assert select.select([watch], [], [], PATIENCE_SECONDS)[0]
    os.close(watch)
    assert _is_free()
    assert machine.ended(run) == -signal.SIGKILL


def test_steps_without_the_tag_see_no_device_and_hold_none(machine: Machine) -> None:
    """A CPU step runs beside a leased device without seeing it."""
    lease = hold_device(DEVICES[:1], slots=1, holder="the test")
    assert machine.ended(machine.start("without")) == 0
    lease.release()
    (note,) = machine.seen("without")
    assert (note["visible"], note["lease"]) == ("", None)


@pytest.mark.parametrize("engine", ["cuda", "cpu"])
def test_a_step_without_any_device_fails_once_unless_its_engine_needs_none(
    engine: str, machine_with: Callable[..., Machine]
) -> None:
    """DeviceLost has cause and remedy and is not retried; a CPU engine does its work."""
    machine = machine_with(visible="", FLOW__ENGINE=engine)
    status = machine.ended(machine.start("careful"))
    (note,) = machine.seen("careful")
    assert (note["visible"], note["lease"]) == ("", None)
    failures = machine.events(dg.DagsterEventType.STEP_FAILURE)
    if engine == "cpu":
        assert (status, failures) == (0, [])
        return
    assert status == 1
    (failure,) = failures
    assert failure.dagster_event is not None
    cause = first_cause(failure.dagster_event.step_failure_data.error)
    assert "CUDA_VISIBLE_DEVICES is '', which leaves no GPU. Unset it" in cause


def _is_free_at_the_death_of(pid: int) -> bool:
    """Wait for a process to be dead, and return whether the device can be had at that moment."""
    _await_death_of(pid)
    return _is_free()


def _await_death_of(pid: int) -> None:
    """Wait for a process to be dead."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([watch], [], [], PATIENCE_SECONDS)[0], f"process {pid} lives on"
    os.close(watch)


def _holders() -> set[int]:
    """Return the processes that keep a device now."""
    return {pid for state in slot_states() for pid in state.pids}


def _is_free() -> bool:
    """Return whether the device can be had now."""
    try:
        lease = hold_device(DEVICES[:1], slots=1, holder="the test", deadline_seconds=0)
    except Locked:
        return False
    lease.release()
    return True

"""Steps are processes of their own, tied to their run, whatever dies."""

from __future__ import annotations

import ast
import importlib
import json
import os
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from kinetics_assets.executors import compute_logs, gpu
from kinetics_assets.runs import dagster_home, open_instance, reap_dead_runs
from kinetics_assets_tests.executors.steps import NOTES
from kinetics_assets_tests.processes import MARK, marked, new_mark, until

TOP = Path(__file__).parents[2]


def start(home: Path, job: str, notes: Path, mark: str) -> subprocess.Popen[bytes]:
    """Start the process of a run."""
    notes.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "kinetics_assets_tests.executors.steps", str(home), job],
        cwd=TOP,
        env={**os.environ, NOTES: str(notes), MARK: mark, "CUDA_VISIBLE_DEVICES": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def only_run(home: Path) -> dg.DagsterRun:
    """Return the one run of the home."""
    with open_instance(home) as instance:
        (run,) = instance.get_runs()
        return run


def said(instance: dg.DagsterInstance, run_id: str, *, step: str) -> list[tuple[bool, str, str]]:
    """Return for each attempt whether its logs are complete, and what it wrote, as the UI does."""
    manager = instance.compute_log_manager
    found = []
    for log in instance.all_logs(run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED):
        data: Any = log.dagster_event and log.dagster_event.event_specific_data
        if step in data.step_keys:
            key = [run_id, "compute_logs", data.file_key]
            texts = manager.get_log_data(key)
            out, err = ((part or b"").decode() for part in (texts.stdout, texts.stderr))
            found.append((manager.is_capture_complete(key), out, err))
    return found


def test_dagster_still_has_what_we_import_from_its_inside() -> None:
    """The names that the executor and its logs take from there exist in this release."""
    trees = [ast.parse(Path(str(m.__file__)).read_text("utf-8")) for m in (gpu, compute_logs)]
    inner = [
        (node.module, alias.name)
        for node in chain.from_iterable(map(ast.walk, trees))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("dagster._")
        for alias in node.names
    ]
    assert inner
    for module, name in inner:
        assert hasattr(importlib.import_module(str(module)), name), f"{module}.{name}"
    for module in gpu.STEP_IMPORTS:
        importlib.import_module(module)


@pytest.mark.slow
def test_steps_are_processes_without_a_gpu_and_a_killed_one_is_tried_again(
    tmp_path: Path,
) -> None:
    """Each step has its own session and sees no device; SIGKILL counts as one try of its policy.

    What it and its children print is kept to the last word, and no helper is started for that.
    """
    home, notes, mark = dagster_home(tmp_path), tmp_path / "notes", new_mark()
    with start(home, "short", notes, mark) as worker:
        assert worker.wait() == 0
    seen = {path.name: json.loads(path.read_text()) for path in notes.iterdir()}
    assert sorted(seen) == ["killed_once.0", "killed_once.1", "plain"]
    assert {note["cuda"] for note in seen.values()} == {""}
    assert all(note["session"] == note["pid"] for note in seen.values())
    assert len({note["pid"] for note in seen.values()} - {worker.pid}) == 3
    assert [note["children"] for note in seen.values()] == [[]] * 3  # none that could outlive it
    until(lambda: not marked(mark), "the last process to end")
    with open_instance(home) as instance:
        (run,) = instance.get_runs()
        logs = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
        printed = said(instance, run.run_id, step="killed_once")
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert ["SIGKILL" in str(log.dagster_event) for log in logs] == [True]
    assert [(complete, out) for complete, out, _ in printed] == [
        (False, "printed 0\n"),
        (True, "printed 1\n"),
    ]
    assert printed[0][2].endswith("\na child, 0")  # to the last word of a killed step
    assert "\na child, 1" in printed[1][2]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_step_outlives_its_run(tmp_path: Path, number: signal.Signals) -> None:
    """Ended or killed, a run worker takes its steps along; a killed run is marked failed."""
    home, notes, mark = dagster_home(tmp_path), tmp_path / "notes", new_mark()
    with start(home, "long", notes, mark) as worker:
        until((notes / "endless").exists, "the step to begin")
        assert len(marked(mark)) >= 3  # worker, nursery, step
        if number is signal.SIGTERM:  # as the button in the UI does
            with open_instance(home) as instance:
                instance.report_run_canceling(only_run(home))
        worker.send_signal(number)
        worker.wait()
    until(lambda: not marked(mark), "all processes of the run to end")
    if number is signal.SIGTERM:
        assert only_run(home).status is dg.DagsterRunStatus.CANCELED
        return
    assert only_run(home).status is dg.DagsterRunStatus.STARTED
    with open_instance(home) as instance:
        assert reap_dead_runs(instance) == [only_run(home).run_id]
    assert only_run(home).status is dg.DagsterRunStatus.FAILURE

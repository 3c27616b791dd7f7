"""The confined child: what it may not do, what ends it, and that its parent never suffers."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kinetics_assets.core.errors import (
    DecoderCrashed,
    DiskFull,
    InternalError,
    OverLimit,
    PermissionDenied,
    SandboxUnusable,
    ToolMissing,
)
from kinetics_assets.core.settings import Limits
from kinetics_assets.io.sandbox import Sandbox
from kinetics_assets_tests.processes import until

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATIONS = "kinetics_assets_tests.resources.sandbox_operations"
LIMITS = Limits(clip_wall_seconds=60.0, clip_cpu_seconds=60, memory_bytes=2**30)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for the tests that do not end its child."""
    with Sandbox(OPERATIONS, limits=LIMITS) as shared:
        yield shared


@contextlib.contextmanager
def limited(**changes: Any) -> Iterator[Sandbox]:  # noqa: ANN401 - fields of Limits
    """Yield a sandbox with other limits."""
    with Sandbox(OPERATIONS, limits=replace(LIMITS, **changes)) as own:
        yield own


def is_gone(pid: int) -> bool:
    """Return whether no process `pid` runs, waiting a minute for it."""

    def has_ended() -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return True
        return stat.rsplit(")", 1)[1].split()[0] == "Z"

    until(has_ended, f"the end of process {pid}")
    return True


@pytest.mark.parametrize(
    "attempt",
    ["socket", "socketpair", "fork", "exec", "subprocess", "signal parent", "leave session",
     "raise limit"],
)  # fmt: skip
def test_what_decoding_does_not_need_is_refused(sandbox: Sandbox, attempt: str) -> None:
    """No network, no other program or process, no signal to others, no higher limits."""
    assert sandbox.call(attempt) == {"errno": errno.EPERM}


def test_nothing_is_degraded_here(sandbox: Sandbox) -> None:
    """On a machine with the usual kernel every protection is in force."""
    assert sandbox.degraded == ()


def test_a_thread_may_still_be_made_by_root_only(sandbox: Sandbox) -> None:
    """The filter tells threads from processes; the process limit stops both but for root."""
    if os.geteuid() == 0:
        assert sandbox.call("thread") == {"ran": 1}
    else:
        with pytest.raises(InternalError, match="start new thread"):
            sandbox.call("thread")


def test_the_child_starts_bare(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clean environment, own session, no inherited file, no new privileges, filter on."""
    facts = sandbox.call("facts")
    assert set(facts["environment"]) <= {
        "LC_ALL", "PATH", "HOME", "LD_LIBRARY_PATH",
        "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS",
    }  # fmt: skip
    assert facts["session"] == facts["pid"]
    assert len(facts["open_files"]) <= 6  # three standard, two of ours, the listing itself
    assert "NoNewPrivs:\t1" in facts["status"]
    assert "Seccomp:\t2" in facts["status"]
    assert facts["cwd"].endswith("(deleted)")
    assert not facts["av_is_loaded"]


def test_a_child_is_reused(sandbox: Sandbox) -> None:
    """Calls share one process as long as it is sound."""
    assert sandbox.call("facts")["pid"] == sandbox.call("facts")["pid"]


def test_arguments_and_results_cross_unchanged(sandbox: Sandbox) -> None:
    """Text of any kind and large requests arrive as they were."""
    sent = {"text": "café \n\t\u2028 '\"", "names": [f"img_{i:05d}.jpg" for i in range(2000)]}
    assert sandbox.call("echo", **sent) == sent


def test_chatter_is_neither_an_answer_nor_a_deadlock(sandbox: Sandbox) -> None:
    """A megabyte on standard error and prints on standard output change nothing."""
    assert sandbox.call("chatter") == {"done": True}
    assert sandbox.call("echo", a=1) == {"a": 1}


def test_a_spinning_child_is_stopped_by_its_cpu_allowance() -> None:
    """CPU time runs out as OverLimit, and the next call works."""
    with limited(clip_cpu_seconds=1) as own:
        with pytest.raises(OverLimit, match="CPU"):
            own.call("spin")
        assert own.call("echo", a=1) == {"a": 1}


def test_the_cpu_allowance_is_per_call() -> None:
    """Calls that stay within the allowance may add up to more than it."""
    with limited(clip_cpu_seconds=1) as own:
        for _ in range(4):
            own.call("spin", seconds=0.6)


def test_a_silent_child_is_stopped_by_the_clock() -> None:
    """Wall time runs out as OverLimit, the child is gone, the next call works."""
    with limited() as own:
        pid = own.call("facts")["pid"]
        own._limits = replace(LIMITS, clip_wall_seconds=0.2)  # for a child that is up already
        with pytest.raises(OverLimit, match=r"0\.2 seconds"):
            own.call("sleep")
        own._limits = LIMITS
        assert is_gone(pid)
        assert own.call("echo", a=1) == {"a": 1}


def test_memory_is_bounded() -> None:
    """A child that hoards memory gets OverLimit, not the machine's last page."""
    with limited(memory_bytes=2**28) as own:
        with pytest.raises(OverLimit, match="memory"):
            own.call("hoard")
        assert own.call("echo", a=1) == {"a": 1}


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_crash_is_the_clips_fault_and_over(number: signal.Signals) -> None:
    """A signal in the child becomes DecoderCrashed with its name; the next call works."""
    with limited() as own:
        with pytest.raises(DecoderCrashed, match=number.name):
            own.call("die", number=int(number))
        assert own.call("echo", a=1) == {"a": 1}


def test_a_kill_from_outside_is_tried_once_more(tmp_path: Path) -> None:
    """SIGKILL by somebody else (memory pressure) is no verdict on the clip; two end the step."""
    with limited() as own:
        assert own.call("die once", flag=str(tmp_path / "flag")) == {"survived": True}
        with pytest.raises(SandboxUnusable, match="twice"):
            own.call("die", number=int(signal.SIGKILL))


def test_a_child_that_dies_while_idle_is_replaced() -> None:
    """Death between two calls is noticed before the next one."""
    with limited() as own:
        pid = own.call("facts")["pid"]
        os.kill(pid, signal.SIGKILL)
        assert is_gone(pid)
        assert own.call("facts")["pid"] != pid


def test_an_answer_has_a_length_limit() -> None:
    """A child cannot fill its parent's memory."""
    with limited() as own, pytest.raises(DecoderCrashed, match="too many bytes"):
        own.call("babble")


def test_a_full_disk_is_the_machines_fault(sandbox: Sandbox) -> None:
    """ENOSPC in the child comes back as DiskFull with the path."""
    with pytest.raises(DiskFull, match="/dev/full"):
        sandbox.call("write", path="/dev/full", size=10)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_refused_file_is_the_machines_fault(sandbox: Sandbox, number: int) -> None:
    """EACCES and EROFS in the child come back as PermissionDenied."""
    with pytest.raises(PermissionDenied, match="/data/clip"):
        sandbox.call("os error", number=number, path="/data/clip")


def test_other_errors_of_files_stay_what_they_are(sandbox: Sandbox, tmp_path: Path) -> None:
    """A missing file is an OSError for the caller, who knows what it means."""
    with pytest.raises(FileNotFoundError):
        sandbox.call("os error", number=errno.ENOENT, path=str(tmp_path / "x"))


def test_our_own_cap_on_a_file_is_the_clips_fault(tmp_path: Path) -> None:
    """A result beyond max_output_bytes is OverLimit and did not grow further."""
    target = tmp_path / "out"
    with limited(max_output_bytes=100_000) as own, pytest.raises(OverLimit, match="one file"):
        own.call("write", path=str(target), size=1_000_000)
    assert target.stat().st_size == 100_000


def test_a_missing_library_is_a_missing_tool(sandbox: Sandbox) -> None:
    """Without the wheel of PyAV the step fails with the command that mends it."""
    with pytest.raises(ToolMissing, match="pip install") as caught:
        sandbox.call("missing")
    assert "av" in caught.value.message


def test_a_bug_keeps_its_traceback() -> None:
    """An error that nobody planned for is ours, with the place where it happened."""
    with limited() as own, pytest.raises(InternalError, match="ZeroDivisionError"):
        own.call("bug")


def test_production_offers_no_test_operation() -> None:
    """The media worker's table is closed: an unknown name is an error of ours."""
    with (
        Sandbox("kinetics_assets.media.worker", limits=LIMITS) as own,
        pytest.raises(InternalError, match="KeyError"),
    ):
        own.call("echo")


def test_a_child_that_cannot_start_is_the_machines_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """No interpreter: SandboxUnusable, not a verdict on a clip."""
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with limited() as own, pytest.raises(SandboxUnusable):
        own.call("echo")


def test_the_child_outlives_the_thread_that_first_called() -> None:
    """Regression: the death signal follows the starting *thread*, not the process."""
    with limited() as own:
        with ThreadPoolExecutor(1) as pool:
            pid = pool.submit(own.call, "facts").result()["pid"]
        time.sleep(0.1)  # in which such a signal would have come
        assert own.call("facts")["pid"] == pid


def test_an_interrupted_call_leaves_no_child(tmp_path: Path) -> None:
    """Ctrl-C while waiting kills the child before the interrupt goes on."""
    asleep = tmp_path / "asleep"

    def interrupt() -> None:
        until(asleep.exists, "the child to be at work")
        os.kill(os.getpid(), signal.SIGUSR1)

    with limited() as own:
        pid = own.call("facts")["pid"]
        previous = signal.signal(signal.SIGUSR1, signal.default_int_handler)
        try:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(interrupt)
                with pytest.raises(KeyboardInterrupt):
                    own.call("sleep", flag=str(asleep))
        finally:
            signal.signal(signal.SIGUSR1, previous)
        assert is_gone(pid)


@pytest.mark.parametrize("operation", ["sleep", "spin"])
def test_no_child_outlives_its_parent(operation: str) -> None:
    """SIGKILL of the parent ends the child too, idle or busy."""
    script = (
        "import sys, threading, json\n"
        f"sys.path[:] = {sys.path!r}\n"
        "from kinetics_assets.io.sandbox import Sandbox\n"
        "from kinetics_assets.core.settings import Limits\n"
        f"box = Sandbox({OPERATIONS!r}, limits=Limits())\n"
        "print(box.call('facts')['pid'], flush=True)\n"
        f"box.call({operation!r})\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        parent.kill()
        parent.wait()
    assert is_gone(child)


def test_closing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After close there is no process and no temporary folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with limited() as own:
        pid = own.call("facts")["pid"]
        assert list(tmp_path.iterdir()) == []
    assert is_gone(pid)

"""CPU slots: never more than there are, freed when their holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from kinetics_assets.core.errors import Locked
from kinetics_assets.io.slots import lease_slots
from kinetics_assets_tests.io.children import child, run, said

HOLD = """
import sys, pathlib
from kinetics_assets.io.slots import lease_slots
with lease_slots(pathlib.Path(sys.argv[1]), total=int(sys.argv[2]), want=int(sys.argv[3])) as held:
    print(held, flush=True)
    sys.stdin.readline()
print("freed", flush=True)
sys.stdin.readline()
"""


def _free(folder: Path, total: int) -> int:
    """Return how many slots could be had now; 0 if none."""
    try:
        with lease_slots(folder, total=total, want=total, wait=False) as held:
            return held
    except Locked:
        return 0


def test_a_step_gets_what_is_free(tmp_path: Path) -> None:
    """Two steps share the slots: the second gets the rest, a third none, and all come back."""
    with lease_slots(tmp_path, total=3, want=2) as first:
        assert first == 2
        with lease_slots(tmp_path, total=3, want=3) as second:
            assert second == 1
            with (
                pytest.raises(Locked, match="All 3 CPU slots"),
                lease_slots(tmp_path, total=3, want=1, wait=False),
            ):
                pass
    assert _free(tmp_path, 3) == 3


def test_no_more_than_wanted_is_taken(tmp_path: Path) -> None:
    """A step that wants one leaves the others."""
    with lease_slots(tmp_path, total=3, want=1) as held:
        assert held == 1
        assert _free(tmp_path, 3) == 2


def test_slots_are_shared_by_processes(tmp_path: Path) -> None:
    """Another process's slots count, and are back when it lets go."""
    with child(HOLD, tmp_path, 2, 2) as other:
        assert said(other) == "2"
        assert _free(tmp_path, 2) == 0
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
        assert said(other) == "freed"
        assert _free(tmp_path, 2) == 2


def test_a_killed_holder_frees_its_slots(tmp_path: Path) -> None:
    """After SIGKILL nothing has to be cleaned up: the kernel freed the slots."""
    with child(HOLD, tmp_path, 2, 2) as other:
        assert said(other) == "2"
        assert _free(tmp_path, 2) == 0
        other.send_signal(signal.SIGKILL)
        assert other.wait() == -signal.SIGKILL
        assert _free(tmp_path, 2) == 2


def test_a_waiting_step_goes_on_when_a_slot_is_free(tmp_path: Path) -> None:
    """A step that waits gets the slot of a killed one, and not before."""
    with child(HOLD, tmp_path, 1, 1) as first:
        assert said(first) == "1"
        with child(HOLD, tmp_path, 1, 1) as second:
            assert _free(tmp_path, 1) == 0
            assert second.poll() is None
            first.kill()
            assert said(second) == "1"
            assert _free(tmp_path, 1) == 0


def test_a_waiting_step_shares_the_process_of_the_holder(tmp_path: Path) -> None:
    """Two steps in one process wait for each other just as two processes do."""
    entered, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lease_slots(tmp_path, total=1, want=1):
            entered.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait()
    asked = iter([done.set])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", lambda _seconds: next(asked, lambda: None)())
        with lease_slots(tmp_path, total=1, want=1) as held:
            assert held == 1
            assert done.is_set()
    holder.join()


def test_a_program_started_by_the_holder_does_not_keep_a_slot(tmp_path: Path) -> None:
    """A child that outlives its step must not hold the step's slots."""
    code = """
import subprocess, sys, pathlib
from kinetics_assets.io.slots import lease_slots
with lease_slots(pathlib.Path(sys.argv[1]), total=1, want=1):
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
print(child.pid)
with lease_slots(pathlib.Path(sys.argv[1]), total=1, want=1, wait=False) as held:
    print(held)
child.kill()
child.wait()
"""
    assert run(code, tmp_path).splitlines()[-1] == "1"


def test_an_error_in_the_block_frees_the_slots(tmp_path: Path) -> None:
    """A step that fails gives back what it had."""
    with pytest.raises(ZeroDivisionError), lease_slots(tmp_path, total=1, want=1):
        raise ZeroDivisionError
    assert _free(tmp_path, 1) == 1


@pytest.mark.parametrize(("total", "want"), [(0, 1), (1, 0), (-1, 1)])
def test_nothing_is_no_number_of_slots(tmp_path: Path, total: int, want: int) -> None:
    """A number that could never be had is refused instead of waited for."""
    with (
        pytest.raises(ValueError, match="at least 1"),
        lease_slots(tmp_path, total=total, want=want),
    ):
        pass


def test_a_lock_that_fails_otherwise_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without locks is an error, and no descriptor is left open."""
    opened: list[int] = []

    def refuse(fd: int, _how: int) -> None:
        opened.append(fd)
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="no locks"), lease_slots(tmp_path, total=2, want=1):
        pass
    (fd,) = opened
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_closed_folder_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    """A folder that may not be written is named, not waited for."""
    code = """
import sys, pathlib
from kinetics_assets.core.errors import PermissionDenied
from kinetics_assets.io.slots import lease_slots
from kinetics_assets_tests.io.children import without_rights
folder = pathlib.Path(sys.argv[1])
without_rights(folder)
try:
    with lease_slots(folder / "slots", total=1, want=1):
        pass
except PermissionDenied as fault:
    print(str(folder) in fault.message)
"""
    assert run(code, tmp_path) == "True"

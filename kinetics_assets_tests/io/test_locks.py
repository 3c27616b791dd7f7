"""Locks: one holder, named to the others, free when it dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from kinetics_assets.core.errors import Locked
from kinetics_assets.io.locks import exclusive
from kinetics_assets_tests.io.children import child, run, said

HOLD = """
import sys, pathlib
from kinetics_assets.io.locks import exclusive
print("waiting", flush=True)
with exclusive(pathlib.Path(sys.argv[1]), wait=True):
    print("held", flush=True)
    sys.stdin.readline()
"""


def _is_free(path: Path) -> bool:
    """Return whether the lock could be had now."""
    try:
        with exclusive(path, wait=False):
            return True
    except Locked:
        return False


def test_the_second_is_told_who_is_first(tmp_path: Path) -> None:
    """Whoever does not wait learns what is locked and by which process."""
    path = tmp_path / "new" / ".zumba.lock"
    with child(HOLD, path) as other:
        assert [said(other), said(other)] == ["waiting", "held"]
        with (
            pytest.raises(Locked, match=f"zumba is being worked on by process {other.pid}"),
            exclusive(path, wait=False, what="zumba"),
        ):
            pass


def test_a_killed_holder_frees_its_lock(tmp_path: Path) -> None:
    """No stale lock is left by SIGKILL, though the file with the dead process's number is."""
    path = tmp_path / "x.lock"
    with child(HOLD, path) as other:
        assert [said(other), said(other)] == ["waiting", "held"]
        assert not _is_free(path)
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert path.read_text() == str(other.pid)
        assert _is_free(path)


def test_a_waiting_process_is_next(tmp_path: Path) -> None:
    """Who waits goes on when the holder dies, and not before."""
    path = tmp_path / "x.lock"
    with child(HOLD, path) as first:
        assert [said(first), said(first)] == ["waiting", "held"]
        with child(HOLD, path) as second:
            assert said(second) == "waiting"
            assert not _is_free(path)
            first.kill()
            assert said(second) == "held"
            assert not _is_free(path)


def test_the_file_names_its_present_holder(tmp_path: Path) -> None:
    """A number left by an earlier holder, longer or not, does not show through."""
    path = tmp_path / "x.lock"
    path.write_text("999999999999")
    with exclusive(path, wait=False):
        assert path.read_text() == str(os.getpid())


def test_an_error_in_the_block_frees_the_lock(tmp_path: Path) -> None:
    """A step that fails does not keep the class."""
    path = tmp_path / "x.lock"
    with pytest.raises(ZeroDivisionError), exclusive(path, wait=False):
        raise ZeroDivisionError
    assert _is_free(path)


def test_an_exec_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A decoder that outlives its step must not hold the step's class."""
    code = """
import subprocess, sys, pathlib
from kinetics_assets.io.locks import exclusive
path = pathlib.Path(sys.argv[1])
with exclusive(path, wait=False):
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
with exclusive(path, wait=False):
    print("free")
child.kill()
child.wait()
"""
    assert run(code, tmp_path / "x.lock") == "free"

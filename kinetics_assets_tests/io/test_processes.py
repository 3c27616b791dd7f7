"""Names of processes that no later process has."""

from __future__ import annotations

import os
import subprocess

import pytest

from kinetics_assets.io.processes import has_ended, identity


def test_a_process_is_known_until_it_ends() -> None:
    """A live process has not ended; the same name means the same process."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        name = identity(process.pid)
        assert identity(process.pid) == name
        assert not has_ended(name)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ProcessLookupError):  # ended, though nobody has reaped it
            identity(process.pid)
        assert has_ended(name)
    assert has_ended(name)


def test_a_reused_number_is_another_process() -> None:
    """Start time and boot are part of the name; regression: a pid file of the last boot."""
    host, boot, pid, start = identity(os.getpid()).split(":")
    assert has_ended(f"{host}:{boot}:{pid}:{int(start) + 1}")
    assert has_ended(f"{host}:another-boot:{pid}:{start}")
    assert not has_ended(f"another-host:{boot}:{pid}:{int(start) + 1}")

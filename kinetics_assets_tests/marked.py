"""Processes that a test has marked by an environment variable, wherever they have moved to."""

from __future__ import annotations

import time
from pathlib import Path

_GRACE_SECONDS = 20.0


def await_no_process(mark: str) -> list[str]:
    """Return the command lines of processes with the environment entry `mark`, after a while.

    The kernel needs a moment to end what is tied to a dead parent; the list is empty as soon as
    none is left.
    """
    deadline = time.monotonic() + _GRACE_SECONDS
    while (found := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


def _marked(mark: str) -> list[str]:
    """Return the command lines of all processes whose environment has `mark` now."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().decode().replace("\0", " "))
        except OSError:
            continue  # no process, not ours, or gone since
    return found

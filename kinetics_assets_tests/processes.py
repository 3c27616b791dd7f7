"""Finding processes of a test, wherever in the tree they are."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

MARK = "KINETICS_TEST_MARK"
_PATIENCE_SECONDS = 60.0


def new_mark() -> str:
    """Return a value for the variable `MARK`, which all children of a process inherit."""
    return uuid.uuid4().hex


def marked(mark: str) -> dict[int, str]:
    """Return the id and command line of every live process that has `mark` in its environment."""
    found = {}
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = command.decode(errors="replace")
        except OSError:
            continue  # it ended, or is not ours
    return found


def until(
    condition: Callable[[], object], what: str, *, seconds: float = _PATIENCE_SECONDS
) -> None:
    """Wait until `condition` holds; fail with `what` was waited for after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)

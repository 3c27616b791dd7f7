"""Advisory locks held by the kernel: free the moment their holder dies, no stale lock files.

A lock saves work, it does not keep the data right: all writes have unique temporary names and end
in a rename, so on a file system whose locks do nothing two writers only do the work twice.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import Locked
from kinetics_assets.io.atomic import os_faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def exclusive(path: Path, *, wait: bool, what: str = "") -> Iterator[None]:
    """Hold the lock file `path` for the length of the block.

    Args:
        path: Lock file; created if missing and never deleted (deleting would race).
        wait: Whether to wait for the holder, or to fail at once.
        what: What the lock guards, for the message.

    Raises:
        Locked: Somebody else holds it and `wait` is False.
    """
    with os_faults(f"locking {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            raise Locked(
                f"{what or path} is being worked on by process {holder}.",
                remedy="Wait for that run to end, or stop it.",
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(fd)

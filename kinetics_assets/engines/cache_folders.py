"""Where code is kept that was compiled on this machine, and will be executed again."""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """Return this user's folder for one kind of compiled code.

    Where none can be had, or another user could have put code into it, it is a temporary one that
    goes away with this process.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(base) if base else Path.home() / ".cache") / "kinetics-assets" / kind
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_ours_alone(folder) and os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        pass
    folder = Path(tempfile.mkdtemp(prefix=f"kinetics-assets-{kind}-"))
    atexit.register(_remove, folder, os.getpid())
    return folder


def _is_ours_alone(folder: Path) -> bool:
    """Return whether nobody but this user and root can have written to `folder`."""
    found = folder.stat()
    others = stat.S_IWGRP | stat.S_IWOTH
    return found.st_uid in {0, os.geteuid()} and not found.st_mode & others


def _remove(folder: Path, owner_pid: int) -> None:
    """Remove `folder` at the end of the process that made it, not of a fork of it."""
    if os.getpid() == owner_pid:
        shutil.rmtree(folder, ignore_errors=True)

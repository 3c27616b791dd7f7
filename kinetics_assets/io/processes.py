"""Which process is which: names that outlive it, and a child's tie to its parent.

Run as a file, ``processes.py <parent id> <program> <arguments>``, it becomes that program, tied to
the parent: so that a program which knows nothing of ties can be started from a process with threads
(code of ours between fork and exec could hang there).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_TIME_FIELD = 19
"""Position of the start time in /proc/<pid>/stat, counted after the name in parentheses."""


def identity(pid: int) -> str:
    """Return a name of process `pid` that no later process has: host, boot, number, start time.

    Raises:
        ProcessLookupError: There is no such process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise ProcessLookupError(f"no process {pid}") from None
    fields = stat.rpartition(")")[2].split()
    if fields[0] in {"Z", "X"}:  # it has ended, only its parent has not looked yet
        raise ProcessLookupError(f"process {pid} has ended")
    boot = _BOOT_ID.read_text(encoding="ascii").strip()
    return f"{os.uname().nodename}:{boot}:{pid}:{fields[_START_TIME_FIELD]}"


def this_start() -> str:
    """Return a name of this start of this machine: what was written before it may be torn."""
    return f"{os.uname().nodename}:{_BOOT_ID.read_text(encoding='ascii').strip()}"


def has_ended(name: str) -> bool:
    """Return whether the process that `identity` named is gone for certain.

    A process of another host is not: from here nobody can tell.
    """
    host, _, rest = name.partition(":")
    if host != os.uname().nodename:
        return False
    try:
        return identity(int(rest.split(":")[1])) != name
    except ProcessLookupError:
        return True


def die_with_parent(parent_pid: int) -> None:
    """Let the kernel kill this process as soon as `parent_pid` is gone.

    To be called in a child; the tie is to the thread of the parent that forked it.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the line above
        os._exit(1)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash shall not leave gigabytes behind
    try:
        os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is meant
    except OSError as failure:
        sys.exit(f"{sys.argv[2]} cannot be started: {failure.strerror}")

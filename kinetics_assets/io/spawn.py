"""Starting child processes from one thread that lives as long as the process does.

Linux kills a child that asked for a parent-death signal when the *thread* that started it ends, not
the process. Started from a worker of some pool, a child would die with that pool.
"""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_threads: list[ThreadPoolExecutor] = []
# a forked process inherits the list without the thread
os.register_at_fork(after_in_child=_threads.clear)


def spawn(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, keep: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Return a started child in its own session, with pipes on all three standard streams.

    Of this process's other open files it gets those whose descriptors are in `keep`.

    Raises:
        OSError: The program cannot be started.
    """
    if not _threads:
        _threads.append(ThreadPoolExecutor(1, thread_name_prefix="spawn"))
    return _threads[0].submit(_start, argv, env, cwd, keep).result()


def _start(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, keep: Sequence[int]
) -> subprocess.Popen[bytes]:
    """Return the started child (runs on the long-lived thread)."""
    return subprocess.Popen(  # noqa: S603 - argv is put together by this package
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=cwd,
        close_fds=True,
        pass_fds=keep,
        start_new_session=True,
        bufsize=0,
    )

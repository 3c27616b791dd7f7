"""Real child processes for tests: run a piece of Python, wait for its word, kill it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).parent.parent.parent
_PATIENCE_SECONDS = 120
_NOBODY = 65534


@contextmanager
def child(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that runs `code`; it is killed and waited for at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=TOP,
        env=os.environ | {"PYTHONPATH": str(TOP)},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    """Return the next line that `process` prints; empty when it has ended."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def run(code: str, *arguments: object, prefix: tuple[str, ...] = ()) -> str:
    """Return what `code` prints; it must end well.

    Args:
        code: Python source.
        *arguments: Its `sys.argv[1:]`.
        prefix: Command that is put in front, for example `unshare` and its options.
    """
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=TOP,
        env=os.environ | {"PYTHONPATH": str(TOP)},
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def without_rights(folder: Path) -> None:
    """Close `folder` for writing and become a user who cannot open it again; for use in a child."""
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)


SMALL_DISK = """
import pathlib, subprocess, sys
disk = pathlib.Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=40", "tmpfs", disk], check=True)
"""
"""Start of a child's code: mounts a disk of 256 KiB and 40 inodes at its first argument."""


@cache
def own_mounts() -> tuple[str, ...]:
    """Return the command that lets a child mount things; empty where that is not allowed."""
    for prefix in (("unshare", "--mount"), ("unshare", "--map-root-user", "--mount")):
        probe = [*prefix, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        found = shutil.which("unshare") is not None
        if found and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return prefix
    return ()

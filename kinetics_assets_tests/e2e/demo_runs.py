"""Runs of the real demo in processes of their own, and what they leave on the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from kinetics_assets.core.layout import Layout
from kinetics_assets.demo.mirror import CACHE_FOLDER
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.verify import tree_lines
from kinetics_assets_tests.processes import MARK, marked

CLASSES = 2
SECONDS = 600
_GRACE_SECONDS = 120.0
"""The kernel needs a moment to end what is tied to a dead parent."""


def command(root: Path, *, classes: int = CLASSES) -> list[str]:
    """Return the command line of the demo under `root`."""
    module = [sys.executable, "-m", "kinetics_assets.cli"]
    return [*module, "demo", "--root", str(root), "--classes", str(classes)]


def environment(root: Path) -> dict[str, str]:
    """Return the environment without settings of ours, marked with `root`.

    Pauses and leases of other runs on this machine are not seen: ports are used again.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KINETICS_", "DAGSTER_"))
    }
    machine = root.with_name(f"{root.name} machine")
    return kept | {MARK: str(root), "KINETICS_MACHINE_DIR": str(machine)}


def run(root: Path, *, classes: int = CLASSES) -> subprocess.CompletedProcess[str]:
    """Return the finished demo under `root`."""
    return subprocess.run(
        command(root, classes=classes),
        env=environment(root),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def layout(root: Path) -> Layout:
    """Return the layout of the demo under `root`."""
    return Layout.of(load_settings("demo", root=root, env={}))


def lines(root: Path) -> list[str]:
    """Return what the tree digest of the demo under `root` is made of."""
    return tree_lines(layout(root))


def stamps(root: Path) -> dict[str, tuple[int, int, int]]:
    """Return inode, size and modification time of every file of the demo under `root`.

    Lock files are left out: they hold the number of the process that had them last.
    """
    return {
        str(path): (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        for path in sorted((root / "demo").rglob("*"))
        if path.is_file() and path.suffix != ".lock" and (stat := path.stat())
    }


def left_over(root: Path) -> list[str]:
    """Return the command lines of processes of runs under `root` that do not end by themselves."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while (found := marked(str(root))) and time.monotonic() < deadline:
        time.sleep(0.3)
    return list(found.values())


def clear(root: Path) -> None:
    """Delete everything under `root` but the generated videos."""
    for path in root.iterdir():
        if path.name != CACHE_FOLDER:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def take_mirror(source: Path, target: Path) -> None:
    """Copy the generated videos of one root to another, so that only the graph runs there."""
    shutil.copytree(source / CACHE_FOLDER, target / CACHE_FOLDER)

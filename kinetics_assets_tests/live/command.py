"""What `kinetics annotations diff` says of two lists that a root keeps."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

from kinetics_assets_tests.live.classes import DATASET

if TYPE_CHECKING:
    from pathlib import Path


def told_by_command(before: Path, after: Path) -> set[tuple[str, str, str, str]]:
    """Return (change, clip, label, what it was) of each changed row, as the UI's table has it.

    Args:
        before: A list, of which an edition with the same bytes is stored under the root.
        after: Another one.
    """
    names = [
        f"{DATASET}:{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
        for path in (before, after)
    ]
    argv = [sys.executable, "-m", "kinetics_assets.cli", "annotations", "diff", *names, "--json"]
    found = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    lines = {
        (kind, one["clip"], one["label"], "")
        for kind in ("added", "removed")
        for one in found[kind]
    }
    for was, now in found["retimed"]:
        start, end = (int(part) for part in was["clip"].rsplit("_", 2)[1:])
        lines.add(("retimed", now["clip"], now["label"], f"{start} to {end} s"))
    for was, now in found["relabelled"]:
        lines.add(("relabelled", now["clip"], now["label"], was["label"]))
    return lines

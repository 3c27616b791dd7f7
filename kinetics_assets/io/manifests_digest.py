"""Whether manifests changed, told from the outside: by names, sizes and times of the files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from kinetics_assets.core.stages import ALL_CLASS_STAGES
from kinetics_assets.io.atomic import os_faults

if TYPE_CHECKING:
    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.layout import Layout


def manifests_digest(layout: Layout, split: Split) -> str:
    """Return 16 hex digits that change when a manifest of the split does; empty without any.

    No file is opened: at 700 classes and four stages this is a few milliseconds. A manifest that
    is written anew with the same rows keeps its file, and so the digest.
    """
    lines = []
    for stage in ALL_CLASS_STAGES:
        folder = layout.manifests(split, stage)
        if not folder.is_dir():
            continue
        with os_faults(f"reading {folder}"):
            for path in sorted(folder.glob("*.parquet")):
                stat = path.stat()
                lines.append(f"{stage}/{path.name} {stat.st_size} {stat.st_mtime_ns}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16] if lines else ""

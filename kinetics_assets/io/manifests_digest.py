"""Whether manifests changed, told from the outside: by names, sizes and times of the files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kinetics_assets.core.classes import labels_by_folder
from kinetics_assets.core.stages import ALL_CLASS_STAGES
from kinetics_assets.io.atomic import os_faults

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.layout import Layout
    from kinetics_assets.core.stages import Stage

_SUFFIX: Final = ".parquet"
_TICK_NS: Final = 2_000_000_000
"""Coarsest clock of a file system that is in use (FAT's; network file systems have 1 s)."""


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


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one content of a manifest from another without opening the file."""

    text: str
    """Size, inode and times; a manifest is replaced, never written into, so each has its own."""
    changed_ns: int
    """When it last changed, by the clock of its file system."""

    def settled(self, by_ns: int) -> bool:
        """Return whether the manifest had been left alone for a while at time `by_ns`.

        One that was replaced a moment before could be replaced again within the same tick of the
        clock, and even get the inode of the one before.
        """
        return self.changed_ns + _TICK_NS < by_ns


def manifest_stamp(path: Path) -> Stamp:
    """Return the stamp of a manifest.

    Raises:
        OSError: It cannot be looked at.
    """
    return _stamp_of(path.stat())


def manifest_stamps(layout: Layout, split: Split, stage: Stage) -> dict[str, Stamp]:
    """Return the stamp of each class's manifest in a stage, by label; only of those there are."""
    folder, labels = layout.manifests(split, stage), labels_by_folder(layout.dataset)
    stamps: dict[str, Stamp] = {}
    if not folder.is_dir():
        return stamps
    with os_faults(f"reading {folder}"), os.scandir(folder) as entries:
        for entry in entries:
            label = labels.get(entry.name.removesuffix(_SUFFIX))
            if label is not None and entry.name.endswith(_SUFFIX):
                stamps[label] = _stamp_of(entry.stat())
    return dict(sorted(stamps.items()))


def _stamp_of(stat: os.stat_result) -> Stamp:
    """Return the stamp of what `stat` is of."""
    times = (stat.st_mtime_ns, stat.st_ctime_ns)
    return Stamp(f"{stat.st_size} {stat.st_ino} {times[0]} {times[1]}", max(times))

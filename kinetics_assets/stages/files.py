"""Outputs that are one file: is it there, is it intact, take it away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.io.atomic import os_faults, sha256_of, sync

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from kinetics_assets.core.layout import Layout
    from kinetics_assets.core.manifest import ManifestRow


def file_is_there(layout: Layout, row: ManifestRow) -> bool:
    """Return whether the row's file exists with the recorded size, and is not seen to be altered.

    A file that was written to after its verdict must have the recorded sha256; any other is
    believed, since hashing a whole dataset takes hours.
    """
    path = layout.base / row.path
    try:
        stat = path.stat()
    except FileNotFoundError:
        return False
    if not row.path or stat.st_size != row.size_bytes:
        return False
    return not is_newer(stat, row) or sha256_of(path) == row.sha256


def file_is_intact(layout: Layout, row: ManifestRow) -> bool:
    """Return whether the row's file exists with the recorded sha256."""
    path = layout.base / row.path
    return bool(row.path) and path.is_file() and sha256_of(path) == row.sha256


def is_newer(stat: os.stat_result, row: ManifestRow) -> bool:
    """Return whether a file was written to after the verdict of `row`."""
    return row.finished_at is not None and stat.st_mtime > row.finished_at.timestamp()


def remove_file(layout: Layout, row: ManifestRow, *, into: Path | None) -> None:
    """Delete the row's file, or move it to the folder `into`."""
    path = layout.base / row.path
    if not row.path or not path.exists():
        return
    with os_faults(f"moving {path}"):
        if into is None:
            path.unlink()
        else:
            into.mkdir(parents=True, exist_ok=True)
            path.replace(into / path.name)
            sync(into)
        sync(path.parent)

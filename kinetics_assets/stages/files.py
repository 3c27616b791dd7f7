"""Outputs that are one file: is it there, is it intact, take it away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.io.atomic import os_faults, sha256_of, sync

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.layout import Layout
    from kinetics_assets.core.manifest import ManifestRow


def file_is_there(layout: Layout, row: ManifestRow) -> bool:
    """Return whether the row's file exists with the recorded size."""
    path = layout.base / row.path
    try:
        return bool(row.path) and path.stat().st_size == row.size_bytes
    except FileNotFoundError:
        return False


def file_is_intact(layout: Layout, row: ManifestRow) -> bool:
    """Return whether the row's file exists with the recorded sha256."""
    return file_is_there(layout, row) and sha256_of(layout.base / row.path) == row.sha256


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

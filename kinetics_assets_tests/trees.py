"""What tests compare of a dataset on the disk."""

from __future__ import annotations

from pathlib import Path


def files_and_times(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return relative path -> (bytes, modification time in ns) of all files but the steps' own.

    Those are locks, and list entries kept with a manifest, which say what file they are of: in a
    copy of the tree they are made anew.
    """
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock") and not _is_entries(path)
    }


def public_files(folder: Path) -> dict[str, bytes]:
    """Return relative path -> bytes of what a trainer may read: no manifests, no hidden names."""
    return {
        name: data
        for name, (data, _) in files_and_times(folder).items()
        if not name.startswith("manifests/") and not any(p.startswith(".") for p in name.split("/"))
    }


def _is_entries(path: Path) -> bool:
    return path.name.startswith(".") and path.suffix == ".parts"

"""Frames of further sizes against the index file of those of the first size."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.geometry import is_size
from kinetics_assets.core.stages import Stage
from kinetics_assets.verify.pictures import INDEX, check_pictures

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.layout import Layout
    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.verify.findings import Report


def check_sizes(
    layout: Layout, split: Split, row: ManifestRow, report: Report, *, hash_content: bool
) -> dict[str, set[str]]:
    """Compare the frames of further sizes of a clip with what the index file of the first says.

    Returns:
        For each of their folders, relative to the dataset, the names that belong there.
    """
    first = layout.base / row.path
    expected = {}
    for size, facts in _said(first / INDEX[Stage.RAWFRAMES]).items():
        folder = layout.rawframes_of_size(split, size) / first.parent.name / first.name
        of_size = replace(
            row,
            path=layout.relative(folder),
            sha256=str(facts.get("sha256")),
            size_bytes=facts.get("size_bytes"),
        )
        names = check_pictures(folder, Stage.RAWFRAMES, of_size, report, hash_content=hash_content)
        expected[of_size.path] = names | {INDEX[Stage.RAWFRAMES]}
    return expected


def size_roots(layout: Layout, split: Split) -> list[Path]:
    """Return the folders that there are of a split's frames in further sizes."""
    name = layout.rawframes_of_size(split, "").name
    found = layout.base.glob(f"{name}*")
    return sorted(p for p in found if p.is_dir() and is_size(p.name.removeprefix(name)))


def _said(index: Path) -> dict[str, dict[str, Any]]:
    """Return what an index file says of further sizes; nothing if it cannot be read, see rows."""
    try:
        also = json.loads(index.read_bytes()).get("also") or {}
        return {str(size): dict(facts) for size, facts in also.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}

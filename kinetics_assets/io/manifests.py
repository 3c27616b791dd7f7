"""Manifests on the disk: reading, writing, and folding journals in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.manifest import ManifestRow, decode_manifest, encode_manifest
from kinetics_assets.io.atomic import os_faults, write_file
from kinetics_assets.io.journal import read_journal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.layout import Layout
    from kinetics_assets.core.stages import Stage


def read_manifest(layout: Layout, split: Split, stage: Stage, label: str) -> list[ManifestRow]:
    """Return the rows of one class in a stage, empty when the stage never ran for it.

    Raises:
        InternalError: The file is damaged; the message names it and the remedy.
    """
    path = layout.manifest(split, stage, label)
    if not path.exists():
        return []
    with os_faults(f"reading {path}"):
        data = path.read_bytes()
    try:
        return decode_manifest(data)
    except InternalError as error:
        raise InternalError(
            f"{path}: {error.message}",
            remedy="Delete the file and run the class again; files on the disk are verified anew.",
        ) from error


def read_known(layout: Layout, split: Split, stage: Stage, label: str) -> list[ManifestRow]:
    """Return the rows of the manifest, overlaid by what a killed step left in its journal."""
    rows = {row.clip: row for row in read_manifest(layout, split, stage, label)}
    rows.update({row.clip: row for row in read_journal(layout.journal(split, stage, label))})
    return list(rows.values())


def count_rows(layout: Layout, split: Split, stage: Stage, label: str) -> int:
    """Return the number of rows of a manifest, reading its footer alone; 0 when there is none.

    Raises:
        InternalError: The file is damaged; the message names it.
    """
    path = layout.manifest(split, stage, label)
    if not path.exists():
        return 0
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise InternalError(f"{path}: the manifest is damaged: {error}") from error


def write_manifest(
    layout: Layout, split: Split, stage: Stage, label: str, *, rows: Iterable[ManifestRow]
) -> bool:
    """Write the rows of one class in a stage; return whether the file changed."""
    path = layout.manifest(split, stage, label)
    data = encode_manifest(rows)
    if path.exists() and path.read_bytes() == data:
        return False
    write_file(path, data)
    return True

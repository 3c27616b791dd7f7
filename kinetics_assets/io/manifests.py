"""Manifests on the disk: reading, writing, and folding journals in."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.manifest import (
    ManifestRow,
    decode_columns,
    decode_manifest,
    encode_manifest,
)
from kinetics_assets.io.atomic import os_faults, write_file
from kinetics_assets.io.journal import read_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.layout import Layout
    from kinetics_assets.core.stages import Stage

Decoded = TypeVar("Decoded")
_REMEDY = "Delete the file and run the class again; files on the disk are verified anew."


def read_manifest(layout: Layout, split: Split, stage: Stage, label: str) -> list[ManifestRow]:
    """Return the rows of one class in a stage, empty when the stage never ran for it.

    Raises:
        InternalError: The file is damaged; the message names it and the remedy.
    """
    return _read(layout.manifest(split, stage, label), decode_manifest) or []


def read_columns(
    layout: Layout, split: Split, stage: Stage, label: str, *, names: Sequence[str]
) -> pa.Table | None:
    """Return some columns of `read_manifest`'s rows, None when the stage never ran for the class.

    Raises:
        InternalError: The file is damaged; the message names it and the remedy.
    """
    path = layout.manifest(split, stage, label)
    return _read(path, lambda data: decode_columns(data, names))


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
        raise InternalError(f"{path}: The manifest is damaged: {error}", remedy=_REMEDY) from error


def edition_in_footer(layout: Layout, split: Split, stage: Stage, label: str) -> str:
    """Return the edition of all rows of a manifest, reading its footer alone.

    Empty when the footer does not tell: there is no such file, it is damaged, it has no rows or
    rows of several editions. Footers have no checksum, so the answer may be the sha256 of nothing.
    """
    try:
        footer = pq.read_metadata(layout.manifest(split, stage, label))
        column = footer.schema.names.index("edition")
        found: set[object] = set()
        for number in range(footer.num_row_groups):
            statistics = footer.row_group(number).column(column).statistics
            found |= {statistics.min, statistics.max} if statistics else {None}
    except (pa.ArrowException, OSError, ValueError):
        return ""
    edition = found.pop() if len(found) == 1 else ""
    return edition if isinstance(edition, str) else ""


def write_manifest(
    layout: Layout, split: Split, stage: Stage, label: str, *, rows: Iterable[ManifestRow]
) -> bool:
    """Write the rows of one class in a stage; return whether the file changed."""
    path = layout.manifest(split, stage, label)
    data = encode_manifest(rows)
    if path.exists() and path.read_bytes() == data:
        return False
    with os_faults(f"writing {path}"):
        # first, so that list entries that are there were made of the manifest that is there
        layout.class_entries(split, stage, label).unlink(missing_ok=True)
    write_file(path, data)
    return True


def _read(path: Path, decode: Callable[[bytes], Decoded]) -> Decoded | None:
    """Return what `decode` makes of a manifest, None when there is none."""
    if not path.exists():
        return None
    with os_faults(f"reading {path}"):
        data = path.read_bytes()
    try:
        return decode(data)
    except InternalError as error:
        raise InternalError(f"{path}: {error.message}", remedy=_REMEDY) from error

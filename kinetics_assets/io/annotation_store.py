"""Annotation editions on the disk: stored once, read class by class.

An edition is the sha256 of a split's list. Its folder keeps the list as published, the accepted
rows as Parquet with one row group per class, the rejected lines, and the hash of each class's rows.
`edition.json` says which edition of each split is current, and is written last.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kinetics_assets.core.annotations import (
    AnnotationRow,
    ParsedList,
    class_row_hashes,
    edition_sha256,
    hash_of_names,
)
from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import Clip, ClipId, Split
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.parquet import read_row_group, read_table
from kinetics_assets.io.atomic import os_faults, write_file

_ROW_FIELDS: list[pa.Field[Any]] = [
    pa.field("label", pa.string(), nullable=False),
    pa.field("youtube_id", pa.string(), nullable=False),
    pa.field("start_seconds", pa.int32(), nullable=False),
    pa.field("end_seconds", pa.int32(), nullable=False),
    pa.field("is_cc", pa.bool_()),
    pa.field("line", pa.int32(), nullable=False),
]
_REJECTED_FIELDS: list[pa.Field[Any]] = [
    pa.field("line", pa.int32(), nullable=False),
    pa.field("reason", pa.string(), nullable=False),
    pa.field("raw_sha256", pa.string(), nullable=False),
]
_ROWS = pa.schema(_ROW_FIELDS)
_REJECTED = pa.schema(_REJECTED_FIELDS)


@dataclass(frozen=True, slots=True)
class EditionInfo:
    """What is known of the current list of one split."""

    sha256: str
    """Of the list's bytes."""
    rows: int
    rejected: int
    classes: int
    """Labels that have rows; rows without a label count as one."""
    dialect: str
    name: str
    """Name under which the edition folder keeps the list."""
    source_address: str
    """Where the list came from, without secrets."""


@dataclass(frozen=True, slots=True)
class ClassRows:
    """The rows of one class of one split."""

    edition: str
    """sha256 of the split's list."""
    clips: tuple[Clip, ...]
    """Sorted by clip."""
    creative_commons: frozenset[ClipId] | None = None
    """Clips that the list gives as under a Creative Commons licence; None if the list does not
    tell for any of its rows, in whatever class."""


def splits_present(layout: Layout) -> tuple[Split, ...]:
    """Return the splits that have a current list; none before `annotations` has run."""
    if not layout.current_edition.exists():
        return ()
    return tuple(read_current(layout))


def read_current(layout: Layout) -> dict[Split, EditionInfo]:
    """Return the current edition of each split that has one, in the order of `Split`.

    Raises:
        AnnotationError: There is none yet, or its record is damaged.
    """
    record = _read_json(layout, layout.current_edition)
    try:
        return {split: EditionInfo(**record[split]) for split in Split if split in record}
    except TypeError as error:
        raise _damaged(layout, layout.current_edition) from error


def current_edition(layout: Layout, split: Split) -> str:
    """Return the sha256 of the current list of `split`.

    Raises:
        AnnotationError: There is none yet, or its record is damaged.
    """
    return _current(layout, split).sha256


def load_class_rows(layout: Layout, split: Split, label: str, *, edition: str = "") -> ClassRows:
    """Return the rows of one class, reading nothing of any other; empty if it has none.

    Args:
        layout: Of the dataset.
        split: Whose list it is.
        label: The class.
        edition: sha256 of a stored list; by default the current one of `split`.

    Raises:
        AnnotationError: There is no such list, or it is damaged.
    """
    edition = edition or _current(layout, split).sha256
    entry = _classes(layout, edition).get(label)
    if entry is None:
        return ClassRows(edition, ())
    path = layout.edition_rows(edition)
    try:
        stat = path.stat()
        footer, tells_licences = _footer(path, stat.st_mtime_ns, stat.st_size)
        table = read_row_group(path, entry["row_group"], footer=footer)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(layout, path) from error
    records = table.to_pylist()
    clips = tuple(_clip(record) for record in records)
    if len(clips) != entry["rows"] or any(clip.label != label for clip in clips):
        raise _damaged(layout, path)
    if not tells_licences:
        return ClassRows(edition, clips)
    free = {clip.id for clip, record in zip(clips, records, strict=True) if record["is_cc"]}
    return ClassRows(edition, clips, frozenset(free))


def load_rows(layout: Layout, split: Split, *, edition: str = "") -> pa.Table:
    """Return the rows of all classes, sorted by label and clip, with the columns of the file.

    Args:
        layout: Of the dataset.
        split: Whose list it is.
        edition: sha256 of a stored list; by default the current one of `split`.

    Raises:
        AnnotationError: There is no such list, or it is damaged.
    """
    edition = edition or _current(layout, split).sha256
    path = layout.edition_rows(edition)
    try:
        table = read_table(path)
        counts: Any = table["label"].value_counts()
        found = {one["values"]: one["counts"] for one in counts.to_pylist()}
    except (pa.ArrowException, OSError, LookupError) as error:
        raise _damaged(layout, path) from error
    classes = _classes(layout, edition)
    if found != {label: entry["rows"] for label, entry in classes.items()}:
        raise _damaged(layout, path)
    return table


def class_versions(layout: Layout, split: Split) -> dict[str, str]:
    """Return label -> hash of its rows for every class, those without rows included.

    A test split also has the empty label, for rows without one.

    Raises:
        AnnotationError: There is no list of `split` yet, or it is damaged.
    """
    classes = _classes(layout, _current(layout, split).sha256)
    labels = [*class_names(layout.dataset), *([""] if split is Split.TEST else [])]
    nothing = hash_of_names([])
    return {label: classes[label]["sha256"] if label in classes else nothing for label in labels}


def class_hashes(layout: Layout, edition: str) -> dict[str, tuple[int, str]]:
    """Return label -> (rows, hash of the rows) of each class that has rows in a stored edition.

    Raises:
        AnnotationError: It is not stored, or damaged.
    """
    classes = _classes(layout, edition)
    return {label: (entry["rows"], entry["sha256"]) for label, entry in classes.items()}


def annotated_labels(layout: Layout, split: Split) -> tuple[str, ...]:
    """Return the classes that have a row in the list of `split`, in index order.

    Raises:
        AnnotationError: There is no list of `split` yet, or it is damaged.
    """
    classes = _classes(layout, _current(layout, split).sha256)
    return tuple(label for label in [*class_names(layout.dataset), ""] if label in classes)


def store_list(
    layout: Layout, data: bytes, parsed: ParsedList, *, name: str, source_address: str
) -> EditionInfo:
    """Return the record of an edition, after its folder was written; what is there stays as it is.

    The edition is not current before `set_current` says so.
    """
    sha256 = edition_sha256(data)
    rows = sorted(parsed.rows, key=lambda row: (row.clip.label, row.clip.id))
    groups = {label: list(of_label) for label, of_label in groupby(rows, lambda r: r.clip.label)}
    hashes = class_row_hashes(row.clip for row in rows)
    classes = {
        label: {"row_group": index, "rows": len(of_label), "sha256": hashes[label]}
        for index, (label, of_label) in enumerate(groups.items())
    }
    rejected = pa.Table.from_pylist([asdict(line) for line in parsed.rejected], schema=_REJECTED)
    write_if_changed(layout.edition(sha256) / name, data)
    write_if_changed(layout.edition_rows(sha256), _parquet(list(groups.values())))
    write_if_changed(layout.edition_rejected(sha256), _as_bytes([rejected], _REJECTED))
    write_if_changed(layout.edition_classes(sha256), _json_bytes(classes))
    return EditionInfo(
        sha256=sha256,
        rows=len(rows),
        rejected=len(parsed.rejected),
        classes=len(groups),
        dialect=parsed.dialect.value,
        name=name,
        source_address=source_address,
    )


def stored_list(layout: Layout, sha256: str) -> bytes | None:
    """Return the list that the edition `sha256` is, as published; None if it is not stored whole.

    The folder knows the list by its sha256, whatever its name.
    """
    folder = layout.edition(sha256)
    with os_faults(f"reading {folder}"):
        names = sorted(folder.glob("*.csv")) if folder.is_dir() else []
        for path in names:
            data = path.read_bytes()
            if edition_sha256(data) == sha256:
                return data
    return None


def set_current(layout: Layout, editions: dict[Split, EditionInfo]) -> None:
    """Make `editions` the current ones, in one step."""
    record = {split.value: asdict(editions[split]) for split in Split if split in editions}
    write_if_changed(layout.current_edition, _json_bytes(record))


def write_if_changed(final: Path, data: bytes) -> bool:
    """Make `final` hold `data`; return False, without touching it, when it does already."""
    with os_faults(f"reading {final}"):
        if final.is_file() and final.read_bytes() == data:
            return False
    write_file(final, data)
    return True


def _current(layout: Layout, split: Split) -> EditionInfo:
    """Return the current edition of `split`."""
    editions = read_current(layout)
    if split not in editions:
        raise AnnotationError(
            str(layout.current_edition),
            f"{layout.dataset} has no {split} list, only: {', '.join(editions)}.",
            remedy=_remedy(layout),
        )
    return editions[split]


def _classes(layout: Layout, edition: str) -> dict[str, dict[str, Any]]:
    """Return label -> rows, sha256 and row_group of each class that has rows; not to be changed."""
    path = layout.edition_classes(edition)
    try:
        stat = path.stat()
    except OSError:
        return _read_json(layout, path)
    return _known_classes(layout, path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _known_classes(
    layout: Layout, path: Path, mtime_ns: int, size_bytes: int
) -> dict[str, dict[str, Any]]:
    """Return the classes in a file; time and size stand for its content."""
    del mtime_ns, size_bytes
    return _read_json(layout, path)


@lru_cache(maxsize=8)
def _footer(path: Path, mtime_ns: int, size_bytes: int) -> tuple[pq.FileMetaData, bool]:
    """Return the footer of a list's rows, and whether any row of it has an ``is_cc``.

    Time and size stand for the content. Both are asked of class after class, and the second goes
    through all of them.
    """
    del mtime_ns, size_bytes
    footer = pq.read_metadata(path)
    return footer, _tells_licences(footer)


def _tells_licences(footer: pq.FileMetaData) -> bool:
    """Return whether any row of a list has an ``is_cc``."""
    column = footer.schema.names.index("is_cc")
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        statistics = group.column(column).statistics
        if statistics is None or (statistics.null_count or 0) < group.num_rows:
            return True
    return False


def _clip(record: dict[str, Any]) -> Clip:
    """Return the clip of a stored row."""
    span = ClipId(record["youtube_id"], record["start_seconds"], record["end_seconds"])
    return Clip(span, record["label"])


def _parquet(groups: list[list[AnnotationRow]]) -> bytes:
    """Return the Parquet bytes of rows, a row group for each element of `groups`."""
    tables = [
        pa.Table.from_pylist(
            [
                {
                    "label": row.clip.label,
                    "youtube_id": row.clip.id.youtube_id,
                    "start_seconds": row.clip.id.start_seconds,
                    "end_seconds": row.clip.id.end_seconds,
                    "is_cc": row.is_cc,
                    "line": row.line,
                }
                for row in group
            ],
            schema=_ROWS,
        )
        for group in groups
    ]
    return _as_bytes(tables, _ROWS)


def _as_bytes(tables: list[pa.Table], schema: pa.Schema) -> bytes:
    """Return the Parquet bytes of `tables`, a row group for each; equal rows give equal bytes."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True) as writer:
        for table in tables:
            writer.write_table(table)
    return sink.getvalue()


def _json_bytes(record: dict[str, Any]) -> bytes:
    """Return `record` as JSON text; equal records give equal bytes."""
    return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()


def _read_json(layout: Layout, path: Path) -> dict[str, Any]:
    """Return the object in a JSON file of the store."""
    try:
        with os_faults(f"reading {path}"):
            record = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise AnnotationError(
            str(path), f"{layout.dataset} has no annotations yet.", remedy=_remedy(layout)
        ) from None
    except (OSError, ValueError) as error:
        raise _damaged(layout, path) from error
    if not isinstance(record, dict):
        raise _damaged(layout, path)
    return record


def _damaged(layout: Layout, path: Path) -> AnnotationError:
    """Return the error of a file of ours that cannot be read."""
    return AnnotationError(
        str(path), "the stored annotations are damaged or missing.", remedy=_remedy(layout)
    )


def _remedy(layout: Layout) -> str:
    """Return the command that makes the annotations."""
    return f"Run `kinetics prepare {layout.dataset}`; it fetches the lists again."

"""What came in archives of the mirror: one record per archive, written when its files are in place.

The store is no part of the dataset. A record says what an archive held, or with which words it was
refused; its files stand in a folder of its name, flat.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.io.atomic import os_faults, write_file
from kinetics_assets.sources.mirror_archives import REPLACEMENT

Key = tuple[Split, str]
"""Split and name of an archive."""
_SETTLED_SECONDS = 0.1
"""A folder that changed this short ago may change again without another time of change."""


@dataclass(frozen=True, slots=True)
class MirrorFile:
    """A file that an archive held."""

    file: str
    """Name in the archive's folder of the store."""
    clip: str
    """Name of the clip that it is, empty if its name is that of none."""
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """What became of one archive."""

    split: Split
    name: str
    address: str
    """Where it came from, without secrets."""
    etag: str
    sha256: str
    """Of the archive; empty if it was refused before it had arrived."""
    size_bytes: int
    recorded_at: str
    """UTC, ISO 8601."""
    refused: str = ""
    """Why nothing of it is used, empty if it is."""
    files: tuple[MirrorFile, ...] = ()
    """By name. Of a refused archive: what could be seen of it, without size and sha256."""


class Holding(NamedTuple):
    """Where the store has a clip; small, since there may be a quarter of a million."""

    key: Key
    file: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class MirrorIndex:
    """The archives of some splits, and which of them holds a clip."""

    archives: dict[Key, ArchiveRecord] = field(default_factory=dict)
    """Records without their files."""
    held: dict[str, Holding] = field(default_factory=dict)
    """By name of the clip."""
    refused: dict[str, Key] = field(default_factory=dict)
    """Clips seen in a refused archive, and in no other."""


def read_record(layout: Layout, split: Split, name: str) -> ArchiveRecord | None:
    """Return the record of an archive; None if there is none, or if it is damaged."""
    return _read(layout.mirror_record(split, name), split)


def write_record(layout: Layout, record: ArchiveRecord) -> None:
    """Make `record` the one of its archive."""
    fields = {
        "address": record.address,
        "etag": record.etag,
        "sha256": record.sha256,
        "bytes": record.size_bytes,
        "recorded_at": record.recorded_at,
        "refused": record.refused or None,
        "members": [
            {"file": f.file, "clip": f.clip or None, "bytes": f.size_bytes, "sha256": f.sha256}
            for f in record.files
        ],
    }
    text = json.dumps(fields, indent=0, ensure_ascii=False) + "\n"
    write_file(layout.mirror_record(record.split, record.name), text.encode())


def records_of(layout: Layout, split: Split) -> Iterator[ArchiveRecord]:
    """Yield the records of a split, by name."""
    for path in _record_paths(layout, split):
        record = _read(path, split)
        if record:
            yield record


def file_is_there(layout: Layout, key: Key, file: str, *, size_bytes: int) -> bool:
    """Return whether a file of the store has its recorded size; its bytes are not read."""
    path = layout.mirror_files(*key) / file
    try:
        return path.stat().st_size == size_bytes
    except OSError:
        return False


def index_of(layout: Layout, splits: tuple[Split, ...]) -> MirrorIndex:
    """Return the index of the archives of `splits`, read again only when a record changed.

    A file of the replacement part wins over the same clip in another, the first part by name over
    later ones.
    """
    key = (layout.mirror, splits)
    with _guard:
        state = tuple(_changed_at(layout.mirror_records(split)) for split in splits)
        known = _indices.get(key)
        if known and known[0] == state:
            return known[1]
        index = _read_index(layout, splits)
        if time.time_ns() - max(state) > _SETTLED_SECONDS * 1e9:
            _indices[key] = (state, index)
        return index


_guard = threading.Lock()
_indices: dict[tuple[Path, tuple[Split, ...]], tuple[tuple[int, ...], MirrorIndex]] = {}


def _read_index(layout: Layout, splits: tuple[Split, ...]) -> MirrorIndex:
    """Return the index, read from all records."""
    index = MirrorIndex()
    for split in splits:
        # the replacement first: the first holder of a clip stays
        for path in sorted(_record_paths(layout, split), key=lambda p: p.stem != REPLACEMENT):
            record = _load(path)
            header = _record(path, split, {**record, "members": []}) if record else None
            if header is None:
                continue
            key = (split, header.name)
            index.archives[key] = header
            # straight from the JSON: objects for a quarter of a million files take seconds
            for member in record["members"]:
                clip = member["clip"]
                if clip and header.refused:
                    index.refused.setdefault(clip, key)
                elif clip and clip not in index.held:
                    index.held[clip] = Holding(
                        key, member["file"], member["bytes"], member["sha256"]
                    )
    for name in index.refused.keys() & index.held.keys():
        del index.refused[name]
    return index


def _changed_at(folder: Path) -> int:
    """Return when a name in `folder` last changed, 0 if there is no folder."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _record_paths(layout: Layout, split: Split) -> list[Path]:
    """Return the files of a split's records, by name."""
    folder = layout.mirror_records(split)
    with os_faults(f"listing {folder}"):
        return sorted(folder.glob("[!.]*.json")) if folder.is_dir() else []


def _read(path: Path, split: Split) -> ArchiveRecord | None:
    """Return the record in a file, None if there is none that can be read."""
    fields = _load(path)
    return _record(path, split, fields) if fields else None


def _load(path: Path) -> dict[str, Any]:
    """Return the fields of a record with their values as stored, empty if it is damaged."""
    try:
        fields = json.loads(path.read_bytes())
        return fields if isinstance(fields["members"], list) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _record(path: Path, split: Split, fields: dict[str, Any]) -> ArchiveRecord | None:
    """Return a record from its fields, None if one is missing."""
    try:
        return ArchiveRecord(
            split=split,
            name=path.name.removesuffix(".json"),
            address=fields["address"],
            etag=fields["etag"],
            sha256=fields["sha256"],
            size_bytes=fields["bytes"],
            recorded_at=fields["recorded_at"],
            refused=fields["refused"] or "",
            files=tuple(
                MirrorFile(m["file"], m["clip"] or "", m["bytes"], m["sha256"])
                for m in fields["members"]
            ),
        )
    except (KeyError, TypeError):
        return None

"""Under which labels clips stand in the lists of all datasets under a root, older ones included.

A list of half a million rows is read once per process, its four columns only, and asked by video.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kinetics_assets.core.classes import DATASETS
from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.layout import Layout
from kinetics_assets.io.atomic import os_faults

_COLUMNS = ["label", "youtube_id", "start_seconds", "end_seconds"]
_MOST_LISTS = 64


def labels_of(root: Path, youtube_ids: Iterable[str]) -> dict[ClipId, list[tuple[str, str]]]:
    """Return clip -> (dataset, label) pairs under which a list has it, for the clips of videos.

    Datasets come in the order of `DATASETS`, labels sorted; a pair is there once, however many
    splits and editions have it. A damaged list is passed over: the clips are then got elsewhere.

    Raises:
        PermissionDenied: A list cannot be read.
    """
    wanted = set(youtube_ids)
    labels: dict[ClipId, list[tuple[str, str]]] = {}
    for dataset in DATASETS:
        for clip, found in labels_in(root, dataset, wanted).items():
            labels.setdefault(clip, []).extend((dataset, label) for label in found)
    return labels


def labels_in(root: Path, dataset: str, youtube_ids: Iterable[str]) -> dict[ClipId, list[str]]:
    """Return clip -> labels, sorted, under which a list of one dataset has it; as `labels_of`.

    Raises:
        PermissionDenied: A list cannot be read.
    """
    wanted = pa.array(sorted(set(youtube_ids)), pa.string())
    found: set[tuple[ClipId, str]] = set()
    for path in _lists(root, dataset):
        found |= _rows_of(path, wanted)
    labels: dict[ClipId, list[str]] = {}
    for clip, label in sorted(found):
        labels.setdefault(clip, []).append(label)
    return labels


def _lists(root: Path, dataset: str) -> Iterator[Path]:
    """Yield the stored rows of every edition of a dataset."""
    editions = Layout(root, dataset, "").editions
    if editions.is_dir():
        with os_faults(f"listing {editions}"):
            yield from sorted(editions.glob("*/rows.parquet"))


def _rows_of(path: Path, wanted: pa.StringArray) -> set[tuple[ClipId, str]]:
    """Return the clips of `wanted` videos in one list, each with its label."""
    try:
        with os_faults(f"reading {path}"):
            stat = path.stat()
            table = _table(path, stat.st_mtime_ns, stat.st_size)
    except (pa.ArrowException, OSError):
        return set()
    rows = table.filter(pc.is_in(table["youtube_id"], value_set=wanted)).to_pylist()
    return {
        (ClipId(row["youtube_id"], row["start_seconds"], row["end_seconds"]), row["label"])
        for row in rows
    }


@lru_cache(maxsize=_MOST_LISTS)
def _table(path: Path, mtime_ns: int, size_bytes: int) -> pa.Table:
    """Return the columns of a list; time and size stand for its content."""
    del mtime_ns, size_bytes
    with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
        return file.read(columns=_COLUMNS, use_threads=False)

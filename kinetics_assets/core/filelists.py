"""File lists in the formats of MMAction2, as text, from manifest rows alone.

=========  ==============================================  ====================================
kind       line                                            JSON entry
=========  ==============================================  ====================================
videos     ``<class>/<clip>.mp4 <label>``                  filename, label
rawframes  ``<class>/<clip> <frames> <label>``             frame_dir, total_frames, label
flow       ``<class>/<clip> <frame pairs> <label>``        frame_dir, total_frames, label
=========  ==============================================  ====================================

Paths are relative to the split's folder of the stage; one space, a line feed, no header. A test row
without a label ends after the path or the count, which MMAction2 1.x reads as label -1.
"""

from __future__ import annotations

import json
import random
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as arrow_compute

from kinetics_assets.core.manifest import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

pc: Any = arrow_compute  # its stubs know few of the types that it takes
COLUMNS = ("label", "status", "path", "frames_decoded")
"""Columns of a manifest that a list is made of."""
_LAST_TWO_PARTS = "^.*/([^/]+/[^/]+)$"
_TO_BE_ESCAPED = r"[^ !#-\[\]-~]"
"""What a JSON string cannot hold as it is."""


class ListKind(StrEnum):
    """The three lists of a split."""

    VIDEOS = "videos"
    RAWFRAMES = "rawframes"
    FLOW = "flow"


def entries(kind: ListKind, rows: pa.Table, *, indices: Mapping[str, int]) -> pa.Table:
    """Return an entry for each verified row with at least one frame, in the order of `rows`.

    Args:
        kind: The list.
        rows: `COLUMNS` of a manifest, and ``line``, the row's place in the annotation list.
        indices: 0-based index of each class.

    Returns:
        Columns ``line``, ``path`` (relative to the split's folder of the stage), ``count`` (frames
        or frame pairs; null in a list of videos) and ``label`` (class index; null for a row without
        a label).
    """
    is_ok = pc.equal(rows["status"], Status.OK.value)
    has_frames = pc.not_equal(pc.fill_null(rows["frames_decoded"], 0), 0)
    rows = rows.filter(pc.and_(is_ok, has_frames))
    count = _array(rows["frames_decoded"])
    numbers = pa.array(indices.values(), pa.int32())
    index = pc.index_in(_array(rows["label"]), value_set=pa.array(indices, pa.string()))
    return pa.table(
        {
            "line": _array(rows["line"]),
            "path": _last_two_parts(_array(rows["path"])),
            "count": pa.nulls(len(rows), count.type) if kind is ListKind.VIDEOS else count,
            "label": numbers.take(index),
        }
    )


def in_sorted_order(listed: pa.Table) -> pa.Table:
    """Return the entries by path; the default, because a rerun then gives the same bytes."""
    return listed.take(pc.sort_indices(listed["path"]))


def in_shuffled_order(kind: ListKind, listed: pa.Table, *, seed: int) -> pa.Table:
    """Return the entries in the order of MMAction2's ``--shuffle --seed <seed>``.

    Its tool shuffles a split's RGB list, then its flow list, with one generator, each beginning in
    the order of the annotation list.

    Args:
        kind: The list; flow comes after RGB out of the same generator.
        listed: The entries, in any order.
        seed: Seed of Python's generator.
    """
    order = pc.sort_indices(listed["line"]).to_pylist()
    generator = random.Random(seed)  # noqa: S311 - an order to reproduce, not a secret
    if kind is ListKind.FLOW:
        generator.shuffle(list(range(len(order))))
    generator.shuffle(order)
    return listed.take(pa.array(order, pa.int64()))


def as_text(listed: pa.Table) -> str:
    """Return the ``.txt`` form of a list."""
    fields = (pc.cast(listed[name], pa.string()) for name in ("count", "label"))
    lines = pc.binary_join_element_wise(listed["path"], *fields, " ", null_handling="skip")
    return _joined(lines, "\n") + "\n" if len(lines) else ""


def as_json(kind: ListKind, listed: pa.Table) -> str:
    """Return the ``.json`` form of a list, which the readers of MMAction2 0.x take."""
    path = listed["path"]
    if pc.any(pc.match_substring_regex(path, _TO_BE_ESCAPED)).as_py():
        escaped = [json.dumps(text)[1:-1] for text in path.to_pylist()]
        path = pa.chunked_array([escaped], pa.string())
    label = pc.fill_null(pc.cast(listed["label"], pa.string()), "")
    parts: list[Any]
    if kind is ListKind.VIDEOS:
        parts = ['{"filename": "', path, '", "label": [', label, "]}"]
    else:
        count = pc.cast(listed["count"], pa.string())
        start, middle = '{"frame_dir": "', '", "total_frames": '
        parts = [start, path, middle, count, ', "label": [', label, "]}"]
    return f"[{_joined(pc.binary_join_element_wise(*parts, ''), ', ')}]\n"


def _last_two_parts(path: pa.Array[Any]) -> pa.Array[Any]:
    """Return folder and name of each path."""
    if not len(path):
        return path
    first = path[0].as_py()
    before = first[: -len("/".join(first.split("/")[-2:]))]
    as_deep = pc.equal(pc.count_substring(path, pattern="/"), first.count("/"))
    parts: pa.Array[Any]
    if pc.all(pc.and_(as_deep, pc.starts_with(path, before))).as_py():
        parts = pc.utf8_slice_codeunits(path, start=len(before))
    else:  # ten times as slow
        parts = pc.replace_substring_regex(path, pattern=_LAST_TWO_PARTS, replacement=r"\1")
    return parts


def _array(column: pa.ChunkedArray[Any] | pa.Array[Any]) -> pa.Array[Any]:
    """Return a column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _joined(texts: pa.ChunkedArray[Any] | pa.Array[Any], separator: str) -> str:
    """Return all `texts` in one."""
    array = _array(texts)
    whole: Any = pa.ListArray.from_arrays([0, len(array)], array)
    return str(pc.binary_join(whole, separator)[0].as_py() or "")

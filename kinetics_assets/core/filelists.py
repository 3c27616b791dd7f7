"""File lists in the formats of MMAction2, made class by class from manifest rows alone.

==============  ==============================================  ================================
kind            line                                            JSON entry
==============  ==============================================  ================================
videos          ``<class>/<clip>.mp4 <label>``                  filename, label
rawframes       ``<class>/<clip> <frames> <label>``             frame_dir, total_frames, label
flow            ``<class>/<clip> <frame pairs> <label>``        frame_dir, total_frames, label
audio           ``<class>/<clip>.wav <frames> <label>``         none
audio_features  ``<class>/<clip>.npy <frames> <label>``         none
audio_feature   ``<class>/<clip> <frames> <label>``             none
==============  ==============================================  ================================

Lists of sound say how many frames the video has: readers map its frames to time steps.
``audio_features`` is what MMAction2 1.x's configs name, ``audio_feature`` 0.x's, whose reader adds
the extension. They are there only where such a stage was run, and have no JSON form: 0.x's readers
of sound fail on one.

Paths are relative to the split's folder of the stage; one space, a line feed, no header. A test row
without a label ends after the path or the count, which MMAction2 1.x reads as label -1.
"""

from __future__ import annotations

import random
from array import array
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, compress, pairwise
from json.encoder import encode_basestring_ascii as _quoted
from operator import not_
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as arrow_compute

from kinetics_assets.core.manifest import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

pc: Any = arrow_compute  # its stubs know few of the types that it takes
COLUMNS: Final = (
    "youtube_id",
    "start_seconds",
    "end_seconds",
    "label",
    "status",
    "reason",
    "path",
    "frames_decoded",
    "digest",
    "engine",
    "profile",
)
"""Columns of a manifest that a list is made of, or refused for."""


class ListKind(StrEnum):
    """The lists of a split."""

    VIDEOS = "videos"
    RAWFRAMES = "rawframes"
    FLOW = "flow"
    AUDIO = "audio"
    AUDIO_FEATURES = "audio_features"
    AUDIO_FEATURE = "audio_feature"


@dataclass(frozen=True, slots=True)
class ListFormat:
    """What an entry of a list says."""

    key: str
    """Name of the path in the JSON form."""
    has_count: bool
    """Whether the number of frames or frame pairs stands behind the path."""
    is_optional: bool = False
    """Whether there is no such list while its stage has no manifest in the split."""
    has_json: bool = True
    suffix: str = ""
    """What is left out at the end of each path."""


FORMATS: Final = {
    ListKind.VIDEOS: ListFormat("filename", has_count=False),
    ListKind.RAWFRAMES: ListFormat("frame_dir", has_count=True),
    ListKind.FLOW: ListFormat("frame_dir", has_count=True),
    ListKind.AUDIO: ListFormat("filename", has_count=True, is_optional=True, has_json=False),
    ListKind.AUDIO_FEATURES: ListFormat(
        "filename", has_count=True, is_optional=True, has_json=False
    ),
    ListKind.AUDIO_FEATURE: ListFormat(
        "filename", has_count=True, is_optional=True, has_json=False, suffix=".npy"
    ),
}
REQUIRED_KINDS: Final = tuple(kind for kind in ListKind if not FORMATS[kind].is_optional)
"""The lists that every split has."""

EXCLUDED: Final = "excluded"
"""What clips that are left out on purpose are counted as, where others have status and reason."""

ENTRIES: Final = pa.schema(
    [  # type: ignore[arg-type] # the stubs cannot join fields of several types
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("json", pa.string(), nullable=False),
    ]
)
"""A class's entries, sorted by path: the clip's place among the class's annotated clips; the line,
line feed included; the JSON record, with the comma and the blank after it. The bytes of a list are
thus those of a column, one class after the other."""


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """What refusals and reports need to know of one class in one list."""

    listed: int
    left_out: dict[str, int]
    """Annotated clips that are not listed, by status and reason."""
    statuses: dict[str, int]
    """Annotated clips that have a row and are not left out on purpose, by status."""
    makers: list[tuple[str, str, str, int]]
    """Recipe, engine and profile of such ok rows, and how many rows they made."""
    first: str
    last: str
    """First and last line; empty without any."""

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> ClassFacts:
        """Return the facts of which `record` is the `asdict`, read back from JSON."""
        makers = [(recipe, by, profile, n) for recipe, by, profile, n in record["makers"]]
        return cls(**(record | {"makers": makers}))


def clip_names(rows: pa.Table) -> list[str]:
    """Return the clip name of each row: ``<youtube_id>_<%06d>_<%06d>``."""
    fields = zip(*_values(rows, "youtube_id", "start_seconds", "end_seconds"), strict=True)
    return [f"{video}_{start:06d}_{end:06d}" for video, start, end in fields]


def class_entries(
    kind: ListKind,
    rows: pa.Table,
    *,
    annotated: Sequence[str],
    index: int | None,
    excluded: Collection[str] = (),
) -> tuple[pa.RecordBatch, ClassFacts]:
    """Return an entry for each verified row with at least one frame, and the facts of the class.

    Args:
        kind: The list.
        rows: `COLUMNS` of the class's manifest; rows that are not annotated are passed over.
        annotated: Names of the class's annotated clips, sorted.
        index: 0-based index of the class; None for rows without a label.
        excluded: Annotated clips that are left out on purpose, whatever their status.

    Returns:
        A batch of `ENTRIES`, and what is to be known of it and of the clips that are not in it.
    """
    # In bulk, and in plain Python: Arrow's functions cost more by the call than a class's rows, and
    # those that take Python's values import all of pandas.
    places = {name: rank for rank, name in enumerate(annotated)}
    names = clip_names(rows)
    is_wanted = [name in places and name not in excluded for name in names]
    if not all(is_wanted):
        rows = rows.filter(pa.array(is_wanted, pa.bool_()))
    ranks = [places[name] for name in compress(names, is_wanted)]
    status, reason, frames, path = _values(rows, "status", "reason", "frames_decoded", "path")
    is_ok = [one == Status.OK for one in status]
    is_listed = [ok and bool(count) for ok, count in zip(is_ok, frames, strict=True)]
    found = compress(zip(map(_last_two_parts, path), frames, ranks, strict=True), is_listed)
    statuses = Counter(status)
    left_out = Counter(compress(zip(status, reason, strict=True), map(not_, is_listed)))
    digests, engines, profiles = _values(rows, "digest", "engine", "profile")
    recipes = (digest.partition(".")[0] for digest in digests)
    makers = Counter(compress(zip(recipes, engines, profiles, strict=True), is_ok))
    batch = _entries(kind, sorted(found), index=index)
    lines = batch.column("text")
    not_run = len(annotated) - len(excluded) - statuses.total()
    facts = ClassFacts(
        listed=len(batch),
        left_out={f"{status}: {why or 'no frames'}": n for (status, why), n in left_out.items()}
        | ({"not run": not_run} if not_run else {})
        | ({EXCLUDED: len(excluded)} if excluded else {}),
        statuses=dict(statuses),
        makers=[(*maker, count) for maker, count in makers.items()],
        first=lines[0].as_py() if len(batch) else "",
        last=lines[-1].as_py() if len(batch) else "",
    )
    return batch, facts


def sorted_classes(facts: dict[str, ClassFacts]) -> list[str] | None:
    """Return the classes that have entries in the order of their lines.

    None if lines of two classes are interlaced, which no layout of ours does: the entries must then
    be sorted one by one.
    """
    listed = (label for label, of_class in facts.items() if of_class.listed)
    labels = sorted(listed, key=lambda label: facts[label].first)
    in_order = all(facts[one].last < facts[other].first for one, other in pairwise(labels))
    return labels if in_order else None


def in_sorted_order(entries: pa.Table) -> pa.Table:
    """Return entries of many classes by line; the order in which `sorted_classes` puts them."""
    return entries.take(pc.sort_indices(entries["text"]))


def in_shuffled_order(kind: ListKind, entries: pa.Table, *, seed: int) -> pa.Table:
    """Return the entries in the order of MMAction2's ``--shuffle --seed <seed>``.

    Its tool shuffles a split's RGB list, then its flow list, with one generator, each beginning in
    the order of the annotation list. There both name the same clips; where some here have frames
    and no flow, the order of flow is one of our own.

    Args:
        kind: The list; flow comes after RGB out of the same generator.
        entries: In any order, with ``line``, the row's place in the annotation list.
        seed: Seed of Python's generator.
    """
    order = pc.sort_indices(entries["line"]).to_pylist()
    generator = random.Random(seed)  # noqa: S311 - an order to reproduce, not a secret
    if kind is ListKind.FLOW:
        generator.shuffle(list(range(len(order))))
    generator.shuffle(order)
    return entries.take(pa.array(order, pa.int64()))


def as_text(entries: Iterable[pa.RecordBatch]) -> list[memoryview]:
    """Return the ``.txt`` form of a list in pieces."""
    return [_bytes_of(batch.column("text")) for batch in entries]


def as_json(entries: Iterable[pa.RecordBatch]) -> list[memoryview]:
    """Return the ``.json`` form of a list, which the readers of MMAction2 0.x take, in pieces."""
    records = [piece for batch in entries if len(piece := _bytes_of(batch.column("json")))]
    if records:
        records[-1] = records[-1][: -len(", ")]
    return [memoryview(b"["), *records, memoryview(b"]\n")]


def _entries(
    kind: ListKind, listed: Sequence[tuple[str, int, int]], *, index: int | None
) -> pa.RecordBatch:
    """Return the batch of `ENTRIES` of (path, count, rank)."""
    form = FORMATS[kind]
    if form.suffix:
        listed = [(path.removesuffix(form.suffix), count, rank) for path, count, rank in listed]
    end = "\n" if index is None else f" {index}\n"
    label = f', "label": [{"" if index is None else index}]}}, '
    if form.has_count:
        lines = [f"{path} {count}{end}" for path, count, _ in listed]
        records = [
            f'{{"{form.key}": {_quoted(path)}, "total_frames": {count}{label}'
            for path, count, _ in listed
        ]
    else:
        lines = [f"{path}{end}" for path, _, _ in listed]
        records = [f'{{"{form.key}": {_quoted(path)}{label}' for path, _, _ in listed]
    ranks = array("i", [rank for _, _, rank in listed])
    rank = pa.Int32Array.from_buffers(pa.int32(), len(ranks), [None, pa.py_buffer(ranks)])
    return pa.RecordBatch.from_arrays([rank, _strings(lines), _strings(records)], schema=ENTRIES)


def _strings(texts: Sequence[str]) -> pa.StringArray:
    """Return texts as an Arrow array."""
    whole = "".join(texts)
    sizes = map(len, texts if whole.isascii() else [text.encode() for text in texts])
    ends = pa.py_buffer(array("i", [0, *accumulate(sizes)]))
    return pa.StringArray.from_buffers(len(texts), ends, pa.py_buffer(whole.encode()))


def _values(rows: pa.Table, *names: str) -> list[list[Any]]:
    """Return the values of some columns."""
    return [rows[name].to_pylist() for name in names]


def _last_two_parts(path: str) -> str:
    """Return folder and name of a path."""
    return "/".join(path.rsplit("/", 2)[-2:])


def _bytes_of(texts: pa.Array[Any]) -> memoryview:
    """Return the bytes of all texts, one after the other, where they lie."""
    _, ends, data = texts.buffers()
    if not len(texts) or data is None or ends is None:
        return memoryview(b"")
    offsets = memoryview(ends).cast("i")
    return memoryview(data)[offsets[texts.offset] : offsets[texts.offset + len(texts)]]

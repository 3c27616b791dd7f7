"""Annotation lists: bytes of a CSV -> rows and rejected lines, none lost.

Published lists come in several dialects; columns are found by the names in the header. A list is
read line by line, since no field of it may hold a line break: a quote that is never closed then
costs its own line only, where a CSV reader would swallow everything after it.
"""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from kinetics_assets.core.classes import class_indices, parse_class
from kinetics_assets.core.clips import Clip, ClipId, Split, parse_clip_id, parse_split
from kinetics_assets.core.errors import AnnotationError, UnknownClass, UnknownSplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HEADER_REMEDY = (
    "The first line must be a header such as label,youtube_id,time_start,time_end,split."
)
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BLANK = " \t"
_BOM = b"\xef\xbb\xbf"
_FOREIGN_STARTS = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip file",
    b"<": "a web page",
    b"{": "JSON",
}
_COLUMNS = {
    "label": "label",
    "label_name": "label",
    "youtube_id": "youtube_id",
    "video_id": "youtube_id",
    "time_start": "time_start",
    "start_time": "time_start",
    "time_end": "time_end",
    "end_time": "time_end",
    "split": "split",
    "subset": "split",
    "is_cc": "is_cc",
}
"""Header spellings seen in published lists, hyphens as underscores -> the column's one name."""
_REQUIRED = ("youtube_id", "time_start", "time_end")
_NO_LABEL = frozenset({"", "nan", "NaN", "null"})
_LONGEST_LABEL = 200
_MOST_HINTS = 100
"""Unknown class names that get a 'did you mean'; the search for it is slow."""


class Dialect(StrEnum):
    """Who writes lists like this one."""

    OFFICIAL = "official"
    """``label,youtube_id,time_start,time_end,split``."""
    CRAWLER = "crawler"
    """As official, quoted labels and a licence column ``is_cc``."""
    UNLABELLED = "unlabelled"
    """``youtube_id,time_start,time_end,split``: a test list without labels."""
    OLD = "old"
    """``video-id,start-time,end-time,label-name``."""


@dataclass(frozen=True, slots=True)
class AnnotationRow:
    """One accepted line of a list."""

    clip: Clip
    is_cc: bool | None
    """Whether the video is under a Creative Commons licence; None if the list does not say."""
    line: int
    """1-based line in the file."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """One line of a list that is no annotation."""

    line: int
    """1-based line in the file."""
    reason: str
    raw_sha256: str
    """Of the line's bytes without its line end."""


@dataclass(frozen=True, slots=True)
class ParsedList:
    """Everything in one list; every line that is not blank is in `rows` or in `rejected`."""

    rows: tuple[AnnotationRow, ...]
    rejected: tuple[Rejected, ...]
    dialect: Dialect

    @property
    def records(self) -> int:
        """Lines after the header that are not blank."""
        return len(self.rows) + len(self.rejected)


def edition_sha256(data: bytes) -> str:
    """Return the name of the edition that `data` is: its sha256."""
    return hashlib.sha256(data).hexdigest()


def parse_list(data: bytes, *, dataset: str, split: Split, name: str) -> ParsedList:
    """Return the rows and the rejected lines of a list.

    Args:
        data: The file, as published.
        dataset: Whose classes the labels must be.
        split: Which part of the dataset this list is; a row that says otherwise is rejected.
        name: File name or address, for messages.

    Raises:
        AnnotationError: The list has no header that can be understood; names file and line.
    """
    lines = _lines(data)
    header = _read_header(lines, name=name)
    if "label" not in header.columns and split is not Split.TEST:
        raise AnnotationError(
            name,
            f"a {split} list needs a label column, and the header has none.",
            line=header.line,
            remedy=HEADER_REMEDY,
        )
    reader = _RowReader(dataset, split, header)
    rows: list[AnnotationRow] = []
    rejected: list[Rejected] = []
    for number, raw in lines:
        try:
            rows.append(reader.read(raw, line=number))
        except ValueError as error:
            rejected.append(Rejected(number, str(error), hashlib.sha256(raw).hexdigest()))
    return ParsedList(tuple(rows), tuple(rejected), header.dialect)


def split_list(data: bytes, *, name: str) -> dict[Split, bytes]:
    """Return one list per split that the split column of `data` names, lines untouched.

    Each begins with the header of `data`. A line whose split cannot be told goes into the first of
    them, to be rejected there; so each line is in exactly one list. A list of a single split comes
    back as it is, byte for byte. Empty if no line names a split.

    Raises:
        AnnotationError: There is no header that can be understood, or no split column.
    """
    lines = _lines(data)
    header = _read_header(lines, name=name)
    if "split" not in header.columns:
        raise AnnotationError(
            name,
            "neither the file's name nor a split column says which split this is.",
            line=header.line,
            remedy="Name the file train.csv, val.csv or test.csv, or add a split column.",
        )
    parts: dict[Split, list[bytes]] = {}
    strays: list[bytes] = []
    for _, raw in lines:
        try:
            split = parse_split(_fields(raw, header)[header.columns["split"]])
        except (ValueError, UnknownSplit):
            strays.append(raw)
        else:
            parts.setdefault(split, []).append(raw)
    if len(parts) == 1:
        return dict.fromkeys(parts, data)
    for split in Split:
        if split in parts:
            parts[split].extend(strays)
            break
    return {
        split: b"\n".join([header.raw, *parts[split], b""]) for split in Split if split in parts
    }


def read_clip_ids(data: bytes, *, name: str, remedy: str) -> list[ClipId]:
    """Return the clips that the lines of a list name, whatever else is on them.

    Args:
        data: The file, with a header.
        name: File name or address, for messages.
        remedy: What to say beside what is wrong with a line.

    Raises:
        AnnotationError: No header that can be understood, or a line that names no clip.
    """
    lines = _lines(data)
    header = _read_header(lines, name=name)
    places = [header.columns[column] for column in _REQUIRED]
    clips: list[ClipId] = []
    for number, raw in lines:
        try:
            fields = _fields(raw, header)
            clips.append(parse_clip_id(*(fields[place] for place in places)))
        except ValueError as error:
            raise AnnotationError(name, f"{error}.", line=number, remedy=remedy) from error
    return clips


def class_row_hashes(rows: Iterable[Clip]) -> dict[str, str]:
    """Return label -> sha256 of the sorted ``<clip name>`` lines of that label's clips.

    The hash is the data version of a class's rows: it changes when and only when they do.
    """
    names: dict[str, list[str]] = {}
    for clip in rows:
        names.setdefault(clip.label, []).append(clip.id.name)
    return {label: hash_of_names(names[label]) for label in sorted(names)}


def hash_of_names(names: Iterable[str]) -> str:
    """Return the sha256 of clip `names`, one a line, sorted; that of nothing for no names."""
    return hashlib.sha256("".join(f"{name}\n" for name in sorted(names)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Header:
    columns: dict[str, int]
    """Column name -> index of its field."""
    width: int
    """Fields of a row."""
    line: int
    raw: bytes
    dialect: Dialect


@dataclass(slots=True)
class _RowReader:
    """Reads one line after the other and remembers what it has seen."""

    dataset: str
    split: Split
    header: _Header
    first_lines: dict[Clip, int] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    """Unknown label -> message."""

    def read(self, raw: bytes, *, line: int) -> AnnotationRow:
        """Return the row in `raw`.

        Raises:
            ValueError: it is none; the message says why.
        """
        columns = self.header.columns
        fields = _fields(raw, self.header)
        self._check_split(fields)
        clip_id = parse_clip_id(*(fields[columns[name]] for name in _REQUIRED))
        clip = Clip(clip_id, self._label(fields))
        first = self.first_lines.setdefault(clip, line)
        if first != line:
            msg = f"the same clip with the same label is on line {first}"
            raise ValueError(msg)
        is_cc = _parse_is_cc(fields[columns["is_cc"]]) if "is_cc" in columns else None
        return AnnotationRow(clip, is_cc, line)

    def _check_split(self, fields: list[str]) -> None:
        """Raise ValueError if the row says that it is of another split."""
        index = self.header.columns.get("split")
        if index is None or not fields[index]:
            return
        try:
            split = parse_split(fields[index])
        except UnknownSplit:
            msg = f"{fields[index][:40]!r} is no split"
            raise ValueError(msg) from None
        if split is not self.split:
            msg = f"a row of {split} in the {self.split} list"
            raise ValueError(msg)

    def _label(self, fields: list[str]) -> str:
        """Return the class of the row, empty if a test row has none."""
        index = self.header.columns.get("label")
        # MMAction2 drops every double quote of a label, as residue of its quoting.
        label = "" if index is None else fields[index].replace('"', "").strip(_BLANK)
        if label in class_indices(self.dataset):
            return label
        if label in _NO_LABEL:
            if self.split is Split.TEST:
                return ""
            msg = "the label is empty"
            raise ValueError(msg)
        raise ValueError(self._unknown_class(label[:_LONGEST_LABEL]))

    def _unknown_class(self, label: str) -> str:
        """Return what to say of an unknown class name."""
        if label not in self.unknown:
            if len(self.unknown) >= _MOST_HINTS:
                return f"{self.dataset} has no class {label!r}."
            try:
                parse_class(self.dataset, label)
            except UnknownClass as error:
                self.unknown[label] = str(error)
        return self.unknown[label]


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (1-based number, bytes without line end) of each line of `data` that is not blank."""
    for number, raw in enumerate(_LINE_END.split(data.removeprefix(_BOM)), start=1):
        if raw.strip():
            yield number, raw


def _read_header(lines: Iterator[tuple[int, bytes]], *, name: str) -> _Header:
    """Return the header, which is the first line that `lines` yields.

    Raises:
        AnnotationError: There is none.
    """
    number, raw = next(lines, (1, b""))
    if not raw:
        raise AnnotationError(name, "the file is empty.", remedy=HEADER_REMEDY)
    for start, what in _FOREIGN_STARTS.items():
        if raw.startswith(start):
            raise AnnotationError(
                name, f"this is {what}, not CSV.", line=number, remedy=HEADER_REMEDY
            )
    try:
        names = [text.strip().lower().replace("-", "_") for text in _split_fields(raw)]
    except ValueError:
        names = []
    columns: dict[str, int] = {}
    for index, spelling in enumerate(names):
        column = _COLUMNS.get(spelling)
        if column in columns:
            raise AnnotationError(
                name, f"the header has two columns for {column}.", line=number, remedy=HEADER_REMEDY
            )
        if column:
            columns[column] = index
    missing = [column for column in _REQUIRED if column not in columns]
    if missing:
        shown = raw[:80].decode("utf-8", "replace")
        raise AnnotationError(
            name,
            f"no header: {shown!r} lacks {', '.join(missing)}.",
            line=number,
            remedy=HEADER_REMEDY,
        )
    return _Header(columns, len(names), number, raw, _dialect(names, columns))


def _dialect(names: list[str], columns: dict[str, int]) -> Dialect:
    """Return the dialect of a header."""
    if "label" not in columns:
        return Dialect.UNLABELLED
    if "video_id" in names or "label_name" in names:
        return Dialect.OLD
    return Dialect.CRAWLER if "is_cc" in columns else Dialect.OFFICIAL


def _fields(raw: bytes, header: _Header) -> list[str]:
    """Return the fields of a row, blanks around them taken off.

    Raises:
        ValueError: The line is no row of as many fields as the header has.
    """
    fields = [text.strip(_BLANK) for text in _split_fields(raw)]
    if len(fields) != header.width:
        msg = f"{len(fields)} fields where the header has {header.width}"
        raise ValueError(msg)
    return fields


def _split_fields(raw: bytes) -> list[str]:
    """Return the fields of one line.

    Raises:
        ValueError: Bad quoting, a NUL byte, or a field of absurd length.
    """
    if b"\0" in raw:
        msg = "the line has a NUL byte"
        raise ValueError(msg)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as error:
        msg = f"bad quoting ({error})"
        raise ValueError(msg) from None


def _parse_is_cc(text: str) -> bool | None:
    """Return what an ``is_cc`` field says, None if it says nothing clear."""
    return {"1": True, "0": False}.get(text)

"""Lists without a header, or with tabs, as CSV with a header.

Some published lists are plain lines: the fields of a row in some order, or the name of a clip's
file, in a folder of its class or with the class behind it. Which field is which is told by what is
in them.
"""

from __future__ import annotations

import re

from kinetics_assets.core.classes import class_indices, class_names, folder_name
from kinetics_assets.core.clips import SPLIT_SPELLINGS, parse_clip_name

_FIELDS = ("label", "youtube_id", "time_start", "time_end")
_IDS = frozenset({"youtube_id", "video_id"})
"""Names of the column of ids, hyphens as underscores."""
_ID = re.compile(r"[A-Za-z0-9_-]{11}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]+)?", re.ASCII)
_FILE = re.compile(
    r"(?P<name>[A-Za-z0-9_-]{11}_[0-9]{6}_[0-9]{6})(\.[a-z0-9]{2,4})?(?P<rest>.*)", re.ASCII
)
_SPAN = r"(?P<id>[A-Za-z0-9_-]{11}) +(?P<start>[0-9]{1,6}) +(?P<end>[0-9]{1,6})"
_BLANKS = (
    re.compile(rf"(?P<label>\S.*?) +{_SPAN}( .*)?", re.ASCII),
    re.compile(rf"{_SPAN} +(?P<label>\S.*)", re.ASCII),
)
"""Fields with blanks between them, which labels have as well."""
_LOOKED_AT = 20
"""Lines by which the form of a list is told."""
_LOOKED_AT_BYTES = 65_536


def with_header(data: bytes, *, dataset: str) -> bytes | None:
    """Return the list in `data` as CSV with a header; None if it has one, or no form known here.

    Each line becomes one line. One that is not of the list's form is kept as it is, so that it is
    rejected, and seen, when the list is read.

    Args:
        data: The file, as published.
        dataset: Whose classes the labels are.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    first = _lines(data[:_LOOKED_AT_BYTES])[:_LOOKED_AT]
    if not first:
        return None
    separator = "\t" if "\t" in first[0] else ","
    if separator == "\t" and _IDS & set(first[0].replace("-", "_").lower().split("\t")):
        return data.replace(b"\t", b",")
    columns = _columns(first[0].split(separator), dataset=dataset)
    if columns is not None:
        return _from_fields(_lines(data), columns=columns, separator=separator)
    labels = {folder_name(name): name for name in class_names(dataset)}
    if any(_row(line, labels) for line in first):
        return _from_names(_lines(data), labels=labels)
    return None


def _lines(data: bytes) -> list[str]:
    """Return the lines of `data` that are not blank."""
    return [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]


def _from_fields(lines: list[str], *, columns: list[str], separator: str) -> bytes:
    """Return lines of fields with tabs or commas between them as CSV."""
    header = ",".join(columns)
    body = [line.replace(separator, ",") for line in lines]
    return "\n".join([header, *body, ""]).encode()


def _columns(fields: list[str], *, dataset: str) -> list[str] | None:
    """Return the name of each field of a row, None if an id or a time is not among them."""
    names: list[str] = []
    for position, field in enumerate(fields):
        value = field.strip(' "')
        if value in class_indices(dataset) and "label" not in names:
            names.append("label")
        elif value in SPLIT_SPELLINGS and "split" not in names:
            names.append("split")
        elif _SECONDS.fullmatch(value) and "time_end" not in names:
            names.append("time_end" if "time_start" in names else "time_start")
        elif _ID.fullmatch(value) and "youtube_id" not in names:
            names.append("youtube_id")
        else:
            names.append(f"field_{position}")
    return names if set(_FIELDS[1:]) <= set(names) else None


def _from_names(lines: list[str], *, labels: dict[str, str]) -> bytes:
    """Return lines that name files of clips as CSV.

    Args:
        lines: Of the list.
        labels: Name of a folder -> class.
    """
    rows = [_row(line, labels) or line for line in lines]
    return "\n".join([",".join(_FIELDS), *rows, ""]).encode()


def _row(line: str, labels: dict[str, str]) -> str | None:
    """Return the CSV row of a line, None if it is none of these.

    ``[.../]<class>/<clip>[.mp4] [anything]``, ``<clip>[.mp4] <class>``, and ``<class> <id> <start>
    <end> [anything]`` or ``<id> <start> <end> <class>``.

    Args:
        line: Of the list.
        labels: Name of a folder -> class.
    """
    for form in _BLANKS:
        found = form.fullmatch(line.strip())
        label = labels.get(folder_name(found["label"])) if found else None
        if found and label is not None:
            return f"{label},{found['id']},{found['start']},{found['end']}"
    *folders, last = line.strip().split("/")
    match = _FILE.match(last)
    clip = parse_clip_name(match["name"]) if match else None
    if match is None or clip is None:
        return None
    label = labels.get(folder_name(folders[-1])) if folders else None
    if label is None:
        label = labels.get(folder_name(match["rest"].strip(' ,\t"')))
    if label is None:
        return None
    return f"{label},{clip.youtube_id},{clip.start_seconds},{clip.end_seconds}"

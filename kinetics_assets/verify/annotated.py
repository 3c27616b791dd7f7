"""What the current lists ask for, read without the code that stored them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from kinetics_assets.core.annotations import ParsedList, parse_list
from kinetics_assets.core.clips import Clip, Split
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.parquet import read_table
from kinetics_assets.verify.findings import Problem, Report

if TYPE_CHECKING:
    from kinetics_assets.core.layout import Layout


@dataclass(frozen=True, slots=True)
class Annotated:
    """The current list of one split."""

    split: Split
    sha256: str
    """Of the list's bytes: the edition that manifest rows must name."""
    clips: dict[str, tuple[Clip, ...]]
    """Label -> its annotation rows."""
    ordered: tuple[Clip, ...]
    """All annotation rows in the order of the list."""
    rejected: int
    """Lines that are no annotation."""


def read_annotated(layout: Layout, split: Split, report: Report) -> Annotated | None:
    """Return what the list of `split` asks for, None when there is no usable list.

    The lines are counted a second time, by another method than the reader's: each must be a row
    or a rejected line.
    """
    path = layout.annotation_list(split)
    where = layout.relative(path)
    if not path.is_file():
        return None
    data = path.read_bytes()
    try:
        parsed = parse_list(data, dataset=layout.dataset, split=split, name=where)
    except AnnotationError as error:
        report.find(Problem.ANNOTATION_LIST, where, error.message)
        return None
    lines = sum(bool(line.strip()) for line in data.replace(b"\r", b"\n").split(b"\n")) - 1
    if lines != parsed.records:
        report.find(
            Problem.ANNOTATION_LIST,
            where,
            f"{lines} lines, but {len(parsed.rows)} rows and {len(parsed.rejected)} rejected lines",
        )
    sha256 = hashlib.sha256(data).hexdigest()
    _check_edition(layout, split, sha256, parsed, report)
    clips: dict[str, list[Clip]] = {}
    for row in parsed.rows:
        clips.setdefault(row.clip.label, []).append(row.clip)
    return Annotated(
        split=split,
        sha256=sha256,
        clips={label: tuple(rows) for label, rows in clips.items()},
        ordered=tuple(row.clip for row in parsed.rows),
        rejected=len(parsed.rejected),
    )


def _check_edition(
    layout: Layout, split: Split, sha256: str, parsed: ParsedList, report: Report
) -> None:
    """Report where the kept edition says something else than the list itself."""
    try:
        record = json.loads(layout.current_edition.read_bytes())[split]
        counts = {"sha256": sha256, "rows": len(parsed.rows), "rejected": len(parsed.rejected)}
        wrong = [name for name, value in counts.items() if record.get(name) != value]
    except (OSError, ValueError, LookupError, AttributeError) as error:
        where = layout.relative(layout.current_edition)
        report.find(Problem.ANNOTATION_LIST, where, f"{split} cannot be read: {error!r}")
        return
    if wrong:
        where = layout.relative(layout.annotation_list(split))
        text = f"is not the current edition: {', '.join(wrong)} differ"
        report.find(Problem.ANNOTATION_LIST, where, text)
    path = layout.edition_rejected(sha256)
    try:
        kept = read_table(path).to_pylist()
    except (pa.ArrowException, OSError) as error:
        report.find(Problem.ANNOTATION_LIST, layout.relative(path), f"cannot be read: {error}")
        return
    wanted = [(line.line, line.raw_sha256) for line in parsed.rejected]
    if [(line.get("line"), line.get("raw_sha256")) for line in kept] != wanted:
        text = f"{len(kept)} rejected lines, the list has others ({len(wanted)})"
        report.find(Problem.ANNOTATION_LIST, layout.relative(path), text)

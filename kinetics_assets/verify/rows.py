"""Manifests against lists: every annotation row once, every row plausible."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from kinetics_assets.core.classes import class_names, folder_name
from kinetics_assets.core.clips import Clip, ClipId, Split
from kinetics_assets.core.manifest import (
    BAD_BYTES,
    LATER_COLUMNS,
    SCHEMA,
    ManifestRow,
    Status,
    from_record,
)
from kinetics_assets.core.parquet import read_table
from kinetics_assets.core.reasons import Kind, Reason
from kinetics_assets.core.stages import ALL_CLASS_STAGES, OPTIONAL_STAGES, Stage, input_of
from kinetics_assets.verify.findings import Problem, Report

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kinetics_assets.core.layout import Layout
    from kinetics_assets.verify.annotated import Annotated

Rows = dict[tuple[Stage, str], dict[ClipId, ManifestRow]]
"""(stage, label) -> clip -> row, of one split."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_rows(
    layout: Layout,
    annotated: Annotated,
    report: Report,
    *,
    labels: set[str] | None,
    frames_from: Stage,
) -> Rows:
    """Return the valid rows of all manifests of a split, reporting all that is wrong with them.

    Args:
        layout: Paths of the dataset.
        annotated: The split's list.
        report: Gets the findings.
        labels: Classes to look at; None means all.
        frames_from: Stage whose videos frames and flow are made from.
    """
    split = annotated.split
    expected = dict.fromkeys(class_names(layout.dataset), ()) | annotated.clips
    rows: Rows = {}
    for stage in ALL_CLASS_STAGES:
        folder = layout.manifests(split, stage)
        known = {layout.manifest(split, stage, label): label for label in expected}
        found = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
        for path in found:
            label = known.get(path)
            if label is None:
                report.find(Problem.MANIFEST, layout.relative(path), "no class has this name")
            elif labels is None or label in labels:
                clips = _read_manifest(layout, path, report)
                if clips is not None:
                    rows[stage, label] = _check_rows(
                        clips, stage, label, annotated=annotated, report=report
                    )
        missing = sum(
            bool(clips) and (stage, label) not in rows
            for label, clips in expected.items()
            if labels is None or label in labels
        )
        if missing and (stage not in OPTIONAL_STAGES or folder.is_dir()):
            report.note(f"{split} {stage}: {missing} of {len(annotated.clips)} classes not started")
    _check_neighbours(rows, split, report, frames_from=frames_from)
    return rows


def interrupted(layout: Layout, split: Split, label: str) -> list[Stage]:
    """Return the stages that left a journal for the class: running now, or killed."""
    return [stage for stage in ALL_CLASS_STAGES if layout.journal(split, stage, label).exists()]


def _read_manifest(layout: Layout, path: Path, report: Report) -> list[dict[str, Any]] | None:
    """Return the records of a manifest file, None when it is damaged."""
    where = layout.relative(path)
    try:
        table = read_table(path)
    except (pa.ArrowException, OSError) as error:
        report.find(Problem.MANIFEST, where, f"cannot be read: {error}")
        return None
    lacking = [n for n in SCHEMA.names if n not in {*table.column_names, *LATER_COLUMNS}]
    if lacking:
        report.find(Problem.MANIFEST, where, f"lacks the columns {', '.join(lacking)}")
        return None
    records: list[dict[str, Any]] = table.to_pylist()
    # Parquet has no checksum of its footer, so the writer leaves that of all values.
    text = json.dumps(records, default=str, sort_keys=True)
    written = (table.schema.metadata or {}).get(b"rows_sha256", b"").decode()
    if hashlib.sha256(text.encode()).hexdigest() != written:
        report.find(Problem.MANIFEST, where, "its rows are not those that were written")
    return records


def _check_rows(
    records: Iterable[dict[str, Any]],
    stage: Stage,
    label: str,
    *,
    annotated: Annotated,
    report: Report,
) -> dict[ClipId, ManifestRow]:
    """Return the rows that can be understood; report lacking, extra and impossible ones."""
    place = f"{annotated.split}/{stage}/{folder_name(label)}"
    wanted = {clip.id for clip in annotated.clips.get(label, ())}
    rows: dict[ClipId, ManifestRow] = {}
    for record in records:
        report.rows += 1
        name = f"{place}/{record['youtube_id']}_{record['start_seconds']}"
        try:
            row = from_record(record)
        except ValueError as error:
            report.find(Problem.ROW_INVALID, name, str(error))
            wanted.discard(
                ClipId(record["youtube_id"], record["start_seconds"], record["end_seconds"])
            )
            continue
        where = f"{place}/{row.clip.name}"
        if row.clip in rows:
            report.find(Problem.ROW_EXTRA, where, "two rows for one annotation")
        elif row.clip not in wanted:
            report.find(Problem.ROW_EXTRA, where, "no such row in the current list")
        for text in _contradictions(row, label, annotated):
            report.find(Problem.ROW_INVALID, where, text)
        rows[row.clip] = row
    for clip in sorted(wanted - rows.keys()):
        report.find(Problem.ROW_MISSING, f"{place}/{clip.name}", "only the list has it")
    return rows


def _contradictions(row: ManifestRow, label: str, annotated: Annotated) -> list[str]:
    """Return what is impossible about one row."""
    texts = []
    if row.annotation != Clip(row.clip, label):
        texts.append(f"labelled {row.label!r} in the manifest of {label!r}")
    if row.edition != annotated.sha256:
        texts.append(f"of edition {row.edition[:12]}, the list is {annotated.sha256[:12]}")
    if row.status is Status.OK:
        texts += _ok_contradictions(row)
    elif not _reason_fits(row.status, row.reason):
        texts.append(f"status {row.status} with reason {row.reason}")
    return texts


def _ok_contradictions(row: ManifestRow) -> list[str]:
    """Return what an ok row lacks."""
    lacking = [
        what
        for what, is_there in {
            "a path": bool(row.path),
            "a size": row.size_bytes is not None and row.size_bytes > 0,
            "a sha256": bool(_SHA256.fullmatch(row.sha256)),
            "frames": row.frames_decoded is not None and row.frames_decoded > 0,
            "a digest": bool(row.digest),
        }.items()
        if not is_there
    ]
    texts = [f"ok without {', '.join(lacking)}"] if lacking else []
    return texts + ([f"ok with reason {row.reason}"] if row.reason else [])


def _reason_fits(status: Status, reason: Reason | None) -> bool:
    """Return whether a row that is not ok may have this status and reason together."""
    if reason is None:
        return status is Status.PENDING  # never tried
    return {
        Status.PENDING: reason.kind in {Kind.RETRYABLE, Kind.CREDENTIALS},
        Status.UNAVAILABLE: reason.kind is Kind.PERMANENT,
        Status.CORRUPT: reason in BAD_BYTES,
        Status.SKIPPED: reason.kind is Kind.POLICY,
        Status.BLOCKED: reason is Reason.UPSTREAM,
    }.get(status, False)


def _check_neighbours(rows: Rows, split: Split, report: Report, *, frames_from: Stage) -> None:
    """Compare the rows of one clip in neighbouring stages."""
    for (stage, label), clips in rows.items():
        input_stage = input_of(stage, frames_from=frames_from)
        if input_stage is None:
            continue
        inputs = rows.get((input_stage, label), {})
        frames = rows.get((Stage.RAWFRAMES, label), {})
        place = f"{split}/{stage}/{folder_name(label)}"
        behind = 0
        for clip, row in clips.items():
            source, pictures = inputs.get(clip), frames.get(clip)
            has_input = source is not None and source.status is Status.OK
            is_own = _is_adopted(row) or row.status is Status.SKIPPED
            behind += has_input == (row.status is Status.BLOCKED) and not is_own
            if row.status is not Status.OK:
                continue
            text = ""
            if stage is Stage.FLOW:
                text = _difference(row, pictures, "flow pairs", fewer=1)
            else:
                text = _difference(row, source, "frames", fewer=0)
            if text:
                report.find(Problem.ROW_INVALID, f"{place}/{clip.name}", text)
        if behind:
            report.note(f"{split} {stage} of {label!r}: {behind} rows do not follow {input_stage}")


def _difference(row: ManifestRow, other: ManifestRow | None, what: str, *, fewer: int) -> str:
    """Return what is wrong with the count of `row` beside an ok `other`, empty if nothing."""
    if other is None or other.status is not Status.OK or other.frames_decoded is None:
        return ""
    if row.frames_decoded == other.frames_decoded - fewer:
        return ""
    return f"{row.frames_decoded} {what} for {other.frames_decoded} frames"


def _is_adopted(row: ManifestRow) -> bool:
    """Return whether the output was taken over, hence may be there without an input."""
    return row.engine == "unknown" or row.source == "adopted"

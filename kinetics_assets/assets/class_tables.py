"""What one class shows beyond counts: why clips are lacking, where the others came from, the rest.

Bytes and clips by source, the shares that known copies have, and how long the rest of the split
takes at this step's pace and at that of the last hour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from kinetics_assets.core.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.stages.report import StageReport

_LONGEST_TEXT = 300
_REASONS = [
    dg.TableColumn("reason", "string", description="code of the reason"),
    dg.TableColumn("kind", "string", description="permanent, retryable, credentials or policy"),
    dg.TableColumn("clips", "int"),
    dg.TableColumn("due_now", "int", description="those a run would try now"),
    dg.TableColumn("next_due", "string", description="UTC, of the others"),
    dg.TableColumn("what_can_be_done", "string"),
    dg.TableColumn("example", "string", description="the words of one of them"),
]
_SOURCES = [
    dg.TableColumn("source", "string"),
    dg.TableColumn("clips", "int"),
    dg.TableColumn("bytes", "int"),
]
_COPIES = [
    dg.TableColumn("copy", "string"),
    dg.TableColumn("split_clips", "int", description="clips of the whole split, as published"),
    dg.TableColumn(
        "average_share", "string", description="of its list, over all classes; not of this class"
    ),
    dg.TableColumn(
        "would_have", "string", description="of this class's rows, if all classes were alike"
    ),
    dg.TableColumn("here", "int", description="ok clips of this class"),
    dg.TableColumn("told_by", "string"),
]


def class_tables(report: StageReport, *, now: datetime) -> dict[str, dg.MetadataValue]:
    """Return the metadata of a finished step that explains its counts; no empty tables."""
    summary = report.summary
    values: dict[str, dg.MetadataValue] = {}
    if summary.rows:
        values["share_of_list"] = dg.MetadataValue.float(round(summary.ok / summary.rows, 4))
    tables = {
        "reasons": (_REASONS, _reasons(report.rows, now)),
        "sources": (_SOURCES, _sources(report.rows)),
        "known_copies": (_COPIES, _copies(report) if report.stage is Stage.VIDEOS else []),
    }
    for name, (columns, records) in tables.items():
        if records:
            schema = dg.TableSchema(columns=columns)
            values[name] = dg.MetadataValue.table(list(map(dg.TableRecord, records)), schema=schema)
    return values | _pace(report, now, rows_per_second=report.changed / report.elapsed_seconds)


def _reasons(rows: Sequence[ManifestRow], now: datetime) -> list[dict[str, str | int]]:
    """Return one record per reason."""
    from kinetics_assets.core.reason_lines import reason_lines

    return [
        {
            "reason": line.reason,
            "kind": line.kind,
            "clips": line.rows,
            "due_now": line.due_now,
            "next_due": f"{line.next_due:%Y-%m-%d %H:%M}" if line.next_due else "",
            "what_can_be_done": line.advice,
            "example": line.example[:_LONGEST_TEXT],
        }
        for line in reason_lines(rows, now=now)
    ]


def _sources(rows: Sequence[ManifestRow]) -> list[dict[str, str | int]]:
    """Return one record per source."""
    from kinetics_assets.stages.status_reasons import by_source

    return [{"source": name, **counts} for name, counts in by_source(rows).items()]


def _copies(report: StageReport) -> list[dict[str, str | int]]:
    """Return one record per known copy of the split."""
    from kinetics_assets.core.known_copies import known_copies

    rows, ok = report.summary.rows, report.summary.ok
    return [
        {
            "copy": copy.name,
            "split_clips": copy.clips,
            "average_share": "" if copy.share is None else f"{copy.share:.1%}",
            "would_have": "" if copy.share is None else f"{copy.expected_of(rows)} of {rows}",
            "here": ok,
            "told_by": copy.source,
        }
        for copy in known_copies(report.order.settings.dataset, report.order.split)
    ]


def _pace(
    report: StageReport, now: datetime, *, rows_per_second: float
) -> dict[str, dg.MetadataValue]:
    """Return what is left of the split and how long it takes, as far as there is a pace."""
    from kinetics_assets.stages.pace import read_pace

    order = report.order
    pace = read_pace(order.layout, order.split, report.stage, now=now)
    values: dict[str, dg.MetadataValue] = {
        "split_clips_untried": dg.MetadataValue.int(pace.untried),
        "split_clips_last_hour": dg.MetadataValue.int(pace.clips_last_hour),
    }
    hours = {
        "split_hours_left_at_this_pace": pace.hours_left_at(rows_per_second),
        "split_hours_left_at_last_hours_pace": pace.hours_left,
    }
    values |= {
        name: dg.MetadataValue.float(round(value, 3))
        for name, value in hours.items()
        if value is not None
    }
    return values

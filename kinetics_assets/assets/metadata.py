"""What a finished step shows in the Dagster UI."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from kinetics_assets.assets.class_tables import class_tables
from kinetics_assets.assets.flow_origin import flow_origin
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.leases import held_lease

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.stages.annotations import AnnotationsReport
    from kinetics_assets.stages.filelists import ListsReport
    from kinetics_assets.stages.report import StageReport

MAX_TABLE_ROWS = 200
"""Longest table of clips; a class with more losses shows its first ones."""
EDITION_DIGITS = 12
MANIFESTS_DIGEST = "manifests_digest"
"""Metadata of the file lists: state of the manifests they were written from."""

_FAILED_CLIPS = dg.TableSchema(
    columns=[
        dg.TableColumn("clip", "string", description="YouTube id, start and end in seconds"),
        dg.TableColumn("status", "string"),
        dg.TableColumn("reason", "string", description="code of the reason"),
        dg.TableColumn("cause", "string", description="in the words of the tool that met it"),
        dg.TableColumn("attempts", "int"),
        dg.TableColumn("next_try", "string", description="UTC; empty when no rerun will help"),
    ]
)
_Metadata = dict[str, dg.MetadataValue]


def stage_metadata(report: StageReport) -> _Metadata:
    """Return counts, sizes, losses and places of one class in one stage."""
    order, summary = report.order, report.summary
    folder = order.layout.class_folder(order.split, report.stage, order.label)
    values: _Metadata = {
        "completeness": dg.MetadataValue.float(round(summary.completeness, 4)),
        "rows": dg.MetadataValue.int(summary.rows),
        **{str(s): dg.MetadataValue.int(n) for s, n in sorted(summary.counts.items())},
        "permanent_losses": dg.MetadataValue.int(summary.permanent),
        "changed": dg.MetadataValue.int(report.changed),
        "retired": dg.MetadataValue.int(report.retired),
        "returned": dg.MetadataValue.int(report.returned),
        "relabelled": dg.MetadataValue.int(report.relabelled),
        "size_bytes": dg.MetadataValue.int(summary.size_bytes),
        "frames": dg.MetadataValue.int(summary.frames),
        "elapsed_seconds": dg.MetadataValue.float(round(report.elapsed_seconds, 3)),
        "folder": dg.MetadataValue.path(folder),
        "manifest": dg.MetadataValue.path(
            order.layout.manifest(order.split, report.stage, order.label)
        ),
        "edition": dg.MetadataValue.text(report.edition[:EDITION_DIGITS]),
    }
    lease = held_lease()
    if lease is not None:
        values["gpu"] = dg.MetadataValue.text(lease.device)
    if report.stage is Stage.FLOW:
        values |= flow_origin(report)
    if report.failures:
        values["failures"] = _failures_table(report.failures)
    values |= class_tables(report, now=datetime.now(UTC))
    if report.degraded:
        values["degraded_sandbox"] = dg.MetadataValue.text("; ".join(report.degraded))
    return values


def incomplete(report: StageReport) -> dg.Failure:
    """Return the failure of a class that has too few clips, with all that a success would show."""
    order, summary = report.order, report.summary
    least = order.settings.thresholds.min_completeness
    wanted = summary.wanted
    reasons = ", ".join(f"{count} {reason}" for reason, count in _by_count(summary.reasons)[:4])
    return dg.Failure(
        description=(
            f"{order.label or 'The unlabelled class'} has {summary.ok} of {wanted} clips that can"
            f" be had ({summary.completeness:.0%}, at least {least:.0%} are wanted): {reasons}."
            " What was made is kept; run the class again to get the rest, or lower"
            " thresholds.min_completeness in kinetics.toml."
        ),
        metadata=stage_metadata(report),
        allow_retries=False,
    )


def annotations_metadata(report: AnnotationsReport, *, layout: Layout) -> _Metadata:
    """Return the edition, rows and origin of each split's list."""
    columns = ["split", "edition", "rows", "rejected", "classes", "source"]
    records = [
        dg.TableRecord(
            {
                "split": split.value,
                "edition": info.sha256[:EDITION_DIGITS],
                "rows": info.rows,
                "rejected": info.rejected,
                "classes": info.classes,
                "source": info.source_address,
            }
        )
        for split, info in report.editions.items()
    ]
    numbers = {"rows", "rejected", "classes"}
    schema = dg.TableSchema(
        [dg.TableColumn(name, "int" if name in numbers else "string") for name in columns]
    )
    return {
        "rows": dg.MetadataValue.int(sum(info.rows for info in report.editions.values())),
        "rejected": dg.MetadataValue.int(sum(info.rejected for info in report.editions.values())),
        "changed_splits": dg.MetadataValue.text(", ".join(report.changed) or "none"),
        "lists": dg.MetadataValue.table(records, schema=schema),
        "folder": dg.MetadataValue.path(layout.annotations),
    }


def lists_metadata(report: ListsReport, *, manifests_digest: str) -> _Metadata:
    """Return lines, paths and what is left out of each list of a split."""
    return {
        "rows": dg.MetadataValue.int(report.rows),
        **{f"{kind}_lines": dg.MetadataValue.int(count) for kind, count in report.lines.items()},
        **{f"{kind}_list": dg.MetadataValue.path(path) for kind, path in report.paths.items()},
        "left_out": dg.MetadataValue.md(
            "\n\n".join(f"**{kind}**\n\n{_as_list(n)}" for kind, n in report.left_out.items() if n)
            or "nothing"
        ),
        **{f"{kind}_refused": dg.MetadataValue.text(why) for kind, why in report.refused.items()},
        MANIFESTS_DIGEST: dg.MetadataValue.text(manifests_digest),
    }


def _failures_table(rows: Sequence[ManifestRow]) -> dg.MetadataValue:
    """Return the table of clips that are not ok, cut to `MAX_TABLE_ROWS`."""
    records = [
        dg.TableRecord(
            {
                "clip": row.clip.name,
                "status": row.status.value,
                "reason": row.reason.value if row.reason else "",
                "cause": row.reason_text[:300],
                "attempts": row.attempts,
                "next_try": row.not_before.isoformat(timespec="seconds") if row.not_before else "",
            }
        )
        for row in rows[:MAX_TABLE_ROWS]
    ]
    return dg.MetadataValue.table(records, schema=_FAILED_CLIPS)


def _by_count(counts: Mapping[Any, int]) -> list[tuple[str, int]]:
    """Return names and counts, the largest first."""
    return sorted(((str(name), n) for name, n in counts.items()), key=lambda item: (-item[1], item))


def _as_list(counts: Mapping[Any, int]) -> str:
    """Return a Markdown list of counts."""
    return "\n".join(f"- {count} {name}" for name, count in _by_count(counts))

"""Who made the flow of a class: engines, profiles and tools, and what ``auto`` was resolved to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from kinetics_assets.stages.report import StageReport

_MAKERS = [
    dg.TableColumn("engine", "string", description="unknown: the flow was taken over"),
    dg.TableColumn("profile", "string", description="which algorithm it computes"),
    dg.TableColumn("clips", "int"),
    dg.TableColumn("pairs", "int"),
    dg.TableColumn("tools", "string", description="versions"),
]


def flow_origin(report: StageReport) -> dict[str, dg.MetadataValue]:
    """Return the metadata that says who made the flow of a class.

    ``engine`` and ``profile`` are those of its clips, ``flow_makers`` has one line for each group
    that was made alike; ``engine_now`` is what clips are made with now, and by whose choice. There
    is ``mixed_flow`` only where clips of several engines or profiles are side by side.
    """
    from kinetics_assets.core.manifest import Status

    values: dict[str, dg.MetadataValue] = {"engine_now": dg.MetadataValue.text(_engine_now(report))}
    clips: Counter[tuple[str, str, str]] = Counter()
    pairs: Counter[tuple[str, str, str]] = Counter()
    for row in report.rows:
        if row.status is Status.OK:
            made_by = (row.engine, row.profile, row.tools)
            clips[made_by] += 1
            pairs[made_by] += row.frames_decoded or 0
    if not clips:
        return values
    records = [
        dg.TableRecord(
            {
                "engine": made_by[0],
                "profile": made_by[1],
                "clips": count,
                "pairs": pairs[made_by],
                "tools": made_by[2],
            }
        )
        for made_by, count in clips.most_common()
    ]
    values["flow_makers"] = dg.MetadataValue.table(records, schema=dg.TableSchema(_MAKERS))
    makers: Counter[tuple[str, str]] = Counter()
    for (engine, profile, _), count in clips.items():
        makers[engine, profile] += count
    for name, which in (("engine", 0), ("profile", 1)):
        values[name] = dg.MetadataValue.text(
            ", ".join(sorted({made_by[which] for made_by in makers}))
        )
    if len(makers) > 1:
        counts = [
            f"{count} by {engine} ({profile})" for (engine, profile), count in makers.most_common()
        ]
        values["mixed_flow"] = dg.MetadataValue.text(", ".join(counts))
    return values


def _engine_now(report: StageReport) -> str:
    """Return the engine that clips are made with now, and whose choice it is."""
    from kinetics_assets.engines.registry import AUTO
    from kinetics_assets.stages.choices import settled_engine

    engine = settled_engine(report.order)
    if report.order.settings.flow.engine != AUTO:
        return f"{engine}, as set"
    if engine is None:
        return "auto, not resolved yet: no clip needed an engine"
    return f"{engine}: what auto was resolved to, once for this split"

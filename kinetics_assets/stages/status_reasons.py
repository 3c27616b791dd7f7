"""What a status says beyond counts: reasons and what can be done, pauses, pace, known copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kinetics_assets.core.errors import KineticsError
from kinetics_assets.core.known_copies import known_copies
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reason_lines import (
    ReasonLine,
    UnknownText,
    reason_lines,
    unknown_texts,
)
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.paused import PausedSource, paused_sources
from kinetics_assets.stages.status import DatasetStatus, StageTotal


@dataclass(frozen=True, slots=True)
class Explained:
    """A status with its why."""

    status: DatasetStatus
    by_reason: list[tuple[Stage, ReasonLine]]
    """By stage, all splits together, the most frequent reason of each first."""
    unknown_texts: list[UnknownText]
    paused: list[PausedSource]
    sources_problem: str
    """Why the sources cannot be set up, empty when they can."""
    now: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the status and its why as plain values."""
        return self.status.to_json() | {
            "by_reason": [{"stage": stage} | line.to_json() for stage, line in self.by_reason],
            "unknown_texts": [
                {"text": one.text, "clip": one.clip, "rows": one.rows} for one in self.unknown_texts
            ],
            "paused_sources": [one.to_json() for one in self.paused],
            "sources_problem": self.sources_problem,
            "pace": [
                {"split": total.split, "stage": total.stage} | total.pace(self.now).to_json()
                for total in self.status.totals
            ],
            "sources": [
                {"split": total.split, "stage": total.stage, "sources": by_source(_rows(total))}
                for total in self.status.totals
            ],
            "known_copies": [
                {
                    "split": split,
                    "copy": copy.name,
                    "clips": copy.clips,
                    "share_of_its_list": copy.share and round(copy.share, 4),
                    "told_by": copy.source,
                }
                for split in self.status.editions
                for copy in known_copies(self.status.settings.dataset, split)
            ],
        }


def explain(status: DatasetStatus, *, now: datetime) -> Explained:
    """Return the status with what stands behind it at time `now`."""
    paused: list[PausedSource] = []
    problem = ""
    try:
        paused = paused_sources(status.settings, {total.split for total in status.totals})
    except KineticsError as error:  # a folder that is not mounted is no reason to say nothing
        problem = " ".join(str(error).split())
    return Explained(
        status,
        by_reason=_by_reason(status, now),
        unknown_texts=unknown_texts(row for total in status.totals for row in _rows(total)),
        paused=paused,
        sources_problem=problem,
        now=now,
    )


def by_source(rows: Sequence[ManifestRow]) -> dict[str, dict[str, int]]:
    """Return source -> clips and bytes of the ok rows it gave, the largest first."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        if row.status is Status.OK:
            name = str(row.source) or "unknown"  # a fresh row may have the stage itself
            counts = found.setdefault(name, {"clips": 0, "bytes": 0})
            counts["clips"] += 1
            counts["bytes"] += row.size_bytes or 0
    return dict(sorted(found.items(), key=lambda item: -item[1]["bytes"]))


def _by_reason(status: DatasetStatus, now: datetime) -> list[tuple[Stage, ReasonLine]]:
    """Return the reasons of each stage, splits added up."""
    lines = []
    for stage in dict.fromkeys(total.stage for total in status.totals):
        totals = [total for total in status.totals if total.stage is stage]
        rows = [row for total in totals for row in _rows(total)]
        if status.reasons:
            rows = [row for row in rows if row.reason in status.reasons]
        untried = sum(one.missing for total in totals for one in total.classes)
        untried = 0 if status.reasons else untried
        lines += [(stage, line) for line in reason_lines(rows, now=now, untried=untried)]
    return lines


def _rows(total: StageTotal) -> list[ManifestRow]:
    """Return all rows of one split and stage."""
    return [row for one in total.classes for row in one.rows]

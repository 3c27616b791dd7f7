"""Rows that are not ok, counted by reason: of which kind it is, and what can be done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Kind, Reason

NOT_RUN = "not run"
"""In place of a reason: no step has looked at the row."""
_ADVICE = {
    Kind.PERMANENT: "nothing: gone or unusable at every source that was asked",
    Kind.RETRYABLE: "`kinetics backfill` once it is due, or another source",
    Kind.CREDENTIALS: "a login (sources.youtube_cookies), then `kinetics backfill`",
    Kind.POLICY: "a rule of yours; see the setting that made it",
}
_ADVICE_OF = {
    Reason.UPSTREAM: "mend the stage it reads",
    Reason.NOT_AT_SOURCE: "add a source that has it (sources.order, local folders)",
    Reason.GEO_BLOCKED: "a proxy elsewhere (sources.youtube_proxy), or another source",
    Reason.TAKEN_DOWN: "nothing: it was taken down here",
    Reason.NO_AUDIO: "nothing: the clip has no sound",
    Reason.FILTERED: "drop the filter (sources.cc_only)",
    Reason.DOWNLOAD_FAILED: "`kinetics backfill` once it is due; its words are not known yet",
}


@dataclass(frozen=True, slots=True)
class ReasonLine:
    """The rows of one reason."""

    reason: str
    kind: str
    rows: int
    due_now: int
    """Those that a run would try now."""
    next_due: datetime | None
    """When the next of the others is due (UTC), None if none ever is by itself."""
    advice: str
    example: str
    """The words of one of them."""

    def to_json(self) -> dict[str, Any]:
        """Return the line as plain values."""
        return {
            "reason": self.reason,
            "kind": self.kind,
            "rows": self.rows,
            "due_now": self.due_now,
            "next_due": self.next_due.isoformat() if self.next_due else None,
            "advice": self.advice,
            "example": self.example,
        }


@dataclass(frozen=True, slots=True)
class UnknownText:
    """Words of a failure that no rule has a reason for."""

    text: str
    """Verbatim, of the first clip that met it."""
    clip: str
    rows: int
    """Clips that met it; words that differ in the clip's own id count as the same."""


def reason_lines(
    rows: Iterable[ManifestRow], *, now: datetime, untried: int = 0
) -> list[ReasonLine]:
    """Return the rows that are not ok by reason, the most frequent first.

    Args:
        rows: Rows of manifests.
        now: Rows are due by this time.
        untried: Annotation rows without a manifest row.
    """
    by_reason: dict[Reason, list[ManifestRow]] = {}
    for row in rows:
        if row.reason is not None and row.status is not Status.OK:
            by_reason.setdefault(row.reason, []).append(row)
        elif row.is_untried:
            untried += 1
    lines = [_line(reason, group, now=now) for reason, group in by_reason.items()]
    if untried:
        lines.append(ReasonLine(NOT_RUN, "", untried, untried, None, "`kinetics backfill`", ""))
    return sorted(lines, key=lambda line: (-line.rows, line.reason))


def unknown_texts(rows: Iterable[ManifestRow]) -> list[UnknownText]:
    """Return the words behind `download_failed`, the most frequent first.

    They are what a new rule of the taxonomy would be made from.
    """
    counts: Counter[str] = Counter()
    first: dict[str, tuple[str, str]] = {}
    for row in rows:
        if row.reason is not Reason.DOWNLOAD_FAILED:
            continue
        told = [trial.text for trial in row.tried if trial.reason is Reason.DOWNLOAD_FAILED]
        for text in told or [row.reason_text]:
            key = text.replace(row.clip.youtube_id, "<id>")
            counts[key] += 1
            first.setdefault(key, (text, row.clip.name))
    return [UnknownText(*first[key], rows=count) for key, count in counts.most_common()]


def _line(reason: Reason, rows: list[ManifestRow], *, now: datetime) -> ReasonLine:
    """Return the line of one reason."""
    pending = [row for row in rows if row.status is Status.PENDING]
    later = [row.not_before for row in pending if row.not_before and row.not_before > now]
    return ReasonLine(
        reason=reason.value,
        kind=reason.kind.value,
        rows=len(rows),
        due_now=len(pending) - len(later),
        next_due=min(later, default=None),
        advice=_ADVICE_OF.get(reason, _ADVICE.get(reason.kind, "")),
        example=next((row.reason_text for row in rows if row.reason_text), ""),
    )

"""What was tried for a clip, where, and how it ended: the evidence behind a verdict.

A source that says 'unavailable' without a cause may only be throttling. Such words become a
permanent verdict when they were heard twice, `CONFIRMED_AFTER` or more apart, each time while the
source was seen to work.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CONFIRMED_AFTER = timedelta(hours=24)
"""Time between the first and the last confirmed 'unavailable' that makes it permanent."""
_MOST_TEXT = 1300
_MOST_TRIALS = 16


@dataclass(frozen=True, slots=True)
class Trial:
    """Failures of one kind that a clip had at one source."""

    source: str
    reason: Reason
    text: str
    """Words of the last one, secrets taken out."""
    count: int
    first_at: datetime
    """When it was first heard (UTC); if `source_works`, first heard while the source worked."""
    last_at: datetime
    """When it was last heard, under the same condition."""
    source_works: bool
    """Whether the source was seen to work at those times, so that the clip itself is at fault."""

    @property
    def is_confirmed(self) -> bool:
        """Whether it was heard twice, a day or more apart, while the source worked."""
        return self.source_works and self.last_at - self.first_at >= CONFIRMED_AFTER


def add_trial(
    before: Sequence[Trial],
    *,
    source: str,
    reason: Reason,
    text: str,
    source_works: bool,
    now: datetime,
) -> tuple[Trial, ...]:
    """Return `before` with one more failure.

    A failure while the source did not work adds to the count, never to the evidence: the times stay
    those of the confirmed ones.
    """
    text = text[:_MOST_TEXT]
    same = [t for t in before if (t.source, t.reason) == (source, reason)]
    if not same:
        trial = Trial(source, reason, text, 1, now, now, source_works)
    else:
        trial = replace(same[0], count=same[0].count + 1, text=text)
        if source_works and not trial.source_works:
            trial = replace(trial, first_at=now, last_at=now, source_works=True)
        elif source_works or not trial.source_works:
            trial = replace(trial, last_at=max(now, trial.last_at))
    others = [t for t in before if t not in same]
    return (*others, trial)[-_MOST_TRIALS:]


def encode_trials(trials: Iterable[Trial]) -> str:
    """Return trials as compact JSON, empty for none; equal trials give equal text."""
    records = [
        {
            "source": trial.source,
            "reason": trial.reason.value,
            "text": trial.text,
            "count": trial.count,
            "first_at": trial.first_at.isoformat(),
            "last_at": trial.last_at.isoformat(),
            "source_works": trial.source_works,
        }
        for trial in trials
    ]
    return json.dumps(records, separators=(",", ":")) if records else ""


def decode_trials(text: str) -> tuple[Trial, ...]:
    """Return the trials that `encode_trials` wrote.

    Raises:
        ValueError, KeyError, TypeError: The text is something else.
    """
    return tuple(_trial(record) for record in json.loads(text or "[]"))


def _trial(record: dict[str, Any]) -> Trial:
    """Return one trial from its record."""
    times = {name: datetime.fromisoformat(record[name]) for name in ("first_at", "last_at")}
    return Trial(**(record | times | {"reason": Reason(record["reason"])}))

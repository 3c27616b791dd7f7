"""How fast a split gets done, and how long the rest takes at that pace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from kinetics_assets.io.annotation_store import annotated_labels, read_current
from kinetics_assets.io.manifests import count_rows, read_known

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.layout import Layout
    from kinetics_assets.core.stages import Stage

_LOOKED_BACK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Pace:
    """What a stage of a split did in the last hour, and what it has not looked at yet."""

    clips_last_hour: int
    """Verdicts of all steps together, good and bad."""
    untried: int
    """Annotation rows that no step has looked at."""

    @property
    def hours_left(self) -> float | None:
        """Hours for the untried rows at the pace of the last hour; None when there was none."""
        if not self.untried:
            return 0.0
        return self.untried / self.clips_last_hour if self.clips_last_hour else None

    def hours_left_at(self, clips_per_second: float) -> float | None:
        """Return the hours for the untried rows at another pace; None for no pace."""
        if not self.untried:
            return 0.0
        return self.untried / clips_per_second / 3600 if clips_per_second > 0 else None

    def to_json(self) -> dict[str, Any]:
        """Return the pace as plain values."""
        hours = self.hours_left
        return {
            "clips_last_hour": self.clips_last_hour,
            "untried": self.untried,
            "hours_left": None if hours is None else round(hours, 2),
        }


def read_pace(layout: Layout, split: Split, stage: Stage, *, now: datetime) -> Pace:
    """Return the pace of a stage; only manifests that changed in the last hour are read.

    Of the others only the footer is, which at 700 classes takes a fraction of a second.

    Raises:
        InputError: There is no list of `split`, or it is damaged.
    """
    since = now - _LOOKED_BACK
    seen = recent = 0
    for label in annotated_labels(layout, split):
        manifest, journal = (
            layout.manifest(split, stage, label),
            layout.journal(split, stage, label),
        )
        if journal.exists() or _changed_since(manifest, since):
            rows = read_known(layout, split, stage, label)
            recent += sum(row.finished_at is not None and row.finished_at >= since for row in rows)
            seen += sum(not row.is_untried for row in rows)
        else:
            seen += count_rows(layout, split, stage, label)
    return Pace(clips_last_hour=recent, untried=max(0, read_current(layout)[split].rows - seen))


def _changed_since(path: Path, since: datetime) -> bool:
    """Return whether a file was written to since then."""
    try:
        return path.stat().st_mtime >= since.timestamp()
    except FileNotFoundError:
        return False

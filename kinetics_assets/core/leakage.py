"""Clips of one set that a model has seen when it was trained on another.

Two sets leak into each other by the video: clips of one video are the same people in the same
place, and where their spans overlap they are the same frames. Labels play no part in that.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from kinetics_assets.core.clips import Clip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class SharedClip:
    """A clip whose video has clips in the other set too."""

    clip: Clip
    other: Clip
    """The clip of the other set that has most of it; else the one nearest in time."""
    shared_seconds: int
    """Seconds of `clip` that are in any clip of the other set."""

    @property
    def share(self) -> float:
        """Share of the clip that is in the other set, 0 to 1."""
        return self.shared_seconds / self.clip.id.duration_seconds

    @property
    def is_same_span(self) -> bool:
        """Whether the other set has this very clip."""
        return self.clip.id == self.other.id

    @property
    def is_same_label(self) -> bool:
        """Whether the other set calls it the same."""
        return self.clip.label == self.other.label


@dataclass(frozen=True)
class Leakage:
    """What two sets share, seen from the first."""

    rows: int
    """Clips of the first set."""
    rows_other: int
    shared: tuple[SharedClip, ...]
    """The first set's clips that share a video with the other set, sorted by clip."""

    @cached_property
    def overlapping(self) -> tuple[SharedClip, ...]:
        """Those that share time."""
        return tuple(one for one in self.shared if one.shared_seconds)

    def counts(self) -> dict[str, int]:
        """Return how many clips share what, and how many seconds they share."""
        return {
            "rows": self.rows,
            "rows_other": self.rows_other,
            "videos": len({one.clip.id.youtube_id for one in self.shared}),
            "same_video": len(self.shared),
            "overlapping": len(self.overlapping),
            "same_span": sum(one.is_same_span for one in self.shared),
            "other_label": sum(not one.is_same_label for one in self.overlapping),
            "seconds": sum(one.clip.id.duration_seconds for one in self.shared),
            "shared_seconds": sum(one.shared_seconds for one in self.shared),
        }

    def classes(self) -> dict[str, dict[str, int]]:
        """Return label -> clips that share a video and that overlap, of classes that have any."""
        found: dict[str, dict[str, int]] = {}
        for one in self.shared:
            of_class = found.setdefault(one.clip.label, {"same_video": 0, "overlapping": 0})
            of_class["same_video"] += 1
            of_class["overlapping"] += bool(one.shared_seconds)
        return dict(sorted(found.items()))


def leakage(first: Iterable[Clip], other: Iterable[Clip]) -> Leakage:
    """Return which clips of `first` share a video, and time, with clips of `other`.

    Neither the order of the rows nor how often the other set has one plays a part. A clip that
    `first` has under two labels counts twice, as it has two rows.
    """
    rows, rows_other = sorted(first), sorted(other)
    of_video: dict[str, list[Clip]] = defaultdict(list)
    for clip in rows_other:
        of_video[clip.id.youtube_id].append(clip)
    shared = [
        _shared(clip, of_video[clip.id.youtube_id])
        for clip in rows
        if clip.id.youtube_id in of_video
    ]
    return Leakage(len(rows), len(rows_other), tuple(shared))


def _shared(clip: Clip, others: Sequence[Clip]) -> SharedClip:
    """Return what a clip shares with the other set's clips of its video, sorted by time."""
    covered, until = 0, clip.id.start_seconds
    for one in others:
        start = max(one.id.start_seconds, until)
        until = max(until, min(one.id.end_seconds, clip.id.end_seconds))
        covered += max(0, until - start)
    return SharedClip(clip, min(others, key=lambda one: _distance(clip, one)), covered)


def _distance(clip: Clip, other: Clip) -> tuple[int, bool, Clip]:
    """Return what is least for the clip that has most in common with `clip`."""
    one, its = clip.id, other.id
    shared = min(one.end_seconds, its.end_seconds) - max(one.start_seconds, its.start_seconds)
    return -shared, clip.label != other.label, other

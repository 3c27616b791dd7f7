"""Clips that are not wanted although the list has them: by their licence, or taken down.

Such a clip is skipped in every stage alike, for the same reason, whatever its sources or inputs
are. The rule is asked at the beginning of each step, under the class lock: when it no longer holds,
just the rows it had skipped are due again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import SettingsError
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.io.takedowns import read_takedowns
from kinetics_assets.stages.job import now_utc

if TYPE_CHECKING:
    from kinetics_assets.core.clips import ClipId
    from kinetics_assets.io.annotation_store import ClassRows
    from kinetics_assets.io.takedowns import Takedowns
    from kinetics_assets.stages.order import ClassOrder


@dataclass(frozen=True, slots=True)
class Ruling:
    """Why a clip is not wanted."""

    reason: Reason
    text: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What rules out clips of one class."""

    dataset: str
    takedowns: Takedowns
    not_free: frozenset[ClipId]
    """Clips that the list does not give as under a Creative Commons licence, if that is asked."""

    def ruling(self, clip: ClipId) -> Ruling | None:
        """Return why `clip` is not wanted, None if it is."""
        entry = self.takedowns.entry_of(self.dataset, clip)
        if entry is not None:
            return Ruling(Reason.TAKEN_DOWN, entry.text)
        if clip in self.not_free:
            return Ruling(
                Reason.FILTERED,
                "the list does not give it as Creative Commons (is_cc), and sources.cc_only is set",
            )
        return None

    def is_taken_down(self, clip: ClipId) -> bool:
        """Return whether no byte of `clip` may stay."""
        return self.takedowns.entry_of(self.dataset, clip) is not None


def rules_of(order: ClassOrder, annotated: ClassRows) -> Rules:
    """Return what rules out clips of the class now.

    Raises:
        SettingsError: Licences are to be kept to, and the list does not tell them; or the record
            of takedowns is damaged.
    """
    not_free: frozenset[ClipId] = frozenset()
    if order.settings.sources.cc_only and annotated.clips:
        if annotated.creative_commons is None:
            dataset, split = order.settings.dataset, order.split
            raise SettingsError(
                f"sources.cc_only is set, and the {split} list of {dataset}"
                f" ({order.layout.annotation_list(split)}) has no is_cc column.",
                remedy="The backup lists of Kinetics-400 have it for train and val: `kinetics"
                " prepare kinetics400 --annotations backup --cc-only`. Other lists do not tell"
                " licences; use one of your own with that column, or drop the setting.",
            )
        clips = {clip.id for clip in annotated.clips}
        not_free = frozenset(clips - annotated.creative_commons)
    return Rules(order.settings.dataset, read_takedowns(order.settings.root), not_free)


def ruled_row(row: ManifestRow, ruling: Ruling | None) -> ManifestRow:
    """Return `row` as skipped by `ruling`, or as wanted again; the same row where nothing changes.

    What was tried is kept, since it counts again once the rule no longer holds.
    """
    if ruling is not None:
        skipped = replace(
            _blank(row),
            status=Status.SKIPPED,
            reason=ruling.reason,
            reason_text=ruling.text,
            finished_at=row.finished_at,
        )
        return row if skipped == row else replace(skipped, finished_at=now_utc())
    return _blank(row) if row.status is Status.SKIPPED else row


def is_withdrawn(before: ManifestRow, now: ManifestRow) -> bool:
    """Return whether a row has an output that the rules do not allow any more."""
    return before.status is Status.OK and now.status is Status.SKIPPED


def _blank(row: ManifestRow) -> ManifestRow:
    """Return the pending row of a clip of which nothing but the attempts is known."""
    return ManifestRow(
        clip=row.clip,
        label=row.label,
        edition=row.edition,
        status=Status.PENDING,
        attempts=row.attempts,
        tried=row.tried,
    )

"""What changed between two lists of one split: exactly, whatever the order of their rows.

Each row of the older list is unchanged, removed, retimed or relabelled, each row of the newer one
unchanged, added, retimed or relabelled, and never two of these; so the counts add up. Lists are
compared as bags: a row that is there twice and then once was removed once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from kinetics_assets.core.clips import Clip

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

_MOST_PAIRS = 10_000
"""Pairs of spans of one video that are weighed; beyond, spans are matched in order of time."""


@dataclass(frozen=True, order=True, slots=True)
class Change:
    """A row that became another one."""

    before: Clip
    after: Clip


@dataclass(frozen=True, slots=True)
class ClassChanges:
    """How the rows of one class changed, in rows."""

    added: int = 0
    removed: int = 0
    retimed: int = 0
    relabelled_from: int = 0
    """Rows that the class lost to another one."""
    relabelled_to: int = 0
    """Rows that it got from another one."""


@dataclass(frozen=True)
class EditionDiff:
    """The difference of two lists; all parts are sorted."""

    added: tuple[Clip, ...]
    removed: tuple[Clip, ...]
    retimed: tuple[Change, ...]
    """Same video, same label, another span."""
    relabelled: tuple[Change, ...]
    """Same clip, another label."""
    unchanged: int
    """Rows that are in both lists."""

    @property
    def is_empty(self) -> bool:
        """Whether the lists have the same rows."""
        return not (self.added or self.removed or self.retimed or self.relabelled)

    @property
    def rows_before(self) -> int:
        """Rows of the older list."""
        return self.unchanged + len(self.removed) + len(self.retimed) + len(self.relabelled)

    @property
    def rows_after(self) -> int:
        """Rows of the newer list."""
        return self.unchanged + len(self.added) + len(self.retimed) + len(self.relabelled)

    @cached_property
    def classes(self) -> dict[str, ClassChanges]:
        """Label -> what changed, for exactly the classes whose rows did, sorted by label.

        These are the classes whose hash (`annotations.class_row_hashes`) differs.
        """
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for clip in self.added:
            counts[clip.label]["added"] += 1
        for clip in self.removed:
            counts[clip.label]["removed"] += 1
        for change in self.retimed:
            counts[change.after.label]["retimed"] += 1
        for change in self.relabelled:
            counts[change.before.label]["relabelled_from"] += 1
            counts[change.after.label]["relabelled_to"] += 1
        return {label: ClassChanges(**counts[label]) for label in sorted(counts)}

    def counts(self) -> dict[str, int]:
        """Return kind of change -> number of rows, and the number of classes they are in."""
        return {
            "added": len(self.added),
            "removed": len(self.removed),
            "retimed": len(self.retimed),
            "relabelled": len(self.relabelled),
            "unchanged": self.unchanged,
            "classes": len(self.classes),
        }


def diff_rows(before: Iterable[Clip], after: Iterable[Clip]) -> EditionDiff:
    """Return what changed from the rows `before` to the rows `after`.

    Rows with the same clip are matched first, as relabelled, then those of the same video and
    label, as retimed: pairs that share most time first, then those whose times are nearest. A row
    whose span and label both changed is a removed one and an added one.

    Rows of classes that have the same hash in both lists may be left out; then only `unchanged` is
    another number.
    """
    old, new = Counter(before), Counter(after)
    gone, come = old - new, new - old
    relabelled = _matched(gone, come, key=lambda clip: clip.id, pair=_in_order)
    _take_out(relabelled, gone, come)
    retimed = _matched(gone, come, key=lambda c: (c.id.youtube_id, c.label), pair=_nearest)
    _take_out(retimed, gone, come)
    return EditionDiff(
        added=tuple(sorted(come.elements())),
        removed=tuple(sorted(gone.elements())),
        retimed=tuple(sorted(retimed)),
        relabelled=tuple(sorted(relabelled)),
        unchanged=(old & new).total(),
    )


def _matched(
    gone: Counter[Clip],
    come: Counter[Clip],
    *,
    key: Callable[[Clip], Hashable],
    pair: Callable[[list[Clip], list[Clip]], list[Change]],
) -> list[Change]:
    """Return the changes that `pair` finds among the rows of the same `key`."""
    gone_by_key: dict[Hashable, list[Clip]] = defaultdict(list)
    come_by_key: dict[Hashable, list[Clip]] = defaultdict(list)
    for rows, by_key in ((gone, gone_by_key), (come, come_by_key)):
        for clip in rows.elements():
            by_key[key(clip)].append(clip)
    return [
        change
        for shared in gone_by_key.keys() & come_by_key.keys()
        for change in pair(sorted(gone_by_key[shared]), sorted(come_by_key[shared]))
    ]


def _in_order(gone: list[Clip], come: list[Clip]) -> list[Change]:
    """Return the first of `gone` with the first of `come`, and so on."""
    return [Change(*both) for both in zip(gone, come, strict=False)]


def _nearest(gone: list[Clip], come: list[Clip]) -> list[Change]:
    """Return each of `gone` with the one of `come` that is most like it, best pairs first."""
    if len(gone) * len(come) > _MOST_PAIRS:
        return _in_order(gone, come)
    pairs = sorted(
        (_distance(gone[first], come[second]), first, second)
        for first in range(len(gone))
        for second in range(len(come))
    )
    changes, used_before, used_after = [], set(), set()
    for _, first, second in pairs:
        if first not in used_before and second not in used_after:
            used_before.add(first)
            used_after.add(second)
            changes.append(Change(gone[first], come[second]))
    return changes


def _distance(before: Clip, after: Clip) -> tuple[int, int]:
    """Return (seconds shared, negative; seconds that start and end moved); smaller is nearer."""
    one, other = before.id, after.id
    shared = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
    moved = abs(one.start_seconds - other.start_seconds) + abs(one.end_seconds - other.end_seconds)
    return -max(shared, 0), moved


def _take_out(changes: list[Change], gone: Counter[Clip], come: Counter[Clip]) -> None:
    """Take the rows of `changes` out of those that are to be matched."""
    gone.subtract(change.before for change in changes)
    come.subtract(change.after for change in changes)

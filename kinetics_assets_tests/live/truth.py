"""What really differs between two lists, found with `csv` and sets alone.

It shares no code with what it judges.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Row(NamedTuple):
    """One line of a list."""

    label: str
    youtube_id: str
    start_seconds: int
    end_seconds: int

    @property
    def clip(self) -> str:
        """Name of the clip, as the UI shows it."""
        return f"{self.youtube_id}_{self.start_seconds:06d}_{self.end_seconds:06d}"


@dataclass(frozen=True)
class Difference:
    """Rows by what became of them; the four kinds share no row."""

    added: frozenset[Row]
    removed: frozenset[Row]
    retimed: frozenset[tuple[Row, Row]]
    relabelled: frozenset[tuple[Row, Row]]
    unchanged: int

    def counts(self) -> dict[str, int]:
        """Return kind of change -> rows."""
        kinds = ("added", "removed", "retimed", "relabelled")
        return {kind: len(getattr(self, kind)) for kind in kinds}

    def shown(self) -> set[tuple[str, str, str, str]]:
        """Return (change, clip, label, what it was) of each row, as the UI's table has it."""
        lines = {("added", row.clip, row.label, "") for row in self.added}
        lines |= {("removed", row.clip, row.label, "") for row in self.removed}
        for was, now in self.retimed:
            span = f"{was.start_seconds} to {was.end_seconds} s"
            lines.add(("retimed", now.clip, now.label, span))
        for was, now in self.relabelled:
            lines.add(("relabelled", now.clip, now.label, was.label))
        return lines

    def by_class(self) -> dict[str, dict[str, int]]:
        """Return class -> kind of change -> rows, of the classes that changed."""
        places = [(row.label, "added") for row in self.added]
        places += [(row.label, "removed") for row in self.removed]
        places += [(now.label, "retimed") for _, now in self.retimed]
        for was, now in self.relabelled:
            places += [(was.label, "relabelled_from"), (now.label, "relabelled_to")]
        counts: dict[str, dict[str, int]] = {}
        kinds = ("added", "removed", "retimed", "relabelled_from", "relabelled_to")
        for label, kind in places:
            counts.setdefault(label, dict.fromkeys(kinds, 0))[kind] += 1
        return counts


def rows_of(path: Path) -> frozenset[Row]:
    """Return the rows of a list with a header.

    Raises:
        ValueError: A row is there twice, so that sets cannot tell the difference.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            Row(
                line["label"],
                line["youtube_id"],
                int(line["time_start"]),
                int(line["time_end"]),
            )
            for line in csv.DictReader(file)
        ]
    if len(set(rows)) != len(rows):
        msg = f"{path} has a row twice"
        raise ValueError(msg)
    return frozenset(rows)


def by_class(rows: frozenset[Row]) -> dict[str, frozenset[Row]]:
    """Return class -> its rows."""
    classes = defaultdict(set)
    for row in rows:
        classes[row.label].add(row)
    return {label: frozenset(of_label) for label, of_label in classes.items()}


def difference(before: frozenset[Row], after: frozenset[Row]) -> Difference:
    """Return what changed between two lists.

    Raises:
        ValueError: Rows of one video changed in a way that can be read as several changes.
    """
    gone, come = before - after, after - before
    relabelled = (
        {(was, now) for was in gone for now in come if was[1:] == now[1:]} if come else set()
    )
    gone, come = _less(gone, come, relabelled)
    retimed = {(was, now) for was in gone for now in come if was[:2] == now[:2]}
    gone, come = _less(gone, come, retimed)
    return Difference(come, gone, frozenset(retimed), frozenset(relabelled), len(before & after))


def _less(
    gone: frozenset[Row], come: frozenset[Row], pairs: set[tuple[Row, Row]]
) -> tuple[frozenset[Row], frozenset[Row]]:
    """Return the rows that are in none of `pairs`."""
    first, second = {was for was, _ in pairs}, {now for _, now in pairs}
    if not len(pairs) == len(first) == len(second):
        msg = "a row may have become several others"
        raise ValueError(msg)
    return gone - first, come - second

"""How many clips the copies have that people train on, as published; a measure for one's own.

The figures are of whole splits: nobody publishes them per class. A copy's share of a class is
therefore only the average over all classes.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from kinetics_assets.core.clips import Split


@dataclass(frozen=True, slots=True)
class KnownCopy:
    """A published copy, or list, of one split."""

    name: str
    clips: int
    list_rows: int | None
    """Rows of the list the copy was made from; None where that is not known."""
    source: str
    """Who says so."""

    @property
    def share(self) -> float | None:
        """Share of its list that the copy has, None where the list is not known."""
        return self.clips / self.list_rows if self.list_rows else None

    def expected_of(self, rows: int) -> int | None:
        """Return how many of `rows` the copy would have if all classes were alike."""
        return None if self.share is None else round(self.share * rows)


@cache
def known_copies(dataset: str, split: Split) -> tuple[KnownCopy, ...]:
    """Return the known copies of a split, empty if there are none."""
    text = (files("kinetics_assets.data") / "known_copies.csv").read_text(encoding="utf-8")
    return tuple(
        KnownCopy(
            record["copy"],
            int(record["clips"]),
            int(record["list_rows"]) if record["list_rows"] else None,
            record["source"],
        )
        for record in csv.DictReader(text.splitlines())
        if (record["dataset"], record["split"]) == (dataset, split.value)
    )

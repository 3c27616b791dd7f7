"""What the UI must be told of a dataset whose list changes, compared with what is true."""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kinetics_assets_tests.live.classes import DATASET, SPLIT
from kinetics_assets_tests.live.command import told_by_command
from kinetics_assets_tests.live.truth import Row, by_class, difference, rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets_tests.live.ui import Ui

_BEGAN = time.monotonic()


@dataclass
class Watched:
    """One dataset under watch, and what must be true of it."""

    ui: Ui
    root: Path
    files: dict[str, Path]
    """Name of an edition -> its list."""
    now: str = ""
    """Name of the edition that is current."""
    made: dict[str, frozenset[Row]] = field(default_factory=dict)
    """Class -> rows that its videos were made from."""
    resized_is_stale: set[str] = field(default_factory=set)
    with_clips: list[str] = field(default_factory=list)
    """Classes that have clips, and resized ones: two that change, and one that does not."""

    def rows(self, edition: str) -> frozenset[Row]:
        """Return the rows of an edition."""
        return rows_of(self.files[edition])

    def check_difference(self, before: str, *, run: str) -> None:
        """Compare what is reported with what is true: numbers, classes, rows, observations."""
        true = difference(self.rows(before), self.rows(self.now))
        shown_run, shown = self.ui.shown(DATASET, "annotations")
        assert shown_run == run
        for kind, count in true.counts().items():
            assert shown[f"rows_{kind}"] == count, (kind, shown[f"rows_{kind}"], count)
        classes = true.by_class()
        assert shown["classes_changed"] == len(classes)
        table = {
            line["class"]: {kind: line[kind] for kind in line if kind not in {"split", "class"}}
            for line in shown["changed_classes"]
        }
        assert table == classes
        lines = [(one["change"], one["clip"], one["label"], one["was"]) for one in shown["changes"]]
        assert len(set(lines)) == len(lines)
        assert set(lines) <= true.shown(), set(lines) - true.shown()
        assert len(lines) + shown.get("changes_not_shown", 0) == len(true.shown())
        assert self.ui.observed(run) == {(DATASET, SPLIT, "class_rows"): set(classes)}
        assert (
            told_by_command(*(self.files[edition] for edition in (before, self.now)))
            == true.shown()
        )
        say(f"reported and true: {true.counts()}, {true.unchanged:,} unchanged,")
        say(
            f"  {len(classes)} classes; {len(lines):,} rows in the UI's table and all"
            f" {len(true.shown()):,} of `annotations diff` are true ones, row by row"
        )

    def check_stale(self, when: str) -> set[str]:
        """Compare the stale classes with the true ones, and return them."""
        rows = by_class(self.rows(self.now))
        wanted = {label for label, of_label in self.made.items() if rows.get(label) != of_label}
        state = self.ui.state_of(DATASET, SPLIT, "videos")
        assert classes_by_status(state) == split_up(state, self.made, wanted), when
        stats = state["partitionStats"]
        assert stats["numMaterialized"] == len(self.made), (when, stats)
        assert (stats["numMaterializing"], stats["numFailed"]) == (0, 0), (when, stats)
        for label, causes in zip(
            state["partitionKeys"], state["staleCausesByPartition"], strict=True
        ):
            told = [
                (one["category"], one["key"]["path"][-1], one["partitionKey"]) for one in causes
            ]
            true = [("DATA", "class_rows", label)] if label in wanted else []
            assert told == true, (label, causes)
        resized = self.ui.state_of(DATASET, SPLIT, "resized")
        stale = classes_by_status(resized)
        assert stale == split_up(resized, set(self.with_clips), self.resized_is_stale), when
        for stage in ("rawframes", "flow"):
            assert classes_by_status(self.ui.state_of(DATASET, SPLIT, stage)).keys() == {"MISSING"}
        return wanted

    def lists_digest(self) -> dict[str, str]:
        """Return file -> sha256 of all that is kept of the lists."""
        folder = self.root / DATASET / "annotations"
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


def classes_by_status(state: dict[str, Any]) -> dict[str, set[str]]:
    """Return STALE, FRESH and MISSING -> classes that the UI is told are so."""
    found: dict[str, set[str]] = {}
    for label, status in zip(state["partitionKeys"], state["staleStatusByPartition"], strict=True):
        found.setdefault(status, set()).add(label)
    return found


def split_up(state: dict[str, Any], made: Any, stale: set[str]) -> dict[str, set[str]]:  # noqa: ANN401 - set or dict
    """Return the same as it should be, without what is empty."""
    labels = set(state["partitionKeys"])
    wanted = {"STALE": stale, "FRESH": set(made) - stale, "MISSING": labels - set(made)}
    return {status: those for status, those in wanted.items() if those}


def say(text: str) -> None:
    """Write a line at once, with the time since the start."""
    sys.stdout.write(f"{time.monotonic() - _BEGAN:6.0f} s  {text}\n")
    sys.stdout.flush()

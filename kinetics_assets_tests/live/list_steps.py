"""A small list of demo clips and its editions: what happens to single rows, one after the other.

Each edition says which clips it touches, so that it can be asked whether any other was touched.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kinetics_assets.core.clips import Clip, ClipId, Split
from kinetics_assets.demo.clips import LIST_NAMES, DemoClip, chosen_classes, plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Row = tuple[Split, Clip]
CLASSES = chosen_classes(3)
FIRST, SECOND, THIRD = CLASSES


@dataclass(frozen=True)
class Edition:
    """A list, and what it does to the one before."""

    name: str
    rows: tuple[Row, ...]
    moved: dict[Row, Row] = field(default_factory=dict)
    """Row of before -> row now: another label or split, the same clip."""
    fetched: tuple[Row, ...] = ()
    """Rows that are new, and that nothing is kept of."""
    gone: tuple[Row, ...] = ()
    """Rows that left the list, or got another span."""
    back: tuple[Row, ...] = ()
    """Rows that return, and that something is kept of."""

    def write(self, folder: Path) -> Path:
        """Return the new folder `folder`, with the list of each split in it."""
        folder.mkdir(parents=True)
        for split in (Split.TRAIN, Split.VAL):
            lines = ["label,youtube_id,time_start,time_end,split"]
            lines += [
                f"{clip.label},{clip.id.youtube_id},{clip.id.start_seconds},{clip.id.end_seconds},"
                f"{LIST_NAMES[split]}"
                for own, clip in sorted(self.rows)
                if own is split
            ]
            (folder / f"{LIST_NAMES[split]}.csv").write_text("\n".join([*lines, ""]))
        return folder


def editions() -> list[Edition]:
    """Return the editions in the order they come: single rows first, then all kinds at once."""
    rows = [_row(one) for one in plan(CLASSES) if one.split is not Split.TEST]
    late = [_good(SECOND, 2), _good(THIRD, 3)]  # these come later
    base = Edition("the first list", tuple(row for row in rows if row not in late))
    one, two = _good(FIRST, 1), _good(FIRST, 2)
    went, again = _good(SECOND, 1), _good(THIRD, 0)
    long, long_too = _long(SECOND), _long(THIRD)
    val = _good(SECOND, 1, split=Split.VAL)
    relabelled = _next(base, "one relabelled", moved={one: _relabelled(one, SECOND)})
    retimed = _next(relabelled, "one retimed", gone=[long], fetched=[_retimed(long)])
    removed = _next(retimed, "one removed", gone=[went])
    returned = _next(removed, "it is back", back=[went])
    added = _next(returned, "one added, another one removed", fetched=[late[0]], gone=[again])
    at_once = _next(
        added,
        "all at once",
        moved={two: _relabelled(two, THIRD), val: (Split.TRAIN, val[1])},
        gone=[long_too, went],
        fetched=[_retimed(long_too), late[1]],
        back=[again],
    )
    undone = Edition(
        "the first list again",
        base.rows,
        moved={new: old for old, new in (relabelled.moved | at_once.moved).items()},
        gone=(*retimed.fetched, *added.fetched, *at_once.fetched),
        back=(long, long_too, went),
    )
    return [base, relabelled, retimed, removed, returned, added, at_once, undone]


def _next(
    before: Edition,
    name: str,
    *,
    moved: dict[Row, Row] | None = None,
    gone: list[Row] | None = None,
    fetched: list[Row] | None = None,
    back: list[Row] | None = None,
) -> Edition:
    """Return the edition after `before`."""
    moved, gone, fetched, back = moved or {}, gone or [], fetched or [], back or []
    stay = [moved.get(row, row) for row in before.rows if row not in gone]
    return Edition(
        name, (*back, *fetched, *stay), moved, tuple(fetched), gone=tuple(gone), back=tuple(back)
    )


def _row(one: DemoClip) -> Row:
    return one.split, one.clip


def _pick(label: str, split: Split, wanted: Callable[[DemoClip], bool]) -> list[Row]:
    """Return rows of a class whose source is good, in the order of the plan."""
    return [
        _row(one)
        for one in plan(CLASSES)
        if (one.clip.label, one.split, one.source.fault) == (label, split, None) and wanted(one)
    ]


def _good(label: str, number: int, *, split: Split = Split.TRAIN) -> Row:
    """Return a clip whose source is not longer, so that it feeds no other."""
    short = _pick(label, split, lambda one: one.source.seconds == one.clip.id.duration_seconds)
    return short[number]


def _long(label: str) -> Row:
    """Return the training clip whose source is longer than it."""
    rows = _pick(label, Split.TRAIN, lambda one: one.clip.id.start_seconds > 1)
    return rows[0]


def _relabelled(row: Row, label: str) -> Row:
    return row[0], replace(row[1], label=label)


def _retimed(row: Row) -> Row:
    """Return the row one second earlier."""
    clip = row[1].id
    earlier = ClipId(clip.youtube_id, clip.start_seconds - 1, clip.end_seconds - 1)
    return row[0], replace(row[1], id=earlier)

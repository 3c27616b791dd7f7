"""File lists in the formats of MMAction2, as text, from manifest rows alone.

=========  ==============================================  ====================================
kind       line                                            JSON entry
=========  ==============================================  ====================================
videos     ``<class>/<clip>.mp4 <label>``                  filename, label
rawframes  ``<class>/<clip> <frames> <label>``             frame_dir, total_frames, label
flow       ``<class>/<clip> <frame pairs> <label>``        frame_dir, total_frames, label
=========  ==============================================  ====================================

Paths are relative to the split's folder of the stage; one space, a line feed, no header. A test row
without a label ends after the path or the count, which MMAction2 1.x reads as label -1.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from kinetics_assets.core.manifest import ManifestRow, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kinetics_assets.core.clips import Clip


class ListKind(StrEnum):
    """The three lists of a split."""

    VIDEOS = "videos"
    RAWFRAMES = "rawframes"
    FLOW = "flow"


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One line of a list."""

    clip: Clip
    path: str
    """Relative to the split's folder of the stage."""
    count: int | None
    """Frames or frame pairs; None in a list of videos."""
    label: int | None
    """0-based class index; None for a row without a label."""


def entries(
    kind: ListKind, rows: Iterable[ManifestRow], *, indices: Mapping[str, int]
) -> list[ListEntry]:
    """Return an entry for each verified row with at least one frame, in the order of `rows`."""
    return [
        ListEntry(
            clip=row.annotation,
            path="/".join(PurePosixPath(row.path).parts[-2:]),
            count=None if kind is ListKind.VIDEOS else row.frames_decoded,
            label=indices[row.label] if row.label else None,
        )
        for row in rows
        if row.status is Status.OK and row.frames_decoded
    ]


def in_sorted_order(listed: Sequence[ListEntry]) -> list[ListEntry]:
    """Return the entries by path; the default, because a rerun then gives the same bytes."""
    return sorted(listed, key=lambda entry: entry.path)


def in_shuffled_order(
    kind: ListKind, listed: Sequence[ListEntry], *, annotated: Sequence[Clip], seed: int
) -> list[ListEntry]:
    """Return the entries in the order of MMAction2's ``--shuffle --seed <seed>``.

    Its tool shuffles a split's RGB list, then its flow list, with one generator, each beginning in
    the order of the annotation list.

    Args:
        kind: The list; flow comes after RGB out of the same generator.
        listed: The entries, in any order.
        annotated: All clips in the order of the annotation list.
        seed: Seed of Python's generator.
    """
    rank = {clip: number for number, clip in enumerate(annotated)}
    ordered = sorted(listed, key=lambda entry: rank[entry.clip])
    generator = random.Random(seed)  # noqa: S311 - an order to reproduce, not a secret
    if kind is ListKind.FLOW:
        generator.shuffle(list(range(len(ordered))))
    generator.shuffle(ordered)
    return ordered


def as_text(listed: Iterable[ListEntry]) -> str:
    """Return the ``.txt`` form of a list."""
    return "".join(_line(entry) for entry in listed)


def as_json(kind: ListKind, listed: Iterable[ListEntry]) -> str:
    """Return the ``.json`` form of a list, which the readers of MMAction2 0.x take."""
    return json.dumps([_record(kind, entry) for entry in listed]) + "\n"


def _line(entry: ListEntry) -> str:
    fields = (entry.path, entry.count, entry.label)
    return " ".join(str(field) for field in fields if field is not None) + "\n"


def _record(kind: ListKind, entry: ListEntry) -> dict[str, object]:
    labels = [] if entry.label is None else [entry.label]
    if kind is ListKind.VIDEOS:
        return {"filename": entry.path, "label": labels}
    return {"frame_dir": entry.path, "total_frames": entry.count, "label": labels}

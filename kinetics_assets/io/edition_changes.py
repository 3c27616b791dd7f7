"""What changed between two stored editions of a split, reading only the classes that did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as arrow_compute

from kinetics_assets.core.clips import Clip, Split
from kinetics_assets.core.edition_diff import EditionDiff, diff_rows
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.filelists import clip_names
from kinetics_assets.core.layout import Layout
from kinetics_assets.io.annotation_store import class_hashes, load_class_rows, load_rows

pc: Any = arrow_compute  # its stubs know few of the types that it takes
_ID_LENGTH: Final = 11


def edition_changes(layout: Layout, split: Split, *, before: str, after: str) -> EditionDiff | None:
    """Return what changed from one stored edition to another; None if one is not stored whole.

    Classes with equal hashes have equal rows, so only the others are read.

    Args:
        layout: Of the dataset.
        split: Whose lists these are.
        before: sha256 of the older list.
        after: sha256 of the newer list.
    """
    try:
        old, new = class_hashes(layout, before), class_hashes(layout, after)
        same = {label for label in old.keys() & new.keys() if old[label] == new[label]}
        diff = diff_rows(
            _clips(layout, split, before, labels=old.keys() - same),
            _clips(layout, split, after, labels=new.keys() - same),
        )
    except AnnotationError:
        return None
    rows_of_same = sum(old[label][0] for label in same)
    return replace(diff, unchanged=diff.unchanged + rows_of_same)


def relicensed(layout: Layout, split: Split, *, before: str, after: str) -> int:
    """Return how many rows of both editions have another licence now; 0 if either tells none.

    A row counts as free if the list says so, and else as not: as ``sources.cc_only`` takes it.

    Args:
        layout: Of the dataset.
        split: Whose lists these are.
        before: sha256 of the older list.
        after: sha256 of the newer list.
    """
    try:
        old, new = (load_rows(layout, split, edition=edition) for edition in (before, after))
    except AnnotationError:
        return 0
    if any(rows["is_cc"].null_count == len(rows) for rows in (old, new)):
        return 0
    changed = _free(old) ^ _free(new)
    return len(changed & _rows(old, changed) & _rows(new, changed))


def _free(rows: pa.Table) -> set[tuple[str, str]]:
    """Return label and name of the rows that are free."""
    return _named(rows.filter(pc.fill_null(rows["is_cc"], False)))


def _rows(rows: pa.Table, wanted: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return label and name of the rows whose videos are those of `wanted`, at least."""
    videos = pa.array(sorted({name[:_ID_LENGTH] for _, name in wanted}), pa.string())
    return _named(rows.filter(pc.is_in(rows["youtube_id"], value_set=videos)))


def _named(rows: pa.Table) -> set[tuple[str, str]]:
    """Return label and clip name of each row."""
    return set(zip(map(str, rows["label"].to_pylist()), clip_names(rows), strict=True))


def _clips(layout: Layout, split: Split, edition: str, *, labels: Iterable[str]) -> list[Clip]:
    """Return the rows of some classes of an edition."""
    return [
        clip
        for label in sorted(labels)
        for clip in load_class_rows(layout, split, label, edition=edition).clips
    ]

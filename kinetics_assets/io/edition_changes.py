"""What changed between two stored editions of a split, reading only the classes that did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kinetics_assets.core.clips import Clip, Split
from kinetics_assets.core.edition_diff import EditionDiff, diff_rows
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.layout import Layout
from kinetics_assets.io.annotation_store import class_hashes, load_class_rows


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


def _clips(layout: Layout, split: Split, edition: str, *, labels: Iterable[str]) -> list[Clip]:
    """Return the rows of some classes of an edition."""
    return [
        clip
        for label in sorted(labels)
        for clip in load_class_rows(layout, split, label, edition=edition).clips
    ]

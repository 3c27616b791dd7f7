"""Versions of the rows of each class, as far as the settings make them matter.

A class's version is the hash of its clips. Where only clips under a Creative Commons licence are
taken, it also says which clips these are: a list that changes nothing but ``is_cc`` then makes the
classes stale into which clips come or which they leave, and otherwise none.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow.compute as arrow_compute

from kinetics_assets.core.annotations import hash_of_names
from kinetics_assets.core.filelists import clip_names
from kinetics_assets.core.layout import Layout
from kinetics_assets.io.annotation_store import class_versions, current_edition, load_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.settings import Settings

pc: Any = arrow_compute  # its stubs know few of the types that it takes


def row_versions(settings: Settings, split: Split) -> dict[str, str]:
    """Return label -> version of its current rows for every class, those without rows included.

    Raises:
        AnnotationError: There is no list of `split` yet, or it is damaged.
    """
    layout = Layout.of(settings)
    edition = current_edition(layout, split)
    return with_licences(class_versions(layout, split), settings, split, edition=edition)


def with_licences(
    versions: Mapping[str, str], settings: Settings, split: Split, *, edition: str
) -> dict[str, str]:
    """Return versions of a stored edition's rows, with licences if the settings ask for them.

    Args:
        versions: Label -> hash of its clips.
        settings: Of the dataset; ``sources.cc_only`` decides.
        split: Whose list the edition is.
        edition: sha256 of the list.

    Raises:
        AnnotationError: It is damaged.
    """
    if not settings.sources.cc_only:
        return dict(versions)
    free = _free_clips(Layout.of(settings), split, edition)
    return {
        label: _joined(version, free[label]) if label in free else version
        for label, version in versions.items()
    }


def _joined(version: str, free: str) -> str:
    """Return one hash for two."""
    return hashlib.sha256(f"{version} {free}".encode()).hexdigest()


@lru_cache(maxsize=8)
def _free_clips(layout: Layout, split: Split, edition: str) -> Mapping[str, str]:
    """Return label -> hash of its free clips, of classes that have others too.

    Nothing if the list does not tell licences: no class can be made from it.
    """
    rows = load_rows(layout, split, edition=edition)
    if rows["is_cc"].null_count == len(rows):
        return {}
    is_free = pc.fill_null(rows["is_cc"], False)
    of_free, of_others = rows.filter(is_free), rows.filter(pc.invert(is_free))
    names: dict[str, list[str]] = {str(one): [] for one in of_others["label"].unique().to_pylist()}
    for label, name in zip(of_free["label"].to_pylist(), clip_names(of_free), strict=True):
        if label in names:
            names[label].append(name)
    return {label: hash_of_names(clips) for label, clips in names.items()}

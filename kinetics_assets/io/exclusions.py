"""Lists of clips that file lists leave out, as the settings name them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.exclusions import (
    REMEDY,
    Exclusion,
    exclusion_name,
    exclusion_path,
    exclusion_version,
    parse_exclusion,
)
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.io.manifests_digest import manifests_digest

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.layout import Layout
    from kinetics_assets.core.settings import Settings


def read_exclusion(settings: Settings, split: Split) -> Exclusion:
    """Return what the lists of a split leave out; nothing unless the settings ask for that.

    Raises:
        AnnotationError: A list is not there or cannot be understood; names file and line.
        PermissionDenied: It may not be read.
    """
    of = settings.filelists
    if split.value not in of.exclude_from:
        return Exclusion()
    lists = (
        parse_exclusion(_bytes(path), name=exclusion_name(text), where=str(path))
        for text, path in _paths(settings).items()
    )
    return Exclusion(tuple(lists), by_overlap=of.exclude_by == "overlap")


def current_version(settings: Settings) -> str:
    """Return 16 hex digits that change with any byte of the settings' lists; empty without any.

    It is the `version` of `read_exclusion`, for which no line need be understood.

    Raises:
        AnnotationError: A list is not there.
        PermissionDenied: It may not be read.
    """
    return exclusion_version(
        {
            exclusion_name(text): hashlib.sha256(_bytes(path)).hexdigest()
            for text, path in _paths(settings).items()
        }
    )


def lists_state(settings: Settings, layout: Layout, split: Split) -> str:
    """Return hex digits for all that the lists of a split are made of; empty without a manifest.

    Raises:
        AnnotationError: A list of clips to leave out is not there.
        PermissionDenied: It may not be read.
    """
    state = manifests_digest(layout, split)
    is_excluded = bool(state) and split.value in settings.filelists.exclude_from
    return f"{state}{current_version(settings) if is_excluded else ''}"


def _paths(settings: Settings) -> dict[str, Path]:
    """Return the settings' entries and the file that each means."""
    return {text: exclusion_path(settings.root, text) for text in settings.filelists.exclude}


def _bytes(path: Path) -> bytes:
    """Return a list's bytes."""
    try:
        with os_faults(f"reading {path}"):
            return path.read_bytes()
    except OSError as error:
        raise AnnotationError(
            str(path),
            f"filelists.exclude names it, and it cannot be read ({error.strerror}). No file list"
            " is written without it.",
            remedy=f"Correct the setting: a path, which starts from the root if it is relative, or"
            f" DATASET/SPLIT, whose annotations must be there. {REMEDY}",
        ) from error

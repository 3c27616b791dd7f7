"""The tree digest: one number that two equal datasets share, however they came about."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import decode_manifest
from kinetics_assets.core.stages import ALL_CLASS_STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kinetics_assets.core.manifest import ManifestRow

_HISTORY = ("attempts", "not_before", "finished_at", "source_address", "tried")
"""Fields of a row that tell how it came about, not what it is."""
_OUTSIDE = ("manifests", "retired", "mirror")
"""Folders of the dataset that are no public files; manifests enter by their rows."""
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost):[0-9]+")


def tree_digest(layout: Layout) -> str:
    """Return the sha256 of all public files and manifest rows of a dataset.

    Times, attempts and addresses are left out, so that a dataset that was interrupted a hundred
    times has the digest of one that was not.
    """
    total = hashlib.sha256()
    for line in tree_lines(layout):
        total.update(line.encode())
    return total.hexdigest()


def tree_lines(layout: Layout) -> list[str]:
    """Return what the digest is made of, sorted: two lists of lines show where trees differ."""
    return sorted([*_file_lines(layout), *_row_lines(layout)])


def _file_lines(layout: Layout) -> Iterator[str]:
    """Yield ``file <relative path> <sha256>`` for every public file.

    Lists that were once current are history, as what is retired is: they are left out.
    """
    current = _current_editions(layout)
    for path in _public_files(layout.base):
        relative = layout.relative(path)
        if relative.split("/")[0] in _OUTSIDE or path == layout.current_edition:
            continue  # the edition's file tells when and from where the list came
        if path.is_relative_to(layout.editions) and path.parent not in current:
            continue
        with path.open("rb") as file:
            yield f"file {relative} {hashlib.file_digest(file, 'sha256').hexdigest()}\n"


def _current_editions(layout: Layout) -> set[Path]:
    """Return the folders of the current lists; none if their record cannot be read."""
    try:
        record = json.loads(layout.current_edition.read_bytes())
        return {layout.edition(entry["sha256"]) for entry in record.values()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return set()


def _public_files(folder: Path) -> Iterator[Path]:
    """Yield all files below `folder` without temporary names and locks; links are followed."""
    if not folder.is_dir():
        return
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _public_files(folder / entry.name)
        else:
            yield folder / entry.name


def _row_lines(layout: Layout) -> Iterator[str]:
    """Yield ``row <split>/<stage> <JSON>`` for every manifest row."""
    for split in Split:
        for stage in ALL_CLASS_STAGES:
            folder = layout.manifests(split, stage)
            for path in sorted(folder.glob("*.parquet")) if folder.is_dir() else []:
                for row in _rows(path):
                    yield f"row {split}/{stage} {_row_text(row)}\n"


def _rows(path: Path) -> list[ManifestRow]:
    """Return the rows of a manifest.

    Raises:
        InternalError: It is damaged; the message names it.
    """
    try:
        return decode_manifest(path.read_bytes())
    except InternalError as error:
        raise InternalError(
            f"{path}: {error.message}", remedy="Delete the file and run the class again."
        ) from error


def _row_text(row: ManifestRow) -> str:
    """Return a row as canonical JSON without its history."""
    fields = {name: value for name, value in asdict(row).items() if name not in _HISTORY}
    # The port of a mirror on this machine varies from run to run.
    fields["reason_text"] = _LOOPBACK.sub(r"\1", fields["reason_text"])
    return json.dumps(fields, sort_keys=True, default=str)

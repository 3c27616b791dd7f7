"""The archives stage: parts of the mirror that mix classes, unpacked into the store."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import ArchiveRefused, ClipError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import (
    annotated_labels,
    load_class_rows,
    splits_present,
    write_if_changed,
)
from kinetics_assets.io.manifests import read_known
from kinetics_assets.sources.mirror import part_splits
from kinetics_assets.sources.mirror_archives import (
    known_parts,
    listed_test_parts,
    part_archive,
)
from kinetics_assets.sources.mirror_fetch import get_archive
from kinetics_assets.sources.mirror_store import (
    file_is_there,
    index_of,
    read_record,
    records_of,
)

if TYPE_CHECKING:
    from kinetics_assets.core.settings import Settings
    from kinetics_assets.sources.mirror_archives import MirrorArchive
    from kinetics_assets.sources.mirror_store import ArchiveRecord

UNLISTED = "unlisted"
"""Stands for the parts of a test split as long as nobody knows them."""


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """What became of one archive."""

    split: Split
    name: str
    record: ArchiveRecord | None
    """None if the archive could not be had."""
    matched: int
    """Files that are clips of the current lists, of whatever split."""
    unmatched: tuple[str, ...]
    """Files with no annotation row; they are kept in the store."""
    elapsed_seconds: float
    problem: str = ""
    """Why nothing of it can be used, empty if it can."""


def run_archives(
    settings: Settings, split: Split, *, part: str | None, again: bool = False
) -> tuple[ArchiveReport, ...]:
    """Return what became of a part, or of all parts that the mirror's list of a test split names.

    One that cannot be used does not stop the others.

    Args:
        settings: Of the dataset.
        split: Which split.
        part: Name of the part; None for all of a test split.
        again: Fetch them although they are here.

    Raises:
        ClipError: The list of a test split cannot be had.
        EnvironmentFault: The machine, the network, or a server that asks for a pause.
    """
    layout = Layout.of(settings)
    if part:
        archives: tuple[MirrorArchive, ...] = (part_archive(settings, split, part=part),)
    else:
        archives = listed_test_parts(settings)
        names = json.dumps([archive.name for archive in archives])
        write_if_changed(layout.mirror_listed(split), names.encode())
    annotated = _annotated_names(layout)
    return tuple(_run(settings, archive, annotated=annotated, again=again) for archive in archives)


def parts_due(settings: Settings, split: Split, *, tried_only: bool = False) -> tuple[str, ...]:
    """Return the parts of a split that were never got, or have lost a file that is wanted.

    No part is due when all clips of the split are here already. A part that was refused is not:
    it is tried again when it is asked for by name. Before the mirror's list of a test split was
    read its only part is `UNLISTED`.

    Args:
        settings: Of the dataset.
        split: Which split.
        tried_only: A clip is wanted only after the sources were asked for it in vain.
    """
    layout = Layout.of(settings)
    wanted = _wanted_names(layout, split, tried_only=tried_only)
    if not wanted:
        return ()
    return tuple(
        part
        for part in known_parts(settings.dataset, split) or _listed(layout, split)
        if (record := read_record(layout, split, part)) is None or _has_lost(layout, record, wanted)
    )


def refused_parts(settings: Settings, split: Split) -> dict[str, str]:
    """Return the archives of a split that were refused, and why."""
    records = records_of(Layout.of(settings), split)
    return {record.name: record.refused for record in records if record.refused}


def member_versions(layout: Layout, split: Split) -> dict[str, str]:
    """Return label -> hash of what the store has for its clips, for classes with any."""
    held = index_of(layout, part_splits(layout.dataset)).held
    versions: dict[str, str] = {}
    for label in annotated_labels(layout, split) if split in splits_present(layout) else ():
        names = (clip.id.name for clip in load_class_rows(layout, split, label).clips)
        lines = [f"{name} {held[name].sha256}\n" for name in sorted(names) if name in held]
        if lines:
            versions[label] = hashlib.sha256("".join(lines).encode()).hexdigest()[:16]
    return versions


def files_without_row(settings: Settings) -> dict[tuple[Split, str], tuple[str, ...]]:
    """Return the files of each archive in the store that no current list has a row for."""
    layout = Layout.of(settings)
    annotated = _annotated_names(layout)
    found = {}
    for split in Split:
        for record in records_of(layout, split):
            files = _unmatched(record, annotated)
            if files:
                found[split, record.name] = files
    return found


def _run(
    settings: Settings, archive: MirrorArchive, *, annotated: set[str], again: bool
) -> ArchiveReport:
    """Return what became of one archive."""
    started = time.monotonic()
    record: ArchiveRecord | None = None
    problem = ""
    try:
        record = get_archive(settings, archive, again=again)
        problem = record.refused
    except (ClipError, ArchiveRefused) as error:
        problem = str(error)
    unmatched = _unmatched(record, annotated) if record else ()
    return ArchiveReport(
        split=archive.split,
        name=archive.name,
        record=record,
        matched=len(record.files) - len(unmatched) if record and not record.refused else 0,
        unmatched=unmatched,
        elapsed_seconds=time.monotonic() - started,
        problem=problem,
    )


def _unmatched(record: ArchiveRecord, annotated: set[str]) -> tuple[str, ...]:
    """Return the files of an archive that are no clip of the lists; none of a refused one."""
    if record.refused:
        return ()
    return tuple(file.file for file in record.files if file.clip not in annotated)


def _annotated_names(layout: Layout) -> set[str]:
    """Return the names of all clips in the current lists; empty before there are any."""
    return {
        clip.id.name
        for split in splits_present(layout)
        for label in annotated_labels(layout, split)
        for clip in load_class_rows(layout, split, label).clips
    }


def _wanted_names(layout: Layout, split: Split, *, tried_only: bool) -> set[str]:
    """Return the names of a split's clips that are neither there nor ruled out by the user."""
    wanted: set[str] = set()
    for label in annotated_labels(layout, split) if split in splits_present(layout) else ():
        rows = read_known(layout, split, Stage.VIDEOS, label)
        settled = {row.clip for row in rows if row.status in {Status.OK, Status.SKIPPED}}
        clips = {clip.id for clip in load_class_rows(layout, split, label).clips}
        if tried_only:
            clips &= {row.clip for row in rows}
        wanted.update(clip.name for clip in clips - settled)
    return wanted


def _listed(layout: Layout, split: Split) -> tuple[str, ...]:
    """Return the parts of a split that the mirror's list named when it was read last."""
    try:
        return tuple(json.loads(layout.mirror_listed(split).read_bytes()))
    except (OSError, ValueError, TypeError):
        return (UNLISTED,)


def _has_lost(layout: Layout, record: ArchiveRecord, wanted: set[str]) -> bool:
    """Return whether a wanted file of an archive is gone from the store."""
    key = (record.split, record.name)
    return not record.refused and any(
        not file_is_there(layout, key, file.file, size_bytes=file.size_bytes)
        for file in record.files
        if file.clip in wanted
    )

"""Clips from archives of a mirror.

Where there is one archive per class it is fetched when the first of its clips is wanted. Parts that
mix classes are a stage of their own (`kinetics_assets.stages.archives`); of those this source only
knows what has arrived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import (
    ArchiveRefused,
    BadArchive,
    ClipError,
    Gone,
    NotAtSource,
    clip_error,
)
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.resume import Retries
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.mirror_archives import (
    MirrorArchive,
    class_archive,
    has_parts,
    is_mirrored,
    mirror_egress,
    mirror_host,
)
from kinetics_assets.sources.mirror_fetch import get_archive
from kinetics_assets.sources.mirror_store import (
    ArchiveRecord,
    Holding,
    MirrorIndex,
    file_is_there,
    index_of,
    read_record,
)


def mirror_source(settings: Settings, split: Split) -> MirrorSource | None:
    """Return the mirror as a source, None for a dataset that it does not have.

    Raises:
        SettingsError: The mirror's address is none.
    """
    if not is_mirrored(settings.dataset):
        return None
    mirror_egress(settings)
    return MirrorSource(settings, split)


def part_splits(dataset: str) -> tuple[Split, ...]:
    """Return the splits of a dataset whose archives mix classes."""
    return tuple(split for split in Split if has_parts(dataset, split))


@dataclass
class MirrorSource:
    """What the archives of one split hold; used by the threads of one step."""

    settings: Settings
    split: Split
    name: str = "mirror"
    may_heal: bool = True
    retries: Retries | None = None
    """How often a download is tried; None for the usual."""
    _tried: dict[str, ClipError | None] = field(default_factory=dict, repr=False)
    """Archives fetched by this step, and what their download failed with."""
    _told: set[str] = field(default_factory=set, repr=False)
    """Archives of whose failed download a clip has been told."""
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def host(self) -> str:
        """The mirror's host."""
        return mirror_host(self.settings)

    def state_of(self, clip: ClipId) -> str:
        """Return the part that holds `clip`; where archives are by class, the mirror's address."""
        if not has_parts(self.settings.dataset, self.split):
            return self.settings.sources.mirror_url
        held = self._index().held.get(clip.name)
        if held is None:
            return ""
        return f"{held.key[0]}/{held.key[1]} {held.sha256[:12]}"

    def is_alive(self) -> bool | None:
        """Return None: no archive is small enough to be asked for as a test."""
        return None

    def fetch(
        self, clips: Sequence[ClipId], *, label: str, scratch: Path
    ) -> Mapping[ClipId, Found | ClipError]:
        """Return a file of the store or the reason for each of `clips`; nothing is copied.

        Raises:
            EnvironmentFault: The mirror cannot be asked, or the disk is full.
        """
        del scratch
        archive = class_archive(self.settings, self.split, label=label)
        if archive is None:
            index = self._index()
            return {clip: self._in_parts(clip, index) for clip in clips}
        with self._lock:  # all threads of a step wait for the one archive of their class
            record = self._class_record(archive, clips)
            if isinstance(record, ClipError):
                return self._without(archive, clips, error=record)
        files = {file.clip: file for file in record.files if file.clip}
        key = (record.split, record.name)
        answers: dict[ClipId, Found | ClipError] = {}
        for clip in clips:
            file = files.get(clip.name)
            if record.refused:
                answers[clip] = _bad_archive(record)
            elif file is None:
                answers[clip] = NotAtSource(f"{clip.name} is not in {record.address}.")
            else:
                holding = Holding(key, file.file, file.size_bytes, file.sha256)
                answers[clip] = self._found(clip, holding, record)
        return answers

    def _without(
        self, archive: MirrorArchive, clips: Sequence[ClipId], *, error: ClipError
    ) -> dict[ClipId, ClipError]:
        """Return why each of `clips` cannot be had: the download of their archive failed.

        One download is one failure, however many clips it costs.
        """
        answers = {clip: clip_error(error.reason, error.message) for clip in clips}
        for answer in answers.values():
            answer.counted_before = archive.name in self._told
            self._told.add(archive.name)
        return answers

    def _class_record(
        self, archive: MirrorArchive, clips: Sequence[ClipId]
    ) -> ArchiveRecord | ClipError:
        """Return the record of a class's archive, fetched once a step when one of `clips` needs it.

        It is needed when it is not there, when it was refused, and when a file of it is gone.
        """
        record = read_record(self._layout, archive.split, archive.name)
        wanted = {clip.name for clip in clips}
        is_due = record is None or record.refused or self._lacks_file(record, wanted)
        if is_due and archive.name not in self._tried:
            try:
                record = get_archive(self.settings, archive, retries=self.retries)
                self._tried[archive.name] = None
            except Gone as error:
                self._tried[archive.name] = NotAtSource(error.message)
            except ClipError as error:
                self._tried[archive.name] = error
            except ArchiveRefused as error:
                self._tried[archive.name] = BadArchive(error.message)
        failed = self._tried.get(archive.name)
        if record is None:
            return failed or NotAtSource(f"{archive.name} has no record.")
        return record

    def _lacks_file(self, record: ArchiveRecord, wanted: set[str]) -> bool:
        """Return whether a wanted file that the archive held is gone from the store."""
        key = (record.split, record.name)
        return any(
            not file_is_there(self._layout, key, file.file, size_bytes=file.size_bytes)
            for file in record.files
            if file.clip in wanted
        )

    def _in_parts(self, clip: ClipId, index: MirrorIndex) -> Found | ClipError:
        """Return the file of a clip from the parts that have arrived."""
        held = index.held.get(clip.name)
        if held:
            return self._found(clip, held, index.archives[held.key])
        if clip.name in index.refused:
            return _bad_archive(index.archives[index.refused[clip.name]])
        return NotAtSource(f"No archive of the mirror that is here holds {clip.name}.")

    def _found(self, clip: ClipId, held: Holding, record: ArchiveRecord) -> Found | ClipError:
        """Return a file of the store."""
        if not file_is_there(self._layout, held.key, held.file, size_bytes=held.size_bytes):
            return NotAtSource(f"{clip.name} of {record.address} is gone from the store.")
        return Found(
            self._layout.mirror_files(*held.key) / held.file,
            f"{record.address}#{held.file}",
            is_whole_video=False,
            is_ours=False,
            sha256=held.sha256,
        )

    def _index(self) -> MirrorIndex:
        """Return what the parts of the dataset hold."""
        return index_of(self._layout, part_splits(self.settings.dataset))

    @property
    def _layout(self) -> Layout:
        """Paths of the dataset."""
        return Layout.of(self.settings)


def _bad_archive(record: ArchiveRecord) -> BadArchive:
    """Return why a clip of a refused archive cannot be had.

    The mirror itself works, so this counts against no other archive of it.
    """
    error = BadArchive(f"{record.address}: {record.refused}")
    error.source_works = True
    return error

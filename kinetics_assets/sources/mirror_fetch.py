"""Gets one archive of the mirror: download, look into it, unpack aside, publish, record.

A kill at any moment leaves a part that is gone on with, or an archive that is unpacked again; files
of an archive appear all at once, and its record after them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path, PurePosixPath

from kinetics_assets.core.clips import parse_clip_name
from kinetics_assets.core.errors import ArchiveRefused, DownloadFailed, EmptyFile, OverLimit
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.answers import FetchLimits
from kinetics_assets.io.archives import Member, unpack
from kinetics_assets.io.atomic import (
    os_faults,
    publish_folder,
    sha256_of,
    temp_path,
)
from kinetics_assets.io.egress import redact_url
from kinetics_assets.io.fetch import Fetched
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.io.locks import exclusive
from kinetics_assets.io.resume import Retries, fetch_resumable, sweep_partials
from kinetics_assets.io.takedowns import Takedowns, read_takedowns
from kinetics_assets.sources.local import SUFFIXES
from kinetics_assets.sources.mirror_archives import MirrorArchive, mirror_egress, mirror_host
from kinetics_assets.sources.mirror_store import (
    ArchiveRecord,
    MirrorFile,
    file_is_there,
    read_record,
    write_record,
)

_TOTAL_SECONDS = 24 * 3600.0
_MIN_BYTES_PER_SECOND = 1024.0
_MOST_NAME_BYTES = 143
"""Of a name that we make; no common file system takes less."""
_UNUSABLE = (DownloadFailed, EmptyFile, OverLimit)
"""What a download can say against the archive itself, as opposed to the way to it."""


def get_archive(
    settings: Settings,
    archive: MirrorArchive,
    *,
    again: bool = False,
    retries: Retries | None = None,
) -> ArchiveRecord:
    """Return the record of an archive, after it was fetched if that was needed.

    An archive whose files are all there is not asked for. One that was refused before is fetched
    again. A refused archive gives a record that says so, unless a sound one is there already.

    Args:
        settings: Of the dataset.
        archive: Which one.
        again: Fetch it although it is there.
        retries: How often the download is tried.

    Raises:
        ClipError: The download failed on the way; nothing is recorded.
        ArchiveRefused: The archive that came is unusable; the sound one of before stays.
        EnvironmentFault: The machine, the network, or a server that asks for a pause.
    """
    layout = Layout.of(settings)
    what = f"the archive {archive.name} of {settings.dataset} {archive.split}"
    with exclusive(layout.mirror_lock(archive.split, archive.name), wait=True, what=what):
        before = read_record(layout, archive.split, archive.name)
        job = _Job(settings, layout, archive, read_takedowns(settings.root))
        is_sound = before is not None and not before.refused and job.is_whole(before)
        if before and is_sound and not again:
            return before
        job.sweep()
        record = job.run(before, anew=again, retries=retries)
        if record.refused and before and is_sound:
            raise ArchiveRefused(
                f"{record.refused} The files of {before.recorded_at} stay in use.",
            )
        write_record(layout, record)
        job.put_away()
        return record


@dataclass(frozen=True, slots=True)
class _Job:
    """The work on one archive, under its lock."""

    settings: Settings
    layout: Layout
    archive: MirrorArchive
    takedowns: Takedowns

    @property
    def packed(self) -> Path:
        """File of the archive itself."""
        return self.layout.mirror_archive(self.archive.split, self.archive.name)

    @property
    def folder(self) -> Path:
        """Folder of its files."""
        return self.layout.mirror_files(self.archive.split, self.archive.name)

    def is_whole(self, record: ArchiveRecord) -> bool:
        """Return whether all files of a record are there with their size, takedowns aside."""
        key = (record.split, record.name)
        return all(
            file_is_there(self.layout, key, file.file, size_bytes=file.size_bytes)
            or self._is_taken_down(file.clip)
            for file in record.files
        )

    @property
    def work(self) -> Path:
        """Folder of what is half done."""
        return self.layout.mirror_work(self.archive.split, self.archive.name)

    def sweep(self) -> None:
        """Delete what was left behind, other than parts that can be gone on with.

        Whoever left it is gone, since the lock is ours. Process ids do not tell: another container
        on the same volume has its own.
        """
        shutil.rmtree(self.work, ignore_errors=True)
        sweep_partials(self.packed.parent)

    def run(
        self, before: ArchiveRecord | None, *, anew: bool, retries: Retries | None
    ) -> ArchiveRecord:
        """Return the record, not yet written, after the files were published."""
        try:
            fetched = self._fetched(before, anew=anew, retries=retries)
        except _UNUSABLE as error:
            return self._record(None, refused=error.message)
        with self._aside("unpack") as scratch:
            try:
                members = unpack(fetched.path, scratch)
            except ArchiveRefused as error:
                self.packed.unlink()  # else it would be taken for a kept one
                paths = sorted(path for path in scratch.rglob("*") if path.is_file())
                seen = tuple(MirrorFile(p.name, _clip_of(p.name), 0, "") for p in paths)
                return self._record(fetched, refused=error.message, files=seen)
            with self._aside("mirror") as flat:
                files = self._flattened(members, flat)
                publish_folder(flat, self.folder)
        return self._record(fetched, files=files)

    def put_away(self) -> None:
        """Delete the archive unless it shall be kept; done last, so that a kill wastes none."""
        shutil.rmtree(self.work, ignore_errors=True)
        if not self.settings.sources.mirror_keep_archives:
            self.packed.unlink(missing_ok=True)

    def _fetched(
        self, before: ArchiveRecord | None, *, anew: bool, retries: Retries | None
    ) -> Fetched:
        """Return the archive: one that is on the disk already, else from the mirror."""
        if self.packed.exists() and not anew:
            sha256 = sha256_of(self.packed)
            is_same = before is not None and before.sha256 == sha256
            etag = before.etag if before and is_same else ""
            size_bytes = self.packed.stat().st_size
            return Fetched(self.packed, redact_url(self.archive.url), sha256, size_bytes, etag)
        sources = self.settings.sources
        return fetch_resumable(
            self.archive.url,
            self.packed,
            egress=mirror_egress(self.settings),
            pace=HostPace(mirror_host(self.settings)),
            limits=FetchLimits(
                timeout_seconds=sources.timeout_seconds,
                total_seconds=_TOTAL_SECONDS,
                max_bytes=sources.max_source_bytes,
                min_bytes_per_second=_MIN_BYTES_PER_SECOND,
            ),
            retries=retries or Retries(max_wait_seconds=sources.max_wait_seconds),
        )

    def _flattened(self, members: tuple[Member, ...], folder: Path) -> tuple[MirrorFile, ...]:
        """Return the members as files of `folder`, moved there without their own folders.

        What was taken down is left behind. The first of a name by path has it; others are kept
        under a name of ours, as no clip.
        """
        files, others = [], []
        with os_faults(f"sorting into {folder}"):
            for member in sorted(members, key=lambda member: member.name):
                name = PurePosixPath(member.name).name
                if self._is_taken_down(_clip_of(name)):
                    continue
                if (folder / name).exists():
                    others.append(member)
                else:
                    files.append(_moved(member, folder / name, clip=_clip_of(name)))
            numbers = count(2)
            for member in others:
                while (path := folder / _numbered(member.path.name, next(numbers))).exists():
                    pass
                files.append(_moved(member, path, clip=""))
        return tuple(sorted(files, key=lambda file: file.file))

    def _is_taken_down(self, name: str) -> bool:
        """Return whether the clip of that name was taken down."""
        clip = parse_clip_name(name)
        dataset = self.settings.dataset
        return clip is not None and self.takedowns.entry_of(dataset, clip) is not None

    @contextmanager
    def _aside(self, stage: str) -> Iterator[Path]:
        """Yield a private folder on the disk of the archive's files, gone after the block."""
        with os_faults(f"creating {self.work}"):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            folder = temp_path(self.work / stage, stage=stage)
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _record(
        self,
        fetched: Fetched | None,
        *,
        refused: str = "",
        files: tuple[MirrorFile, ...] = (),
    ) -> ArchiveRecord:
        """Return the record of what came."""
        return ArchiveRecord(
            split=self.archive.split,
            name=self.archive.name,
            address=fetched.address if fetched else redact_url(self.archive.url),
            etag=fetched.etag if fetched else "",
            sha256=fetched.sha256 if fetched else "",
            size_bytes=fetched.size_bytes if fetched else 0,
            recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
            refused=refused,
            files=files,
        )


def _moved(member: Member, path: Path, *, clip: str) -> MirrorFile:
    """Return a member as a file of the store, after it was moved to `path`."""
    sha256 = sha256_of(member.path)
    member.path.rename(path)
    return MirrorFile(path.name, clip, member.size_bytes, sha256)


def _numbered(name: str, number: int) -> str:
    """Return `name` behind a number, cut at its start if it would be too long."""
    prefix = f"_{number}_"
    rest = name.encode()[-(_MOST_NAME_BYTES - len(prefix)) :]
    return prefix + rest.decode(errors="ignore")


def _clip_of(name: str) -> str:
    """Return the name of the clip that a file is by its name, empty if it is none."""
    path = PurePosixPath(name)
    is_clip = path.suffix.lower() in SUFFIXES and parse_clip_name(path.stem) is not None
    return path.stem if is_clip else ""

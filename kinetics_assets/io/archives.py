"""Tar archives from strangers: checked member by member, used whole or not at all."""

from __future__ import annotations

import errno
import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from kinetics_assets.core.errors import ArchiveRefused
from kinetics_assets.io.atomic import os_faults

_GZIP_START = b"\x1f\x8b"
_TAR_MAGIC = slice(257, 262)
_BLOCK_BYTES = 1 << 18
_MOST_READ_BYTES = 1 << 20
"""Of one read. We read blocks; tarfile reads a long name or an extended header in one go."""
_ZEROS = bytes(tarfile.BLOCKSIZE)
_JUNK = ("._", ".DS_Store", "__MACOSX")
"""Names that macOS adds."""
_UNREADABLE = (
    *(tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError),
    RecursionError,  # headers of headers
)
"""What the readers raise of damaged archives."""
_NAME_ERRNOS = frozenset(
    {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
)
"""What a file system says of a name that it cannot take, or takes for one that is there."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Caps on one archive; none is near what the published ones have."""

    max_members: int = 100_000
    """Also of the folders that their names imply."""
    max_bytes: int = 16 * 2**30
    """Of everything in the archive, unpacked."""
    max_ratio: float = 200.0
    """Unpacked bytes per packed byte."""
    max_name_bytes: int = 1024


@dataclass(frozen=True, slots=True)
class Member:
    """A file that was unpacked."""

    name: str
    """Relative path in the archive, with forward slashes."""
    path: Path
    size_bytes: int


def unpack(
    archive: Path,
    folder: Path,
    *,
    select: Callable[[str], bool] = lambda _: True,
    limits: ArchiveLimits | None = None,
) -> tuple[Member, ...]:
    """Return the selected files of a tar archive, written below the existing, private `folder`.

    Plain and gzipped archives are told apart by their first bytes, not by name. The whole archive
    is read, so a damaged one is noticed even if every selected member is sound. After an error
    `folder` may hold some of the members; it is the caller's to delete.

    Raises:
        ArchiveRefused: The archive is no tar, damaged, cut short, too large, or a member is not a
            plain file or folder below it.
        EnvironmentFault: The disk is full or not writable.
    """
    limits = limits or ArchiveLimits()
    members: list[Member] = []
    with _open(archive, limits) as stream, _refusals(archive):
        tar = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 - closing it reads on
        names = _Names()
        for number, entry in enumerate(tar, start=1):
            _check(entry, number=number, limits=limits)
            names.add(entry, limits=limits)
            tar.members.clear()  # type: ignore[attr-defined] # else it keeps every header
            name = str(PurePosixPath(entry.name))
            if not entry.isfile() or _is_junk(name) or not select(name):
                continue
            members.append(_write(tar, entry, name=name, folder=folder))
        # tarfile takes a header that it cannot read for the end; the true end is a block of zeros.
        if stream.last_read != _ZEROS:
            raise ArchiveRefused("it is cut short or damaged: the end mark is missing")
        while rest := stream.read(_BLOCK_BYTES):
            if rest.strip(b"\0"):
                raise ArchiveRefused("there are bytes after its end mark")
    return tuple(members)


@dataclass(frozen=True, slots=True)
class _Names:
    """Names of the members so far."""

    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    """With those that the names of files imply."""

    def add(self, entry: tarfile.TarInfo, *, limits: ArchiveLimits) -> None:
        """Raise `ArchiveRefused` if a name is taken, or is a file for one and a folder for another.

        Which of the two a member is would depend on their order.
        """
        path = PurePosixPath(entry.name)
        if entry.isfile():
            if str(path) in self.files:
                raise ArchiveRefused(f"two of its members are named {_shown(entry)}")
            if str(path) in self.folders:
                raise ArchiveRefused(f"its member {_shown(entry)} is a file and a folder")
            self.files.add(str(path))
        for folder in path.parents if entry.isfile() else (path, *path.parents):
            if str(folder) in self.folders:
                break  # and so are its parents
            if str(folder) in self.files:
                raise ArchiveRefused(f"its member {str(folder)[:80]!r} is a file and a folder")
            self.folders.add(str(folder))
        if len(self.folders) > limits.max_members:
            raise ArchiveRefused(f"it has more than {limits.max_members} folders")


def _check(entry: tarfile.TarInfo, *, number: int, limits: ArchiveLimits) -> None:
    """Raise `ArchiveRefused` if a member breaks the rules."""
    shown = _shown(entry)
    path = PurePosixPath(entry.name)
    if number > limits.max_members:
        raise ArchiveRefused(f"it has more than {limits.max_members} members")
    if not (entry.isfile() or entry.isdir()) or entry.issparse():
        raise ArchiveRefused(f"its member {shown} is no plain file (a link, a device or the like)")
    if path.is_absolute() or ".." in path.parts or "\\" in entry.name:
        raise ArchiveRefused(f"its member {shown} would be outside the folder")
    if not path.name or len(entry.name.encode("utf-8", "replace")) > limits.max_name_bytes:
        if entry.isdir() and not path.name:
            return  # "./"
        raise ArchiveRefused(f"the name of its member {shown} is empty or too long")
    if not all(part.isprintable() and len(part.encode()) <= 255 for part in path.parts):
        raise ArchiveRefused(f"the name of its member {shown} cannot be used")
    if entry.size < 0 or entry.size > limits.max_bytes:
        raise ArchiveRefused(f"its member {shown} claims {entry.size} bytes")


def _shown(entry: tarfile.TarInfo) -> str:
    """Return the name of a member for a message."""
    return repr(entry.name[:80])


def _is_junk(name: str) -> bool:
    """Return whether a member is a by-product of the packer's file system."""
    return any(part.startswith(_JUNK) for part in PurePosixPath(name).parts)


def _write(tar: tarfile.TarFile, entry: tarfile.TarInfo, *, name: str, folder: Path) -> Member:
    """Return the member, its bytes written below `folder`; mode, owner and time are not taken."""
    source = tar.extractfile(entry)
    if source is None:
        raise ArchiveRefused(f"its member {name!r} has no content")
    path = folder / name
    size = 0
    with os_faults(f"unpacking {path}"):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
        except OSError as error:
            if error.errno not in _NAME_ERRNOS:
                raise
            raise ArchiveRefused(
                f"the name of its member {_shown(entry)} cannot be used here ({error.strerror})"
            ) from error
        with file:
            while block := source.read(_BLOCK_BYTES):
                file.write(block)
                size += len(block)
    if size != entry.size:
        raise ArchiveRefused(f"it is cut short inside its member {name!r}")
    return Member(name, path, size)


class _Capped(io.RawIOBase):
    """Reads a stream up to a number of bytes and remembers what it read last."""

    def __init__(self, source: IO[bytes], *, packed_bytes: int, limits: ArchiveLimits) -> None:
        """Take bytes from `source`, which unpacks `packed_bytes`."""
        super().__init__()
        self.last_read = b""
        self._source = source
        self._limits = limits
        ratio_cap = int(max(packed_bytes, tarfile.RECORDSIZE) * limits.max_ratio)
        self._cap = min(limits.max_bytes, ratio_cap)

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes.

        A header can claim any size for the name or the header that follows it. That is refused
        before it is read: in memory it would take all of what a small file unpacks to.
        """
        if not 0 <= size <= _MOST_READ_BYTES:
            raise ArchiveRefused(f"a header of it claims to have {size} bytes")
        self.last_read = self._source.read(size)
        self._check_cap()
        return self.last_read

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to `offset`, which is never behind the present place."""
        position = self._source.seek(offset, whence)
        self._check_cap()
        return position

    def tell(self) -> int:
        """Return the present place."""
        return self._source.tell()

    def _check_cap(self) -> None:
        """Raise `ArchiveRefused` when more came out than the limits allow."""
        if self._source.tell() > self._cap:
            raise ArchiveRefused(
                f"it unpacks to more than {self._cap} bytes "
                f"(at most {self._limits.max_ratio:g} times its own size)"
            )


@contextmanager
def _open(archive: Path, limits: ArchiveLimits) -> Iterator[_Capped]:
    """Yield the unpacked bytes of `archive`."""
    with os_faults(f"reading {archive}"), archive.open("rb") as packed:
        start = packed.read(tarfile.BLOCKSIZE)
        packed.seek(0)
        size = archive.stat().st_size
        if start.startswith(_GZIP_START):
            with gzip.GzipFile(fileobj=packed, mode="rb") as plain:
                yield _Capped(plain, packed_bytes=size, limits=limits)  # type: ignore[arg-type]
        elif start[_TAR_MAGIC] == b"ustar":
            yield _Capped(packed, packed_bytes=size, limits=limits)
        else:
            raise ArchiveRefused(
                f"{archive.name} is no tar archive, gzipped or not: it begins with {start[:8]!r}.",
                remedy="Look at what the address sends; it may be an error page.",
            )


@contextmanager
def _refusals(archive: Path) -> Iterator[None]:
    """Name the archive in every refusal, and refuse on every error of the readers."""
    remedy = "Fetch it again; nothing of it was used."
    try:
        yield
    except ArchiveRefused as error:
        message = f"{archive.name} is refused: {error.message}."
        raise ArchiveRefused(message, remedy=remedy) from None
    except _UNREADABLE as error:
        raise ArchiveRefused(
            f"{archive.name} is refused: it is cut short or damaged ({error}).", remedy=remedy
        ) from error

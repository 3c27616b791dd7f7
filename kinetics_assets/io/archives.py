"""Tar archives from strangers: checked member by member, used whole or not at all."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from kinetics_assets.core.errors import ArchiveRefused
from kinetics_assets.io.atomic import os_faults

_GZIP_START = b"\x1f\x8b"
_TAR_MAGIC = slice(257, 262)
_BLOCK_BYTES = 1 << 18
_ZEROS = bytes(tarfile.BLOCKSIZE)
_JUNK = ("._", ".DS_Store", "__MACOSX")
"""Names that macOS adds."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Caps on one archive; none is near what the published ones have."""

    max_members: int = 100_000
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
        seen: set[str] = set()
        for number, entry in enumerate(tar, start=1):
            _check(entry, seen=seen, number=number, limits=limits)
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


def _check(entry: tarfile.TarInfo, *, seen: set[str], number: int, limits: ArchiveLimits) -> None:
    """Raise `ArchiveRefused` if a member breaks the rules."""
    shown = repr(entry.name[:80])
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
    if entry.isfile():
        if str(path) in seen:
            raise ArchiveRefused(f"two of its members are named {shown}")
        seen.add(str(path))


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
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
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
        """Return the next bytes."""
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
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise ArchiveRefused(
            f"{archive.name} is refused: it is cut short or damaged ({error}).", remedy=remedy
        ) from error

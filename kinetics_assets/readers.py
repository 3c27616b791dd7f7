"""Pictures out of packed frames and flow, for training code: any of them, in any order.

::

    frames = PackedFrames("rawframes_train/zumba/<clip>.rawframes.tar")
    frames.names            # ('img_00001.jpg', ...)
    frames.read("img_00001.jpg")    # JPEG bytes
    frames.decode("img_00001.jpg")  # numpy array, RGB

    PictureFiles().get("rawframes_train/zumba/<clip>.rawframes.tar/img_00001.jpg")

This module stands alone: it needs Python's standard library, and numpy and simplejpeg to decode.
Objects may be shared between threads, inherited by forked workers and pickled to spawned ones: a
read has a place of its own (`pread`), so no two can disturb each other.
"""

from __future__ import annotations

import json
import os
import tarfile
import threading
import weakref
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".tar", ".zip")
"""What the name of an archive ends in."""
_INDEXES = ("_rgb.json", "_flow.json")
_HEAD_BYTES = 1 << 16
_TAR_BLOCK = 512
_TAR_MAGIC = slice(257, 262)
_TAR_SIZE = slice(124, 136)
_ZIP_LOCAL = b"PK\x03\x04"
_ZIP_HEADER_BYTES = 30


class DamagedArchive(ValueError):
    """A file is no archive of pictures, or not what its own index says."""


class Span(NamedTuple):
    """Where a member is, in bytes from the start of the file."""

    header: int
    data: int
    size_bytes: int


class PackedFrames:
    """The pictures in one uncompressed tar or zip.

    Archives that Kinetics Assets wrote begin with an index, so that opening one costs a single
    read; of any other the headers are read, and of ours too, once, when another tool has packed
    them again and a picture is not where the index has it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the archive at `path` and learn where its pictures are.

        Raises:
            OSError: There is no such file, or it cannot be read.
            DamagedArchive: It is no tar or zip, is compressed, or ends before its last picture.
        """
        self.path = os.fspath(path)
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self._close = weakref.finalize(self, os.close, self._fd)
        try:
            self.index, self._spans = _read_spans(self._fd, self.path)
            self._are_places_read = False
            end = max((span.data + span.size_bytes for span in self._spans.values()), default=0)
            if end > os.fstat(self._fd).st_size:
                raise DamagedArchive(f"{self.path} ends before its last picture.")
        except BaseException:
            self.close()
            raise

    index: dict[str, Any]
    """What the index member says (count, start_index, width_px, height_px, engine, bound_px, ...);
    empty for an archive that another tool wrote."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the pictures, as they follow one another in the file."""
        return tuple(self._spans)

    def span(self, name: str) -> Span:
        """Return where the picture `name` is.

        Raises:
            KeyError: There is none of that name.
        """
        return self._spans[name]

    def read(self, name: str) -> bytes:
        """Return the bytes of the picture `name`.

        Raises:
            KeyError: There is none of that name.
            DamagedArchive: Another member, or nothing, is in its place.
        """
        data = self._data_at(self._spans[name], name)
        if data is None:
            if self.index and not self._are_places_read:
                self._read_places()
            data = self._data_at(self._spans[name], name)  # perhaps another thread has looked
        if data is None:
            raise DamagedArchive(f"{self.path}: {name} is not where the index has it.")
        return data

    def decode(self, name: str) -> np.ndarray[Any, Any]:
        """Return a frame as RGB, uint8 (height, width, 3), or a plane of flow, (height, width).

        Raises:
            KeyError: There is none of that name.
            ValueError: It is no JPEG picture.
        """
        import simplejpeg

        data = self.read(name)
        if name.startswith("flow_"):
            return simplejpeg.decode_jpeg(data, "GRAY")[:, :, 0]
        return simplejpeg.decode_jpeg(data, "RGB")

    def _data_at(self, span: Span, name: str) -> bytes | None:
        """Return the bytes of a picture at a place, None if it is not there."""
        data = _pread(self._fd, span.data + span.size_bytes - span.header, span.header)
        start = span.data - span.header
        return data[start:] if _is_header_of(name, data[:start], span) else None

    def _read_places(self) -> None:
        """Look in the headers where the pictures are; one that is not found stays where it was.

        Raises:
            DamagedArchive: They cannot be read, or their pictures are compressed.
        """
        try:
            found = _spans_by_headers(self._fd, self.path)
            self._spans = {name: found.get(name, span) for name, span in self._spans.items()}
        finally:
            self._are_places_read = True  # last: who sees it finds the places

    def close(self) -> None:
        """Close the file; it also closes by itself when nothing refers to this object any more."""
        self._close()

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[str]:
        return iter(self._spans)

    def __contains__(self, name: object) -> bool:
        return name in self._spans

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[PackedFrames], tuple[str]]:
        """Return how a spawned worker makes its own: by opening the file again."""
        return type(self), (self.path,)


class PictureFiles:
    """Pictures by path, loose or packed: what stands behind an archive's name is looked up in it.

    The archives that were used last stay open.
    """

    def __init__(self, *, open_archives: int = 64) -> None:
        """Keep at most `open_archives` files open."""
        self._most = open_archives
        self._open: OrderedDict[str, PackedFrames] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, path: str | os.PathLike[str]) -> bytes:
        """Return the bytes of one picture.

        Raises:
            OSError: There is no such file, or no such picture in the archive.
            DamagedArchive: The archive is damaged.
        """
        archive, name = split_path(os.fspath(path))
        if not archive:
            return Path(path).read_bytes()
        try:
            return self._archive(archive).read(name)
        except KeyError as error:
            raise FileNotFoundError(f"{archive} has no {name}") from error

    def _archive(self, path: str) -> PackedFrames:
        """Return an open archive, the least used one being given up for it."""
        with self._guard:
            archive = self._open.get(path)
            if archive is None:
                archive = self._open[path] = PackedFrames(path)
            self._open.move_to_end(path)
            while len(self._open) > self._most:
                self._open.popitem(last=False)  # closes once no thread reads it any more
            return archive

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how a spawned worker makes its own."""
        return _picture_files, (self._most,)


def split_path(path: str) -> tuple[str, str]:
    """Return (archive, member) of ``<archive>.tar/<member>``, ("", path) for a loose file."""
    archive, slash, name = path.rpartition("/")
    if slash and archive.endswith(SUFFIXES):
        return archive, name
    return "", path


def _picture_files(open_archives: int) -> PictureFiles:
    return PictureFiles(open_archives=open_archives)


def _read_spans(fd: int, path: str) -> tuple[dict[str, Any], dict[str, Span]]:
    """Return the index of an archive and where its pictures are."""
    head = _pread(fd, _HEAD_BYTES, 0)
    if head[_TAR_MAGIC] == b"ustar":
        size = _octal(head[_TAR_SIZE])
        first = Span(0, _TAR_BLOCK, size or 0)
        name = head[:100].rstrip(b"\0") if size is not None else b""
    elif head[:4] == _ZIP_LOCAL:
        start = _ZIP_HEADER_BYTES + int.from_bytes(head[26:28], "little")
        name = head[_ZIP_HEADER_BYTES:start]
        start += int.from_bytes(head[28:30], "little")
        first = Span(0, start, int.from_bytes(head[18:22], "little"))
    else:
        raise DamagedArchive(f"{path} is neither a ustar file nor a zip file.")
    index = _index(fd, head, first) if name.decode(errors="replace") in _INDEXES else None
    if index is None:
        return _without_index(fd, _spans_by_headers(fd, path))
    members = index.pop("members")
    try:
        return index, _spans_after(first, members, is_tar=head[_TAR_MAGIC] == b"ustar")
    except (TypeError, ValueError) as error:
        raise DamagedArchive(f"{path} does not say where its pictures are.") from error


def _index(fd: int, head: bytes, first: Span) -> dict[str, Any] | None:
    """Return what the first member says, None when it does not say where the others are."""
    end = first.data + first.size_bytes
    if end > os.fstat(fd).st_size:
        return None  # it would not fit into memory, either
    data = head[first.data : end] if end <= len(head) else _pread(fd, first.size_bytes, first.data)
    try:
        index = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return index if isinstance(index, dict) and "members" in index else None


def _without_index(fd: int, spans: dict[str, Span]) -> tuple[dict[str, Any], dict[str, Span]]:
    """Return what our index among an archive's files says, if one is, and where the others are."""
    for name in _INDEXES:
        index = _index(fd, b"", spans[name]) if name in spans else None
        if index is not None:
            index.pop("members")
            return index, {other: span for other, span in spans.items() if other != name}
    return {}, spans


def _spans_by_headers(fd: int, path: str) -> dict[str, Span]:
    """Return where the files in an archive are, by the headers of all of them."""
    is_tar = _pread(fd, _TAR_BLOCK, 0)[_TAR_MAGIC] == b"ustar"
    return _tar_spans(path) if is_tar else _zip_spans(fd, path)


def _spans_after(
    first: Span, members: list[tuple[str, object]], *, is_tar: bool
) -> dict[str, Span]:
    """Return where the members are that follow one another after the first."""
    place = first.data + first.size_bytes
    spans = {}
    for name, size_bytes in members:
        if not isinstance(size_bytes, int) or size_bytes < 0:
            raise ValueError(name)
        if is_tar:
            place += -place % _TAR_BLOCK
            start = place + _TAR_BLOCK
        else:
            start = place + _ZIP_HEADER_BYTES + len(name)
        spans[name] = Span(place, start, size_bytes)
        place = start + size_bytes
    return spans


def _tar_spans(path: str) -> dict[str, Span]:
    """Return where the files in a tar of another tool are."""
    try:
        with tarfile.open(path, "r:") as archive:
            return {
                _plain(member.name): Span(
                    member.offset_data - _TAR_BLOCK, member.offset_data, member.size
                )
                for member in archive
                if member.isreg()
            }
    except tarfile.TarError as error:
        raise DamagedArchive(f"{path} is a damaged tar: {error}.") from error


def _plain(name: str) -> str:
    """Return a member's name without what ``tar -C folder .`` puts in front."""
    return name.removeprefix("./")


def _zip_spans(fd: int, path: str) -> dict[str, Span]:
    """Return where the files in a zip of another tool are."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, LookupError, ValueError) as error:
        raise DamagedArchive(f"{path} is a damaged zip: {error}.") from error
    spans = {}
    for info in members:
        if info.compress_type != zipfile.ZIP_STORED:
            raise DamagedArchive(f"{path} is compressed: its pictures cannot be read one by one.")
        lengths = _pread(fd, 4, info.header_offset + 26)
        start = info.header_offset + _ZIP_HEADER_BYTES
        start += int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        spans[info.filename] = Span(info.header_offset, start, info.file_size)
    return spans


def _is_header_of(name: str, header: bytes, span: Span) -> bool:
    """Return whether the bytes before a member's data are its header."""
    encoded = name.encode(errors="surrogateescape")  # as tarfile decodes names
    if header[_TAR_MAGIC] == b"ustar":
        is_size = _octal(header[_TAR_SIZE]) == span.size_bytes
        # names of more than 100 bytes stand in parts, as only other tools write them
        own = header[:100].rstrip(b"\0").removeprefix(b"./")
        return is_size and (len(encoded) > 98 or own == encoded)
    start = _ZIP_HEADER_BYTES
    is_stored = header[:4] == _ZIP_LOCAL and header[8:10] == b"\0\0"
    extra = int.from_bytes(header[28:30], "little")  # other tools keep times there
    is_whole = len(header) == span.data - span.header == start + len(encoded) + extra
    return is_stored and is_whole and header[start : start + len(encoded)] == encoded


def _octal(field: bytes) -> int | None:
    """Return the number in a field of a tar header, None where it is damaged or not octal."""
    try:
        return int(field.rstrip(b"\0 "), 8)
    except ValueError:
        return None


def _pread(fd: int, size_bytes: int, place: int) -> bytes:
    """Return the bytes at a place, fewer only where the file ends."""
    data = os.pread(fd, size_bytes, place)
    while len(data) < size_bytes:
        more = os.pread(fd, size_bytes - len(data), place + len(data))
        if not more:
            break
        data += more
    return data

"""Which container a file is, by its bytes, and whether the file is all there.

Only the containers below are ever opened, each with its demuxer forced by name: libav's own probing
would also find playlists and scripts that open other files and addresses.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from kinetics_assets.core.errors import EmptyFile, NotMedia, Truncated

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = {
    "mp4": ".mp4",
    "mov": ".mov",
    "webm": ".webm",
    "matroska": ".mkv",
    "avi": ".avi",
    "flv": ".flv",
    "mpegts": ".ts",
    "mpeg": ".mpg",
}
"""File extension of each container that is accepted."""

_DEMUXERS = {"mp4": "mov", "webm": "matroska"}
_HEAD_BYTES = 4096
_TS_PACKET_BYTES = 188
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"uuid"}
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_OTHER_KINDS = (
    (b"#EXTM3U", "a playlist"),
    (b"ffconcat", "a script that joins other files"),
    (b"<?xml", "an XML document"),
    (b"<", "a web page"),
    (b"{", "JSON"),
    (b"[", "text"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"GIF8", "a GIF picture"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"ID3", "an MP3 sound file"),
    (b"OggS", "an Ogg file"),
)


@dataclass(frozen=True, slots=True)
class Container:
    """A container that is accepted."""

    name: str
    """A key of `SUFFIXES`."""

    @property
    def demuxer(self) -> str:
        """Name of libav's demuxer for it."""
        return _DEMUXERS.get(self.name, self.name)

    @property
    def suffix(self) -> str:
        """The file extension that tells the truth."""
        return SUFFIXES[self.name]


def sniff(path: Path) -> Container:
    """Return the container of the file at `path`, whose outer structure is complete.

    Raises:
        EmptyFile: It has no bytes.
        NotMedia: It is no regular file, or none of the accepted containers.
        Truncated: It ends before its own structure does.
        OSError: It cannot be read.
    """
    # O_NONBLOCK: a pipe in place of the file must not hang us
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise NotMedia("Not a regular file.")
        if status.st_size == 0:
            raise EmptyFile("The file has no bytes.")
        head = file.read(_HEAD_BYTES)
        name = _container_name(head)
        if name in {"mp4", "mov"}:
            _check_boxes(file, status.st_size)
        elif name in {"matroska", "webm"}:
            _check_segment(head, status.st_size)
        elif name == "avi":
            _check_riff(head, status.st_size)
    return Container(name)


def _container_name(head: bytes) -> str:
    """Return the accepted container that begins with `head`."""
    if head[4:8] in _BOXES:
        return "mov" if head[4:12] == b"ftypqt  " or head[4:8] != b"ftyp" else "mp4"
    if head.startswith(_EBML):
        return "webm" if b"webm" in head[:64] else "matroska"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"FLV\x01"):
        return "flv"
    if head.startswith(b"\x00\x00\x01\xba"):
        return "mpeg"
    if head[: 3 * _TS_PACKET_BYTES : _TS_PACKET_BYTES] == b"GGG":  # sync bytes
        return "mpegts"
    raise NotMedia(f"Not a video file, but {_other_kind(head)}.")


def _other_kind(head: bytes) -> str:
    """Return what `head` is the beginning of, for people."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, kind in _OTHER_KINDS:
        if text.startswith(magic) or head.startswith(magic):
            return kind
    if not head.strip(b"\x00"):
        return "zeros"
    return f"something that begins with the bytes {head[:8].hex(' ')}"


def _check_boxes(file: BinaryIO, size_bytes: int) -> None:
    """Raise Truncated if a top-level box of an MP4 runs past the end or the index is missing."""
    seen: set[bytes] = set()
    offset = 0
    while offset + 8 <= size_bytes:
        file.seek(offset)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4]), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16])
        elif length == 0:
            length = size_bytes - offset
        is_junk = length < 8 or not kind.isalnum()
        if is_junk and {b"moov", b"mdat"} <= seen:
            return  # some writers leave padding at the end
        if is_junk:
            raise Truncated(f"The MP4 structure breaks off at byte {offset} of {size_bytes}.")
        if offset + length > size_bytes:
            raise Truncated(
                f"The MP4 box {kind.decode()!r} needs {offset + length} bytes, "
                f"the file has {size_bytes}."
            )
        seen.add(kind)
        offset += length
    if b"moov" not in seen:
        raise Truncated("The MP4 has no index (moov box): it was not written to its end.")


def _check_segment(head: bytes, size_bytes: int) -> None:
    """Raise Truncated if a Matroska segment of known length runs past the end."""
    at = head.find(_SEGMENT)
    if at < 0 or at + 12 > len(head):
        return
    first = head[at + 4]
    length = 9 - first.bit_length()
    if not 1 <= length <= 8:
        return
    value = int.from_bytes(head[at + 4 : at + 4 + length]) & ((1 << 7 * length) - 1)
    if value == (1 << 7 * length) - 1:
        return  # a live recording does not know its length
    needed = at + 4 + length + value
    if needed > size_bytes:
        raise Truncated(f"The Matroska file needs {needed} bytes, it has {size_bytes}.")


def _check_riff(head: bytes, size_bytes: int) -> None:
    """Raise Truncated if the first RIFF chunk of an AVI runs past the end."""
    needed = 8 + int.from_bytes(head[4:8], "little")
    if needed > size_bytes:
        raise Truncated(f"The AVI file needs {needed} bytes, it has {size_bytes}.")

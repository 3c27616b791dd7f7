"""How much of its pictures an MP4 wants to be shown: its edit list may leave some out.

libav obeys edit lists, but goes on telling the number of all frames. Boxes are those of ISO/IEC
14496-12, 8.6.6 (``elst``). What is not exactly as expected shows everything.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BOX = struct.Struct(">I4s")
_MOST_BYTES = 64 << 20
_MOST_BOXES = 10_000
_NOTHING = -1
"""Media time of an edit that shows nothing for a while."""


def shown_share(path: Path) -> float:
    """Return which share of the first video track an MP4's edit list shows, 0 to 1.

    Raises:
        OSError: The file cannot be read.
    """
    index = _index(path)
    try:
        (movie_rate,) = struct.unpack_from(">I", *_past_times(_within(index, b"mvhd")))
        for track in _all_within(index, b"trak"):
            media = _within(track, b"mdia")
            if _within(media, b"hdlr")[8:12] != b"vide":
                continue
            header, at = _past_times(_within(media, b"mdhd"))
            rate, ticks = struct.unpack_from(">IQ" if header[0] else ">II", header, at)
            edits = list(_edits(_within(_within(track, b"edts"), b"elst")))
            shown = sum(length for length, begin in edits if begin != _NOTHING)
            if not ticks or not all(length for length, _ in edits) or not edits:
                return 1.0
            return min(1.0, shown / movie_rate * rate / ticks)
    except (struct.error, ZeroDivisionError):
        pass
    return 1.0


def _index(path: Path) -> bytes:
    """Return the content of the box ``moov``, nothing where it is missing or huge."""
    with path.open("rb") as file:
        for _ in range(_MOST_BOXES):
            head = file.read(16)
            if len(head) < _BOX.size:
                break
            size, kind = _BOX.unpack_from(head)
            begin = _BOX.size
            if size == 1:
                size, begin = int.from_bytes(head[8:16]), 16
            if kind == b"moov":
                file.seek(begin - len(head), 1)
                return file.read(size - begin) if begin <= size <= _MOST_BYTES else b""
            if size < begin:
                break
            file.seek(size - len(head), 1)
    return b""


def _all_within(data: bytes, kind: bytes) -> Iterator[bytes]:
    """Yield the contents of the boxes of a kind that `data` consists of."""
    offset = 0
    while offset + _BOX.size <= len(data):
        size, found = _BOX.unpack_from(data, offset)
        if size < _BOX.size:
            return
        if found == kind:
            yield data[offset + _BOX.size : offset + size]
        offset += size


def _within(data: bytes, kind: bytes) -> bytes:
    """Return the content of the first box of a kind, nothing where there is none."""
    return next(_all_within(data, kind), b"")


def _past_times(header: bytes) -> tuple[bytes, int]:
    """Return a ``mvhd`` or ``mdhd``, and where its time scale stands."""
    return header, 20 if header[:1] == b"\x01" else 12


def _edits(box: bytes) -> Iterator[tuple[int, int]]:
    """Yield length, in ticks of the movie, and begin, in ticks of the track, of each edit.

    Raises:
        struct.error: The list is shorter than it says.
    """
    if not box:
        return
    entry = struct.Struct(">QqI" if box[0] == 1 else ">IiI")
    (count,) = struct.unpack_from(">I", box, 4)
    for number in range(count):
        length, begin, _ = entry.unpack_from(box, 8 + number * entry.size)
        yield length, begin

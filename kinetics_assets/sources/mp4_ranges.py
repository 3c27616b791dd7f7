"""Which bytes of a long MP4 hold a clip: for files in fragments with an index at their start.

Such a file is a header, an index (box ``sidx``) and then fragments of some seconds each, every one
with its own times. The header and some fragments in a row are again a video, whose times begin
late. YouTube's files are made like this. The bytes come from a stranger: whatever is not exactly as
expected gives no index, and then the whole file is fetched.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_BOX = struct.Struct(">I4s")
_MOST_BOXES = 16
_MOST_PIECES = 100_000
_SEEK_BACK_SECONDS = 3.0
"""A cut begins to read this long before its start, to be sure to find sound and a key frame."""
_RUN_OUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Fragment:
    """One piece of the file that can be decoded by itself."""

    offset: int
    size_bytes: int
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True, slots=True)
class FragmentIndex:
    """Where the fragments are."""

    head: bytes
    """All before the first fragment, the index taken out: it would lead astray in a part."""
    fragments: tuple[Fragment, ...]
    """All of them, in order, without a gap."""

    def holding(self, start_seconds: float, end_seconds: float) -> Fragment | None:
        """Return the fragments in a row that hold a span, as one; None if none does.

        Args:
            start_seconds: Of the span, counted from the first frame of the file.
            end_seconds: End of the span; the file may be over before.
        """
        origin = self.fragments[0].start_seconds
        begin = origin + start_seconds - _SEEK_BACK_SECONDS
        end = origin + end_seconds + _RUN_OUT_SECONDS
        row = [f for f in self.fragments if f.end_seconds > begin and f.start_seconds < end]
        if not row:
            return None
        size_bytes = row[-1].offset + row[-1].size_bytes - row[0].offset
        first, last = row[0].start_seconds - origin, row[-1].end_seconds - origin
        return Fragment(row[0].offset, size_bytes, first, last)


def read_index(start: bytes, *, file_bytes: int) -> FragmentIndex | None:
    """Return the index at the start of a file, None if there is none that can be relied on.

    Args:
        start: The first bytes of the file, as many as there may be before the first fragment.
        file_bytes: Size of the whole file.
    """
    boxes = list(_boxes(start))
    kinds = [kind for kind, _, _ in boxes]
    if kinds[:1] != [b"ftyp"] or kinds.count(b"moov") != 1 or kinds.count(b"sidx") != 1:
        return None
    _, begin, end = boxes[kinds.index(b"sidx")]
    try:
        fragments = _fragments(start[begin + _BOX.size : end], after=end)
    except struct.error:
        return None
    if not fragments or fragments[-1].offset + fragments[-1].size_bytes > file_bytes:
        return None
    first = fragments[0].offset
    if not end <= first <= len(start) - _BOX.size or start[first + 4 : first + 8] != b"moof":
        return None
    head = start[: begin + 4] + b"free" + start[begin + 8 : first]
    return FragmentIndex(head, fragments)


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (kind, begin, end) of the outer boxes that lie in `data` as a whole."""
    offset = 0
    for _ in range(_MOST_BOXES):
        if offset + _BOX.size > len(data):
            return
        size, kind = _BOX.unpack_from(data, offset)
        if size < _BOX.size or offset + size > len(data):
            return
        yield kind, offset, offset + size
        offset += size


def _fragments(box: bytes, *, after: int) -> tuple[Fragment, ...]:
    """Return the fragments that the content of a ``sidx`` lists; none if it is unusual.

    Raises:
        struct.error: It is shorter than it says.
    """
    long = box[:1] == b"\x01"
    _, ticks_a_second = struct.unpack_from(">II", box, 4)
    time, gap = struct.unpack_from(">QQ" if long else ">II", box, 12)
    count_at = 28 if long else 20
    (count,) = struct.unpack_from(">H", box, count_at + 2)
    if not ticks_a_second or not count <= _MOST_PIECES:
        return ()
    offset, found = after + gap, []
    for number in range(count):
        size, ticks, _ = struct.unpack_from(">III", box, count_at + 4 + 12 * number)
        if size >> 31 or not size or not ticks:
            return ()  # leads to another index, or to nothing
        begin, time = time / ticks_a_second, time + ticks
        found.append(Fragment(offset, size, begin, time / ticks_a_second))
        offset += size
    return tuple(found)

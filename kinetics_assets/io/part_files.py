"""Files of parts: what was worked out class by class, kept until the source of a part changes.

Such a file may be deleted at any time and is believed only where it proves itself: every part and
the index have a sha256, a part names what it was made from, and the file what code made it. What
does not hold is as if it were not there. ::

    kinetics-parts <maker> <bytes of the index> <sha256 of the index>
    <index: JSON, name -> source, facts, first byte and number of bytes after it, sha256>
    <parts, one after the other>
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kinetics_assets.io.atomic import write_chunks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MAGIC: Final = b"kinetics-parts"
_LONGEST_HEADER: Final = 200


@dataclass(frozen=True, slots=True)
class Part:
    """One part: bytes, and what is to be known without reading them."""

    source: str
    """What it was made from; another text means that it is out of date."""
    facts: dict[str, Any]
    """JSON values."""
    content: bytes | memoryview
    sha256: str
    """Of `content`, as hex digits."""

    @classmethod
    def of(cls, source: str, facts: dict[str, Any], content: bytes) -> Part:
        """Return the part that holds `content`."""
        return cls(source, facts, content, hashlib.sha256(content).hexdigest())

    def is_whole(self) -> bool:
        """Return whether the content is what was written."""
        return hashlib.sha256(self.content).hexdigest() == self.sha256


@dataclass(frozen=True, slots=True)
class PartFile:
    """The parts of a file that was read, or none."""

    parts: dict[str, Part]
    """By name; the contents lie in the file's memory map and were not looked at."""
    written_ns: int
    """When the file was written, by the clock of its file system; 0 if there is none."""


def read_parts(path: Path, *, maker: str) -> PartFile:
    """Return the parts in a file; none if it cannot be read, is damaged or by another `maker`.

    Args:
        path: The file.
        maker: What the parts were made by, without blanks.
    """
    nothing = PartFile({}, 0)
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            if not stat.st_size:
                return nothing
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError:  # it may be missing, and some file systems cannot map
        return nothing
    header, found, _ = bytes(mapped[:_LONGEST_HEADER]).partition(b"\n")
    words = header.split(b" ")
    if not found or words[:2] != [_MAGIC, maker.encode()] or len(words) != 4:
        return nothing
    first = len(header) + 1
    size = int(words[2]) if words[2].isdigit() else 0
    index = bytes(mapped[first : first + size])
    if hashlib.sha256(index).hexdigest().encode() != words[3]:
        return nothing
    contents = mapped[first + size :]
    parts = {
        name: Part(source, facts, contents[start : start + length], sha256)
        for name, (source, facts, start, length, sha256) in json.loads(index).items()
    }
    return PartFile(parts, stat.st_mtime_ns)


def write_parts(path: Path, parts: Mapping[str, Part], *, maker: str) -> None:
    """Make the file hold `parts`; of two writers the last wins, and no reader sees a mix."""
    index, start = {}, 0
    for name, part in parts.items():
        length = len(part.content)
        index[name] = (part.source, part.facts, start, length, part.sha256)
        start += length
    text = json.dumps(index).encode()
    header = b"%s %s %d %s\n" % (
        _MAGIC,
        maker.encode(),
        len(text),
        hashlib.sha256(text).hexdigest().encode(),
    )
    write_chunks(path, [header, text, *(part.content for part in parts.values())])

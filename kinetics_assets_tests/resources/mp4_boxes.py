"""Changing one box of an MP4 whose index is last: everything around it stays right."""

from __future__ import annotations

from collections.abc import Callable, Iterator

_BEFORE_CHILDREN = {b"stsd": 8, b"avc1": 78}
"""Bytes of a box's own before the boxes in it."""


def changed(data: bytes, path: str, change: Callable[[bytes], bytes]) -> bytes:
    """Return `data` with the content of a box replaced by what `change` makes of it.

    Args:
        data: A file, or the content of a box.
        path: Kinds of box from the outside in, such as ``moov/mvhd``; the first of each is meant.
        change: From content to content.

    Raises:
        ValueError: There is no such box.
    """
    kind, _, rest = path.partition("/")
    for begin, end in _boxes(data):
        if data[begin + 4 : begin + 8] == kind.encode():
            content = data[begin + 8 : end]
            if rest:
                own = _BEFORE_CHILDREN.get(kind.encode(), 0)
                content = content[:own] + changed(content[own:], rest, change)
            else:
                content = change(content)
            box = (len(content) + 8).to_bytes(4) + kind.encode() + content
            return data[:begin] + box + data[end:]
    raise ValueError(f"no box {kind!r}")


def put(at: int, value: bytes) -> Callable[[bytes], bytes]:
    """Return a change that writes `value` over the bytes at an offset."""
    return lambda content: content[:at] + value + content[at + len(value) :]


def _boxes(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each box that `data` consists of."""
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4])
        yield at, at + length
        at += length

"""Fetching only the part of a long file that holds a clip."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Any

from kinetics_assets.core.errors import Truncated
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.sources.mp4_ranges import read_index

_INDEX_BYTES = 1 << 19
"""Header and index of some hours of video have a tenth of this."""
_BLOCK_BYTES = 1 << 18
_WORTH_IT = 0.8
"""A part that is a larger share of the file is not worth the extra request."""
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.ASCII)


def download_part(
    downloader: Any,  # noqa: ANN401 - yt-dlp has no types
    part: dict[str, Any],
    path: Path,
    span: tuple[float, float],
) -> float | None:
    """Return the second at which the part with `span` begins, after storing it as `path`.

    None is returned, and nothing stored, where the server or the file does not allow it: then the
    whole file must be fetched.

    Args:
        downloader: A guarded one.
        part: A format of yt-dlp: address and headers.
        path: Where to store it.
        span: (start, end) in seconds.

    Raises:
        Truncated: The server broke off.
        yt_dlp.utils.YoutubeDLError: The server refused.
    """
    with closing(_asked(downloader, part, 0, _INDEX_BYTES)) as answer:
        total = _announced(answer, 0, _INDEX_BYTES)
        if total is None:
            return None
        index = read_index(_read(answer, min(total, _INDEX_BYTES)), file_bytes=total)
        version = answer.headers.get("ETag")
    row = index.holding(*span) if index else None
    if index is None or row is None or row.size_bytes > _WORTH_IT * total:
        return None
    end = row.offset + row.size_bytes
    with closing(_asked(downloader, part, row.offset, end)) as answer:
        again = _announced(answer, row.offset, end)
        if again != total or answer.headers.get("ETag") != version:
            return None
        with os_faults(f"writing {path}"), path.open("xb") as file:
            file.write(index.head)
            left = row.size_bytes
            while left:
                block = _read(answer, min(left, _BLOCK_BYTES))
                file.write(block)
                left -= len(block)
    return row.start_seconds


def _asked(downloader: Any, part: dict[str, Any], begin: int, end: int) -> Any:  # noqa: ANN401
    """Return the answer to a request for the bytes [begin, end)."""
    from yt_dlp.networking import Request

    headers = dict(part.get("http_headers") or {})
    headers |= {"Accept-Encoding": "identity", "Range": f"bytes={begin}-{end - 1}"}
    return downloader.urlopen(Request(part["url"], headers=headers))


def _announced(answer: Any, begin: int, end: int) -> int | None:  # noqa: ANN401 - yt-dlp's
    """Return the size of the whole file if the answer is the range asked for, else None."""
    found = _RANGE.fullmatch(answer.headers.get("Content-Range") or "")
    if answer.status != 206 or not found:
        return None
    first, last, total = map(int, found.groups())
    return total if (first, last) == (begin, min(end, total) - 1) else None


def _read(answer: Any, size: int) -> bytes:  # noqa: ANN401 - yt-dlp's
    """Return exactly `size` bytes.

    Raises:
        Truncated: There are fewer.
    """
    blocks: list[bytes] = []
    left = size
    while left:
        block = answer.read(min(left, _BLOCK_BYTES))
        if not block:
            raise Truncated(f"A part of the file ended {left} bytes too early.")
        blocks.append(block)
        left -= len(block)
    return b"".join(blocks)

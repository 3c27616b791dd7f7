"""Checking JPEG pictures by decoding them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kinetics_assets.core.errors import NoFrames, Undecodable
from kinetics_assets.core.geometry import Size
from kinetics_assets.media.facts import FrameFacts
from kinetics_assets.media.probe import check_size

_SMALLEST: Final = 8
"""Of the scales that a JPEG can be decoded at, the one that costs least."""

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kinetics_assets.media.probe import Caps


def check_pictures(folder: Path, names: Sequence[str], *, caps: Caps) -> FrameFacts:
    """Return the number and the one size of the pictures `names` in `folder`, all decoded.

    Raises:
        Undecodable: One is missing, damaged, no JPEG, or of another size than the first.
        NoFrames: There are no names.
        OverLimit: A picture is too large.
        OSError: A file cannot be read.
    """
    size: Size | None = None
    for name in names:
        found = _decode(folder / name, name, caps)
        if size is not None and found != size:
            raise Undecodable(f"{name} has {found} pixels, the first picture has {size}.")
        size = found
    if size is None:
        raise NoFrames("There are no pictures.")
    return FrameFacts(len(names), size.width_px, size.height_px)


def _decode(path: Path, name: str, caps: Caps) -> Size:
    """Return the size of one picture, decoded to its last block."""
    import simplejpeg

    try:
        data = _read(path)
    except FileNotFoundError as error:
        raise Undecodable(f"{name} is missing.") from error
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        check_size(width, height, caps)
        # every code of every block is read, which is what can fail; only grey comes of it, an
        # eighth as wide and high, because nobody looks
        simplejpeg.decode_jpeg(
            data, "GRAY", strict=True, min_height=1, min_width=1, min_factor=_SMALLEST
        )
    except ValueError as error:
        raise Undecodable(f"{name} is no whole JPEG picture: {error}.") from error
    return Size(width, height)


def _read(path: Path) -> bytes:
    """Return the content of a small file in as few steps as possible."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - in a hot loop
        return file.read()

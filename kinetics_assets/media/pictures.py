"""Checking JPEG pictures by decoding them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.core.errors import NoFrames, Undecodable
from kinetics_assets.core.geometry import Size
from kinetics_assets.media.facts import FrameFacts
from kinetics_assets.media.probe import check_size

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
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise Undecodable(f"{name} is missing.") from error
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        check_size(width, height, caps)
        # grey: every block is read, colour is not converted
        simplejpeg.decode_jpeg(data, "GRAY", strict=True)
    except ValueError as error:
        raise Undecodable(f"{name} is no whole JPEG picture: {error}.") from error
    return Size(width, height)

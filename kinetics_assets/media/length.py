"""How long a video is, without decoding it where its header tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.media.probe import Caps, open_video
from kinetics_assets.media.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

_MICROSECONDS = 1_000_000


def length_seconds(path: Path, caps: Caps) -> float:
    """Return the length that the header of the video at `path` promises, in seconds.

    A header that is silent costs a decode of the whole file. The promise decides only whether a
    file has to be cut; what is kept is decoded afterwards.

    Raises:
        ClipError: The file cannot be read as a video.
        OSError: The file cannot be read.
    """
    with open_video(path, caps) as video:
        promised = video.promised_seconds or float(video.input.duration or 0) / _MICROSECONDS
    return promised or verify(path, caps).duration_seconds

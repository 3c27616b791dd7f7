"""What the parts of our work on a clip cost, each measured by doing all up to it and no more.

`costs(source, folder)` in a bench: everything in this process, one thread, without a sandbox. What
is left out between two measurements is the part's cost, so small parts are small differences.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from kinetics_assets.core.geometry import frame_size, parse_size
from kinetics_assets.core.settings import FrameRecipe, Limits, ResizeRecipe
from kinetics_assets.io.atomic import folder_sha256, sha256_of
from kinetics_assets.media.decode import frames
from kinetics_assets.media.picture import size_of, yuv_maker
from kinetics_assets.media.pictures import check_pictures
from kinetics_assets.media.probe import Caps, open_video
from kinetics_assets.media.rawframes import rawframes
from kinetics_assets.media.resize import resize
from kinetics_assets.media.verify import verify

CAPS: Final = Caps(Limits().max_side_px, Limits().max_frames)
SMALL: Final = ResizeRecipe()
FRAMES: Final = FrameRecipe()


def costs(source: Path, folder: Path) -> dict[str, float]:
    """Return CPU seconds by ``stage: part`` for a clip of square samples that is stored upright.

    Args:
        source: The clip.
        folder: Existing, for what is made.
    """
    small = folder / "small.mp4"
    decoding = _seconds(lambda: _scaled(source, None))
    shrinking = _seconds(lambda: _scaled(source, "BICUBIC"))
    resizing = _seconds(lambda: resize(source, small, recipe=SMALL, caps=CAPS))
    looking = _seconds(lambda: verify(small, CAPS, fast=True))
    averaging = _seconds(lambda: _scaled(source, "AREA"))
    drawing = _seconds(lambda: rawframes(source, folder, recipe=FRAMES, caps=CAPS))
    names = sorted(path.name for path in folder.glob("img_*.jpg"))
    return {
        "videos: decode": _seconds(lambda: verify(source, CAPS)),
        "videos: hash": _seconds(lambda: sha256_of(source)),
        "resized: decode": decoding,
        "resized: scale": shrinking - decoding,
        "resized: encode": resizing - shrinking - looking,
        "resized: check": looking,
        "resized: hash": _seconds(lambda: sha256_of(small)),
        "rawframes: decode": decoding,
        "rawframes: scale": averaging - decoding,
        "rawframes: JPEG, write": drawing - averaging,
        "rawframes: check": _seconds(lambda: check_pictures(folder, names, caps=CAPS)),
        "rawframes: hash": _seconds(lambda: folder_sha256(folder, names)),
    }


def _scaled(source: Path, interpolation: str | None) -> None:
    """Decode a clip, and make each frame as small as both recipes want it."""
    scale = yuv_maker(interpolation, full_range=interpolation == "AREA") if interpolation else None
    with open_video(source, CAPS) as video:
        for frame in frames(video):
            if scale is not None:
                size = frame_size(size_of(frame), parse_size(FRAMES.size), upscale=False)
                scale(frame, size)


def _seconds(do: Callable[[], Any]) -> float:
    """Return the CPU seconds that something takes."""
    before = time.process_time()
    do()
    return time.process_time() - before

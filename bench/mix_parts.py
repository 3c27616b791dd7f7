"""What the parts of our work on a clip cost, each measured by doing the rest without it.

`costs(source, folder)` in a bench: everything in this process, one thread, without a sandbox. A
part's cost is the difference between doing all and doing all but the part, so small ones are
uncertain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from kinetics_assets.core.settings import FrameRecipe, Limits, ResizeRecipe
from kinetics_assets.io.atomic import sha256_of
from kinetics_assets.media import frame_encoder, picture_encoder
from kinetics_assets.media.decode import frames
from kinetics_assets.media.encode import VideoWriter
from kinetics_assets.media.facts import FrameFacts
from kinetics_assets.media.libraries import compiled_libraries
from kinetics_assets.media.pictures import check_pictures
from kinetics_assets.media.probe import Caps, open_video
from kinetics_assets.media.rawframes import rawframes
from kinetics_assets.media.resize import ResizeWriter, resize
from kinetics_assets.media.verify import verify
from kinetics_assets.stages.picture_checks import verified_pictures

CAPS: Final = Caps(Limits().max_side_px, Limits().max_frames)
SMALL: Final = ResizeRecipe()
FRAMES: Final = FrameRecipe()


def costs(source: Path, folder: Path) -> dict[str, float]:
    """Return CPU seconds by ``stage: part`` for a clip.

    Args:
        source: The clip.
        folder: Existing and empty, for what is made.
    """
    small, empty, full = folder / "small.mp4", folder / "empty", folder / "full"
    empty.mkdir()
    full.mkdir()
    decoding = _seconds(lambda: _decode(source))
    shrinking = _seconds(lambda: _resize_without_encoding(source, folder / "nothing.mp4"))
    resizing = _seconds(lambda: resize(source, small, recipe=SMALL, caps=CAPS))
    looking = _seconds(lambda: verify(small, CAPS, fast=True))
    library = compiled_libraries().frames
    scaling = _seconds(lambda: _draw_without_encoding(source, empty, library))
    made: list[FrameFacts] = []
    drawing = _seconds(
        lambda: made.append(rawframes(source, full, recipe=FRAMES, caps=CAPS, library=library))
    )
    names = sorted(path.name for path in full.iterdir())
    return {
        "videos: decode": _seconds(lambda: verify(source, CAPS)),
        "videos: hash": _seconds(lambda: sha256_of(source)),
        "resized: decode": decoding,
        "resized: scale": shrinking - decoding,
        "resized: encode": resizing - shrinking - looking,
        "resized: check": looking,
        "resized: hash": _seconds(lambda: sha256_of(small)),
        "rawframes: decode": decoding,
        "rawframes: scale, name files": scaling - decoding,
        "rawframes: JPEG, write, hash": drawing - scaling,
        "rawframes: read back, hash, decode some": _seconds(
            lambda: verified_pictures(full, names, facts=made[0], worker=_Here())  # type: ignore[arg-type] # as far as it is used
        ),
    }


class _Here:
    """Stands for the worker, without a child."""

    @staticmethod
    def check_pictures(folder: Path, names: Sequence[str]) -> FrameFacts:
        """Return what the worker would."""
        return check_pictures(folder, names, caps=CAPS)


def _decode(source: Path) -> None:
    """Decode a clip to its end."""
    with open_video(source, CAPS) as video:
        for _ in frames(video):
            pass


def _resize_without_encoding(source: Path, target: Path) -> None:
    """Decode a clip and scale each frame."""
    nothing: dict[str, Any] = {"write": lambda *_, **__: None, "finish": lambda _: None}
    with (
        patch.multiple(VideoWriter, **nothing),
        open_video(source, CAPS) as video,
    ):
        pictures = frames(video)
        first = next(pictures)
        with ResizeWriter(video, first, target, recipe=SMALL) as writer:
            writer.add(first)
            for frame in pictures:
                writer.add(frame)


def _draw_without_encoding(source: Path, folder: Path, library: str | None) -> None:
    """Decode a clip, scale each frame, and write empty files."""

    def nothing(*_: Any, **__: Any) -> bytes:  # noqa: ANN401 - stands for any encoder
        return b""

    with (
        # no quality is one of the compiled encoder's, which draws all the same
        patch.multiple(picture_encoder, encode_planes=nothing, BEST_QUALITY=0),
        patch.object(frame_encoder, "encode_bgr", nothing),
    ):
        rawframes(source, folder, recipe=FRAMES, caps=CAPS, library=library)


def _seconds(do: Callable[[], Any]) -> float:
    """Return the CPU seconds that something takes."""
    before = time.process_time()
    do()
    return time.process_time() - before

"""Counting the frames of a video by decoding them, for programs that are not to be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.media.decode import frames, orientation
from kinetics_assets.media.facts import CountedFrames
from kinetics_assets.media.probe import open_video
from kinetics_assets.media.rawframes import picture_size

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.settings import FrameRecipe
    from kinetics_assets.media.probe import Caps


def count_frames(source: Path, *, recipe: FrameRecipe, caps: Caps) -> CountedFrames:
    """Return how many frames `source` has, and the size that `recipe` gives them.

    Raises:
        ClipError: The video is at fault.
        OSError: The file cannot be read.
    """
    with open_video(source, caps) as video:
        pictures = frames(video)
        first = next(pictures)
        way = orientation(first)
        size = picture_size(first, way, video, recipe=recipe)
        count = 1 + sum(1 for _ in pictures)
    return CountedFrames(count, size.width_px, size.height_px, is_upright=way.is_upright)

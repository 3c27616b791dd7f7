"""Writing the frames of a video as JPEG pictures.

Frames are turned upright and squared like resized videos are; sizes follow `FrameRecipe.size` by
denseflow's rule.
"""

from __future__ import annotations

import os
from dataclasses import replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from kinetics_assets.core.geometry import Orientation, Size, frame_size, parse_size, squared
from kinetics_assets.io.atomic import sha256_of_files
from kinetics_assets.media.decode import batches, frames, orientation
from kinetics_assets.media.facts import FrameFacts
from kinetics_assets.media.frame_encoder import frame_encoder
from kinetics_assets.media.picture import size_of
from kinetics_assets.media.probe import check_size, open_video

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from kinetics_assets.core.settings import FrameRecipe
    from kinetics_assets.media.probe import Caps, OpenVideo


def rawframes(
    source: Path,
    folder: Path,
    *,
    recipe: FrameRecipe,
    caps: Caps,
    library: str | None = None,
) -> FrameFacts:
    """Write each frame of `source` as ``img_%05d.jpg`` into the existing `folder`.

    Those of further sizes go into existing folders in it, which have the names of the sizes.

    Args:
        source: Absolute.
        folder: Absolute.
        recipe: Sizes, numbers and quality.
        caps: Limits.
        library: File of compiled code that makes the same bytes faster.

    Returns:
        The number of pictures and their size.

    Raises:
        ClipError: The video is at fault.
        OSError: A file cannot be read or written.
    """
    with open_video(source, caps) as video:
        pictures = frames(video)
        first = next(pictures)
        with FramesWriter(video, first, folder, recipe=recipe, library=library) as writer:
            for batch in batches(chain([first], pictures)):
                for frame in batch:
                    writer.add(frame)
    return writer.facts


class FramesWriter:
    """The pictures of a video, written frame by frame."""

    def __init__(
        self,
        video: OpenVideo,
        first: Any,  # noqa: ANN401 - PyAV's frame
        folder: Path,
        *,
        recipe: FrameRecipe,
        library: str | None = None,
    ) -> None:
        """Prepare for the frames of `video`, the first of which is `first`.

        Raises:
            OverLimit: The pictures would be larger than the caps allow.
        """
        way = orientation(first)
        self._size = picture_size(first, way, video, recipe=recipe)
        self._encoders: dict[str, Callable[[Any], bytes]] = {}
        for text in (recipe.size, *recipe.also_sizes):
            size = picture_size(first, way, video, recipe=replace(recipe, size=text))
            below = "" if text == recipe.size else f"{text}/"
            self._encoders[below] = frame_encoder(
                way,
                size,
                stored=size_of(first),
                recipe=recipe,
                library=None if library is None else Path(library),
            )
        self._folder, self._start, self._count = folder, recipe.start_index, 0
        self._written: dict[str, str] = {}

    @property
    def facts(self) -> FrameFacts:
        """Number and size of the pictures so far; their sha256 has those of further sizes too."""
        return FrameFacts(
            self._count,
            self._size.width_px,
            self._size.height_px,
            sha256_of_files(self._written),
        )

    def add(self, frame: Any) -> None:  # noqa: ANN401 - PyAV's frame
        """Write the picture of the next frame.

        Raises:
            OSError: It cannot be written.
        """
        number = self._start + self._count
        for below, encode in self._encoders.items():
            data = encode(frame)
            name = f"{below}img_{number:05d}.jpg"
            _write(f"{self._folder}/{name}", data)
            self._written[name] = sha256(data).hexdigest()
        self._count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the pictures as they are: each is complete."""


def picture_size(
    frame: Any,  # noqa: ANN401 - PyAV's frame
    way: Orientation,
    video: OpenVideo,
    *,
    recipe: FrameRecipe,
) -> Size:
    """Return the size of all pictures and flow made from a video, given its first frame.

    Raises:
        OverLimit: The pictures would be larger than the caps allow.
        SettingsError: The recipe's size cannot be read.
    """
    upright = way.apply(squared(size_of(frame), video.sample_aspect))
    size = frame_size(upright, parse_size(recipe.size), upscale=recipe.upscale)
    check_size(size.width_px, size.height_px, video.caps)
    return size


def _write(path: str, data: bytes) -> None:
    """Write a small new file in as few steps as possible.

    Raises:
        OSError: It cannot be written; names `path`.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, memoryview(data)[written:])
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(descriptor)

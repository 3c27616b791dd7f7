"""Making a video smaller.

What becomes of what the source has:

=====================  =============================================================================
orientation            pixels are turned upright, the tag is gone
size                   short side of the upright picture as asked, other side the nearest even
                       number; odd sides that are not scaled become one shorter
non-square samples     squared by scaling the width; recipe ``mmaction2``: the stored picture is
                       scaled and the aspect is kept in a tag, as ffmpeg's scale=-2 does
timestamps             kept tick by tick, moved so that the first frame is at 0
10 bit, 4:2:2, 4:4:4   8-bit 4:2:0
colour tags            range, matrix, primaries and transfer are copied
interlaced             left as it is
sound                  copied where it fits in an MP4, else left out; ``mmaction2`` has none
=====================  =============================================================================
"""

from __future__ import annotations

from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

from kinetics_assets.core.errors import EncodeFailed
from kinetics_assets.core.geometry import SQUARE, Orientation, Size, even_short_side, squared
from kinetics_assets.media.audio import audio_packets
from kinetics_assets.media.colour import colour_of
from kinetics_assets.media.decode import batches, frames, orientation
from kinetics_assets.media.encode import EncoderSettings, VideoWriter, encoding_faults, open_target
from kinetics_assets.media.picture import size_of, turned_yuv, yuv_maker
from kinetics_assets.media.probe import check_size, open_video
from kinetics_assets.media.verify import verify

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from kinetics_assets.core.settings import ResizeRecipe
    from kinetics_assets.media.facts import MediaFacts
    from kinetics_assets.media.probe import Caps, OpenVideo


def resize(source: Path, target: Path, *, recipe: ResizeRecipe, caps: Caps) -> MediaFacts:
    """Write the video at `source`, resized, to `target` and return the facts of the result.

    Raises:
        ClipError: The source is at fault.
        EncodeFailed: The result is not what was to be written.
        OSError: A file cannot be read or written.
    """
    with open_video(source, caps) as video:
        pictures = frames(video)
        first = next(pictures)
        with ResizeWriter(video, first, target, recipe=recipe) as writer:
            for batch in batches(chain([first], pictures)):
                for frame in batch:
                    writer.add(frame)
    return checked(target, caps, frames_written=writer.frames)


class ResizeWriter:
    """A resized video that grows frame by frame; complete when its block ends without an error."""

    def __init__(
        self,
        video: OpenVideo,
        first: Any,  # noqa: ANN401 - PyAV's frame
        target: Path,
        *,
        recipe: ResizeRecipe,
    ) -> None:
        """Prepare for the frames of `video`, the first of which is `first`.

        Raises:
            ClipError: The source is at fault.
            OSError: A file cannot be read or written.
        """
        recipe = recipe.effective()
        self._way, self._origin = orientation(first), first.pts or 0
        size, aspect = resized_shape(size_of(first), self._way, video.sample_aspect, recipe=recipe)
        check_size(size.width_px, size.height_px, video.caps)
        sound = []
        if recipe.keep_audio and video.audio is not None:
            sound = audio_packets(video.path, video.caps, first=self._origin * video.time_base)
        encoding = recipe.encoding(min(first.width, first.height), codec=video.codec)
        self._scale = yuv_maker("BICUBIC", full_range=False)
        self._stored = self._way.undo(size)
        settings = EncoderSettings(
            size=size,
            preset=encoding.preset,
            crf=encoding.crf,
            gop=recipe.gop,
            x264_params=encoding.x264_params,
            sample_aspect=aspect,
        )
        self._target = target
        with encoding_faults(target):
            self._container = open_target(target)
            self._writer = VideoWriter(
                self._container, video, settings=settings, colour=colour_of(first), audio=sound
            )

    @property
    def frames(self) -> int:
        """Frames written so far."""
        return self._writer.frames

    def add(self, frame: Any) -> None:  # noqa: ANN401 - PyAV's frame
        """Write the next frame; its timestamp may be another one afterwards.

        Raises:
            EncodeFailed: The encoder refused.
            OSError: The file cannot be written.
        """
        time = None if frame.pts is None else frame.pts - self._origin
        picture = self._scale(frame, self._stored)
        if not self._way.is_upright:
            picture = turned_yuv(picture, self._way)
        with encoding_faults(self._target):
            self._writer.write(picture, time=time)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with encoding_faults(self._target), self._container:
            if error is None:
                self._writer.finish()


def checked(target: Path, caps: Caps, *, frames_written: int) -> MediaFacts:
    """Return the facts of a video just written, from decoding it.

    Raises:
        EncodeFailed: It does not hold all frames that were written.
    """
    facts = verify(target, caps, fast=True)
    if facts.frames_decoded != frames_written:
        raise EncodeFailed(f"{facts.frames_decoded} of {frames_written} frames were encoded.")
    return facts


def resized_shape(
    stored: Size, way: Orientation, sample_aspect: Fraction, *, recipe: ResizeRecipe
) -> tuple[Size, Fraction]:
    """Return the upright size and the sample aspect ratio of the result.

    Args:
        stored: Size of the frames as stored.
        way: How they become upright.
        sample_aspect: Sample aspect ratio of the stored frames.
        recipe: After `effective`.
    """
    if recipe.recipe != "mmaction2":
        upright = way.apply(squared(stored, sample_aspect))
        return even_short_side(upright, recipe.short_side_px, upscale=recipe.upscale), SQUARE
    upright = way.apply(stored)
    size = even_short_side(upright, recipe.short_side_px, upscale=recipe.upscale)
    if sample_aspect == SQUARE:
        # ffmpeg writes 512:513 here to make up for the rounding; readers have no use for it
        return size, SQUARE
    upright_aspect = 1 / sample_aspect if way.transpose else sample_aspect
    shape = upright_aspect * Fraction(upright.width_px, upright.height_px)
    aspect = shape * Fraction(size.height_px, size.width_px)
    return size, aspect.limit_denominator(1000)

"""Cutting a clip out of a longer video, exact to the frame.

The span counts from the first frame shown. Frames with start <= t < end are encoded anew; sound
packets of the same span are copied. Size, sample aspect ratio, rotation tag and colour tags stay;
odd sides become one shorter and the picture 8-bit 4:2:0, since H.264 readers expect no less.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.errors import OutOfRange
from kinetics_assets.core.geometry import even
from kinetics_assets.media.audio import audio_packets
from kinetics_assets.media.colour import colour_of
from kinetics_assets.media.decode import display_matrix, frames, try_seek
from kinetics_assets.media.encode import EncoderSettings, VideoWriter, writing
from kinetics_assets.media.picture import size_of, yuv_maker
from kinetics_assets.media.probe import open_video
from kinetics_assets.media.resize import checked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kinetics_assets.core.settings import VideoRecipe
    from kinetics_assets.media.facts import MediaFacts
    from kinetics_assets.media.probe import Caps, OpenVideo

_WORTH_SEEKING_SECONDS = 5
_SEEK_BACK_SECONDS = 1
_MICROSECONDS = 1_000_000


def trim(
    source: Path,
    target: Path,
    *,
    start_seconds: float,
    end_seconds: float,
    recipe: VideoRecipe,
    caps: Caps,
) -> MediaFacts:
    """Write the span [start, end) of `source` to `target` and return the facts of the result.

    Raises:
        OutOfRange: The source is over before the span begins.
        ClipError: The source is at fault.
        OSError: A file cannot be read or written.
    """
    with open_video(source, caps) as video:
        origin = _time(next(frames(video)), video, default=Fraction(0))
        # libav loses count of an AVI's empty chunks once it has sought over some
        can_seek = video.container.demuxer != "avi"
    first, end = origin + _exact(start_seconds), origin + _exact(end_seconds)
    written = None
    if can_seek and start_seconds > _WORTH_SEEKING_SECONDS:
        written = _cut(source, target, first=first, end=end, recipe=recipe, caps=caps, seek=True)
    if written is None:
        written = _cut(source, target, first=first, end=end, recipe=recipe, caps=caps, seek=False)
    if written is None:
        raise OutOfRange(f"The clip begins at {start_seconds:g} s, the video is over before that.")
    return checked(target, caps, frames_written=written)


def _cut(
    source: Path,
    target: Path,
    *,
    first: Fraction,
    end: Fraction,
    recipe: VideoRecipe,
    caps: Caps,
    seek: bool,
) -> int | None:
    """Write the frames with first <= time < end and return their number, None without any.

    Args:
        source: The long video.
        target: The clip.
        first: On the video's own clock, in seconds.
        end: On the video's own clock, in seconds.
        recipe: How to encode.
        caps: Limits.
        seek: Begin at a key frame before `first`. None is returned, too, where the container's
            index leads behind `first`.
    """
    with open_video(source, caps) as video:
        if seek:
            ticks = round((first - _SEEK_BACK_SECONDS) / video.time_base)
            try_seek(video, ticks)
        pictures = frames(video, whole=not seek)
        head = next(pictures, None)
        if head is None or (seek and _time(head, video, default=end) > first):
            return None
        kept = _between(chain([head], pictures), video, first, end)
        opening = next(kept, None)
        if opening is None:
            return None
        return _encode(target, video, chain([opening], kept), opening, end=end, recipe=recipe)


def _between(
    pictures: Iterator[Any], video: OpenVideo, first: Fraction, end: Fraction
) -> Iterator[Any]:
    """Yield the frames of the span; a frame without a time belongs where the one before is."""
    now = first
    for frame in pictures:
        now = _time(frame, video, default=now)
        if now >= end:
            return
        if now >= first:
            yield frame


def _encode(
    target: Path,
    video: OpenVideo,
    kept: Iterator[Any],
    opening: Any,  # noqa: ANN401 - PyAV's frame
    *,
    end: Fraction,
    recipe: VideoRecipe,
) -> int:
    """Write the frames of the span and return their number."""
    size, zero = even(size_of(opening)), opening.pts or 0
    begin = zero * video.time_base
    sound = audio_packets(video.path, video.caps, first=begin, end=end)
    settings = EncoderSettings(
        size=size,
        preset=recipe.trim_preset,
        crf=recipe.trim_crf,
        sample_aspect=video.sample_aspect,
        display_matrix=display_matrix(opening),
    )
    scale = yuv_maker("BICUBIC", full_range=False)
    with writing(target) as container:
        writer = VideoWriter(
            container, video, settings=settings, colour=colour_of(opening), audio=sound
        )
        for frame in kept:
            time = None if frame.pts is None else frame.pts - zero
            writer.write(scale(frame, size), time=time)
        writer.finish()
    return writer.frames


def _exact(seconds: float) -> Fraction:
    """Return the time that was meant: 0.2 is a fifth, not the binary number just above it."""
    return Fraction(seconds).limit_denominator(_MICROSECONDS)


def _time(frame: Any, video: OpenVideo, *, default: Fraction) -> Fraction:  # noqa: ANN401 - PyAV's
    """Return when `frame` is shown, in seconds on the video's own clock."""
    return default if frame.pts is None else frame.pts * video.time_base

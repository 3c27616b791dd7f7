"""Copying sound: the packets of a span, untouched but for their timestamps."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from kinetics_assets.media.probe import OpenVideo, blame, open_video

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.media.probe import Caps

FIT_FOR_MP4 = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
"""Sound codecs that players expect in an MP4; others are left out."""
_SEEK_BACK_SECONDS = 2
_ANY_TIME = -(2**62)
"""Earlier than any timestamp."""


def audio_packets(
    path: Path, caps: Caps, *, first: Fraction, end: Fraction | None = None
) -> list[Any]:
    """Return the sound packets of a file whose time lies in [first, end), moved to begin near 0.

    Args:
        path: Absolute.
        caps: Limits on the file.
        first: Time of the first frame that is kept, in seconds on the file's own clock.
        end: End of the span, in seconds on the file's own clock; None means to the end, and then
            also what leads up to `first` (the decoder's run-in) is kept.

    Returns:
        PyAV's packets in decoding order; empty without sound, or where the codec does not fit.
    """
    with open_video(path, caps, decoders=FIT_FOR_MP4) as video:
        if not can_copy(video):
            return []
        import av

        try:
            return _span(video, video.audio, first=first, end=end)
        except av.error.FFmpegError as error:
            blame(error, path, saying="The sound cannot be read")


def can_copy(video: OpenVideo) -> bool:
    """Return whether the sound of `video` can be copied into an MP4."""
    context = video.audio.codec_context if video.audio is not None else None
    # a codec that libav does not know has no context
    return context is not None and context.name in FIT_FOR_MP4


def _span(
    video: OpenVideo,
    audio: Any,  # noqa: ANN401 - PyAV's stream
    *,
    first: Fraction,
    end: Fraction | None,
) -> list[Any]:
    """Return the packets of the span, their timestamps rebased.

    Times that stand still or go back are moved behind those before, as ffmpeg does: the muxer
    accepts nothing else, and no clip is worth less for its sound.
    """
    tick = Fraction(audio.time_base)
    shift = round(first / tick)
    if end is not None and first > _SEEK_BACK_SECONDS:
        video.input.seek(round((first - _SEEK_BACK_SECONDS) / tick), stream=audio)
    kept: list[Any] = []
    earliest = _ANY_TIME
    for packet in video.input.demux(audio):
        if packet.dts is None or packet.pts is None:
            continue
        if end is not None:
            time = packet.pts * tick
            if time >= end:
                break
            if time < first:
                continue
        packet.dts = max(packet.dts - shift, earliest)
        packet.pts = max(packet.pts - shift, packet.dts)
        earliest = packet.dts + 1
        kept.append(packet)
    return kept

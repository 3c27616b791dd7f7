"""Copying sound: the packets of a span, untouched but for their timestamps."""

from __future__ import annotations

from fractions import Fraction
from itertools import dropwhile
from typing import TYPE_CHECKING, Any

from kinetics_assets.media.probe import OpenVideo, blame, open_video

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.media.probe import Caps

FIT_FOR_MP4 = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
"""Sound codecs that players expect in an MP4, by the names of formats; others are left out."""
_DECODERS = FIT_FOR_MP4 | {"mp3float"}
"""libav's decoders of these formats, most of them called like the format."""
_LOWEST_MP3_HZ = 16_000
"""MP3 below it is MPEG-2.5, which no MP4 may hold; libav's muxer refuses it."""
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
    if end is not None and first > _SEEK_BACK_SECONDS:
        kept = _read(path, caps, first=first, end=end, seek=True)
        if kept is not None:
            return kept
    return _read(path, caps, first=first, end=end, seek=False) or []


def fits_mp4(sound: Any | None) -> bool:  # noqa: ANN401 - PyAV's stream
    """Return whether the stream `sound` can be copied into an MP4; False for None.

    Names of decoders say little: that of MP3 is mp3float.
    """
    context = sound.codec_context if sound is not None else None
    # a codec that libav does not know has no context; a stream of which it saw no packet, no rate
    if context is None or not context.sample_rate:
        return False
    name = context.codec.canonical_name
    return name in FIT_FOR_MP4 and (name != "mp3" or context.sample_rate >= _LOWEST_MP3_HZ)


def _read(
    path: Path, caps: Caps, *, first: Fraction, end: Fraction | None, seek: bool
) -> list[Any] | None:
    """Return the packets of `audio_packets`, None where `seek` may have lost some of them."""
    with open_video(path, caps, decoders=_DECODERS) as video:
        if not fits_mp4(video.audio):
            return []
        import av

        try:
            if seek and not _sought(video, video.audio, first - _SEEK_BACK_SECONDS):
                return None
            kept = _span(video, video.audio, first=first, end=end, sought=seek)
        except av.error.FFmpegError as error:
            blame(error, path, saying="The sound cannot be read")
        return None if kept is None else _from_first_header(kept, video.audio)


def _sought(video: OpenVideo, audio: Any, seconds: Fraction) -> bool:  # noqa: ANN401 - PyAV's
    """Return whether `audio` could be sought; if not, the place in the file is anywhere.

    Matroska cannot where no sound was seen yet: "operation not permitted".
    """
    import av

    try:
        video.input.seek(round(seconds / Fraction(audio.time_base)), stream=audio)
    except av.error.FFmpegError:
        return False
    return True


def _span(
    video: OpenVideo,
    audio: Any,  # noqa: ANN401 - PyAV's stream
    *,
    first: Fraction,
    end: Fraction | None,
    sought: bool,
) -> list[Any] | None:
    """Return the packets of the span, their timestamps rebased.

    Times that stand still or go back are moved behind those before, as ffmpeg does: the muxer
    accepts nothing else, and no clip is worth less for its sound. Once `sought`, None is returned
    unless the first packet lies before the span: the container's index may have led behind some.
    """
    tick = Fraction(audio.time_base)
    shift = round(first / tick)
    kept: list[Any] = []
    earliest = _ANY_TIME
    for packet in video.input.demux(audio):
        if packet.dts is None or packet.pts is None:
            continue
        if end is not None:
            time = packet.pts * tick
            if sought and time > first:
                return None
            sought = False
            if time >= end:
                break
            if time < first:
                continue
        packet.dts = max(packet.dts - shift, earliest)
        packet.pts = max(packet.pts - shift, packet.dts)
        earliest = packet.dts + 1
        kept.append(packet)
    return None if sought else kept


def _from_first_header(packets: list[Any], audio: Any) -> list[Any]:  # noqa: ANN401 - PyAV's stream
    """Return `packets` without damaged ones in front of AAC whose packets have headers (ADTS).

    From the first packet the muxer takes whether they do; what is wrong there makes all sound
    unreadable.
    """
    context = audio.codec_context
    if context.codec.canonical_name != "aac" or context.extradata:
        return packets
    return list(dropwhile(lambda packet: not _has_header(packet), packets)) or packets


def _has_header(packet: Any) -> bool:  # noqa: ANN401 - PyAV's packet
    """Return whether `packet` begins with the twelve ones of ADTS."""
    begin = bytes(memoryview(packet)[:2])
    return int.from_bytes(begin) & 0xFFF0 == 0xFFF0

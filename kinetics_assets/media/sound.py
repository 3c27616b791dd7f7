"""Decoding the sound of a file to its end, strictly: damage is an error, never a shorter sound."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.errors import NoAudio, OverLimit, Undecodable
from kinetics_assets.media.probe import blame, open_video

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kinetics_assets.media.probe import Caps

SOUND_FORMATS = {".wav": "wav", ".flac": "flac"}
"""libav's name of the demuxer and muxer of each of our own sound files."""
_SLOWEST_FRAMES_PER_SECOND = 25
"""Sound may last as long as the most frames that are allowed would at this rate: over an hour by
default. An hour of silence fits into some kilobytes."""


@contextmanager
def sound_of_video(path: Path, caps: Caps) -> Iterator[Iterator[Any]]:
    """Yield the frames of the first audio stream of the video at `path`, as PyAV's AudioFrame.

    Its timestamps are not looked at: samples follow each other as they do in the file, as the
    ``ffmpeg -map 0:a`` of MMAction2's script has it.

    Raises:
        NoAudio: There is no sound, or it has no sample.
        OverLimit: It lasts too long.
        ClipError: The content is at fault.
        OSError: The file cannot be read.
    """
    with open_video(path, caps) as video:
        if video.audio is None:
            raise NoAudio("The video has no audio stream.")
        most_seconds = caps.max_frames / _SLOWEST_FRAMES_PER_SECOND
        yield _frames(video.input, video.audio, path, most_seconds=most_seconds)


@contextmanager
def sound_of_file(path: Path) -> Iterator[Iterator[Any]]:
    """Yield the frames of a sound file of our own; `SOUND_FORMATS` has its extension.

    Raises:
        ClipError: The content is at fault.
        OSError: The file cannot be read.
    """
    import av

    try:
        source = av.open(
            f"file:{path}",
            mode="r",
            format=SOUND_FORMATS[path.suffix],
            metadata_errors="replace",
            container_options={"protocol_whitelist": "file"},
        )
    except av.error.FFmpegError as error:
        blame(error, path, saying="The sound file's header cannot be read")
    with source:
        if not source.streams.audio:
            raise NoAudio("The sound file has no audio stream.")
        yield _frames(source, source.streams.audio[0], path)


def _frames(
    source: Any,  # noqa: ANN401 - PyAV's container
    stream: Any,  # noqa: ANN401 - PyAV's stream
    path: Path,
    *,
    most_seconds: float = math.inf,
) -> Iterator[Any]:
    """Yield all frames of `stream`, at least one, and none behind `most_seconds`."""
    import av

    context = stream.codec_context
    if context is None:
        raise Undecodable("The codec of the sound is not known.")
    context.thread_type = "NONE"
    context.thread_count = 1
    samples = 0
    where = "The sound cannot be decoded"
    try:
        for packet in source.demux(stream):
            if packet.is_corrupt:
                raise Undecodable(f"{where}: a packet after {samples} samples is damaged.")
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise Undecodable(f"{where}: it is damaged after {samples} samples.")
                samples += frame.samples
                if samples > most_seconds * frame.sample_rate:
                    raise OverLimit(f"The sound lasts longer than {most_seconds:.0f} seconds.")
                yield frame
    except av.error.FFmpegError as error:
        blame(error, path, saying=f"{where} after {samples} samples")
    if not samples:
        raise NoAudio("The audio stream has no sample.")

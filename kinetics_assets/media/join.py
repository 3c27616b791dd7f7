"""Putting pictures and sound that came as two files into one, packet by packet, unchanged."""

from __future__ import annotations

import heapq
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.errors import NoFrames, Undecodable
from kinetics_assets.media.audio import fits_mp4
from kinetics_assets.media.encode import writing
from kinetics_assets.media.probe import blame, open_file, open_video
from kinetics_assets.media.sniff import SUFFIXES, sniff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kinetics_assets.media.probe import Caps

_PICTURES_FIT_FOR_MP4 = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4"})


def join(video: Path, sound: Path, target: Path, *, caps: Caps) -> str:
    """Write the pictures of `video` and the sound of `sound` to `target`; return its extension.

    It becomes an MP4 if both codecs fit in one, else a Matroska file, whatever `target` is called.
    Nothing is decoded.

    Args:
        video: Absolute; sound that it has is left out.
        sound: Absolute; pictures that it has are left out.
        target: Absolute.
        caps: Limits on `video`.

    Raises:
        ClipError: A file is at fault.
        OSError: A file cannot be read or written.
    """
    with open_video(video, caps) as pictures, _open_sound(sound) as heard:
        codec = pictures.stream.codec_context.codec.canonical_name
        fits = codec in _PICTURES_FIT_FOR_MP4 and fits_mp4(heard)
        container = "mp4" if fits else "matroska"
        with writing(target, container=container) as out:
            streams = [out.add_stream_from_template(s) for s in (pictures.stream, heard)]
            sources = (
                _timed(pictures.input, pictures.stream, video, 0),
                _timed(heard.container, heard, sound, 1),
            )
            written = 0
            for _, number, packet in heapq.merge(*sources, key=lambda item: item[:2]):
                packet.stream = streams[number]
                out.mux(packet)
                written += number == 0
            if not written:
                raise NoFrames("The file with the pictures has none.")
    return SUFFIXES[container]


@contextmanager
def _open_sound(path: Path) -> Iterator[Any]:
    """Yield the sound stream of the file at `path`.

    Raises:
        ClipError: The content is at fault.
        OSError: The file cannot be read.
    """
    with open_file(path, sniff(path), what="The header of the sound") as source:
        stream = next(iter(source.streams.audio), None)
        # a codec that libav does not know has no context
        if stream is None or stream.codec_context is None:
            raise Undecodable("The file with the sound has none that is known.")
        yield stream


def _timed(
    source: Any,  # noqa: ANN401 - PyAV's objects
    stream: Any,  # noqa: ANN401
    path: Path,
    number: int,
) -> Iterator[tuple[Fraction, int, Any]]:
    """Yield (time, number, packet) of each packet of `stream`."""
    import av

    tick, time = Fraction(stream.time_base), Fraction(0)
    packets = source.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            blame(error, path, saying="A packet cannot be read")
        if packet is None:
            return
        if not packet.size:
            continue  # it only says that this is the end
        if packet.dts is not None:
            time = packet.dts * tick
        yield time, number, packet

"""Opening a video: its container and its one video stream, checked against the limits.

Nothing is decoded here beyond what libav needs to describe the streams.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

from kinetics_assets.core.errors import (
    NoVideoStream,
    OverLimit,
    Truncated,
    Undecodable,
    environment_fault,
)
from kinetics_assets.core.geometry import SQUARE
from kinetics_assets.media.sniff import Container, sniff

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_MICROSECONDS = 1_000_000
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Caps:
    """How large a video may be."""

    max_side_px: int
    """Longest side of a picture."""
    max_frames: int
    """Most frames of a video."""


@dataclass(frozen=True, slots=True)
class OpenVideo:
    """An open video; `input` and `stream` are PyAV's objects."""

    path: Path
    container: Container
    caps: Caps
    input: Any
    stream: Any
    audio: Any | None
    """The first audio stream, None without sound."""

    @property
    def codec(self) -> str:
        """Name of the video codec."""
        return str(self.stream.codec_context.name)

    @property
    def sample_aspect(self) -> Fraction:
        """Width of a sample over its height; 1 where the file is silent or absurd."""
        aspect = self.stream.sample_aspect_ratio or self.stream.codec_context.sample_aspect_ratio
        return Fraction(aspect) if aspect and aspect > 0 else SQUARE

    @property
    def time_base(self) -> Fraction:
        """Seconds of one tick of the stream's timestamps."""
        return Fraction(self.stream.time_base)

    @property
    def frame_rate(self) -> Fraction | None:
        """Average frames per second as the container says, None where it is silent or absurd."""
        rate = self.stream.average_rate
        return Fraction(rate) if rate and 0 < rate <= 1_000_000 else None

    @property
    def promised_frames(self) -> int:
        """Number of frames that the header promises; 0 where it is silent."""
        return int(self.stream.frames or 0)

    @property
    def promised_seconds(self) -> float:
        """Duration that the header promises; 0 where it is silent on the video alone."""
        if self.stream.duration:
            return float(self.stream.duration * self.time_base)
        if self.input.duration and self.audio is None:
            # such containers count from zero, also where the first frame comes later
            begin = max(0.0, float((self.stream.start_time or 0) * self.time_base))
            return self.input.duration / _MICROSECONDS - begin
        return 0.0


@contextmanager
def open_video(
    path: Path, caps: Caps, *, fast: bool = False, decoders: Iterable[str] | None = None
) -> Iterator[OpenVideo]:
    """Yield the video at `path`, open and within the caps as far as its header tells.

    Args:
        path: Absolute.
        caps: Limits; checked again on decoded frames.
        fast: Leave out the deblocking filter: frames are counted and checked as before, but their
            pixels are rough. For files that we wrote ourselves.
        decoders: All that libav may use to describe the streams; None means any. It decodes the
            first picture for it, which whoever wants packets of sound need not pay for.

    Raises:
        ClipError: The content is at fault.
        OSError: The file cannot be read.
    """
    container = sniff(path)
    with open_file(path, container, what="The header", decoders=decoders) as source:
        stream = _video_stream(source)
        context = stream.codec_context
        if context is None:
            raise Undecodable("The video codec is not known.")
        check_size(context.width, context.height, caps)
        if (stream.frames or 0) > caps.max_frames:
            raise OverLimit(f"{stream.frames} frames; at most {caps.max_frames} are decoded.")
        context.thread_type = "NONE"
        context.thread_count = 1
        if fast:
            context.options = {"skip_loop_filter": "all"}
        audio = next(iter(source.streams.audio), None)
        yield OpenVideo(path, container, caps, source, stream, audio)


def open_file(
    path: Path, container: Container, *, what: str, decoders: Iterable[str] | None = None
) -> Any:  # noqa: ANN401 - PyAV's object
    """Return the file at `path`, opened by the one demuxer that its first bytes call for.

    Args:
        path: Absolute.
        container: As `sniff` found.
        what: Is said not to be readable, if it is not.
        decoders: See `open_video`.

    Raises:
        ClipError: The content is at fault.
        OSError: The file cannot be read.
    """
    import av

    options = {"protocol_whitelist": "file"}
    if decoders is not None:
        options["codec_whitelist"] = ",".join(sorted(decoders))
    try:
        # "file:" and the white list: no part of a name or of the content is ever an address
        return av.open(
            f"file:{path}",
            mode="r",
            format=container.demuxer,
            metadata_errors="replace",
            container_options=options,
        )
    except av.error.EOFError as error:
        raise Truncated("The file ends with its header.") from error
    except av.error.FFmpegError as error:
        blame(error, path, saying=f"{what} cannot be read")


def check_size(width_px: int, height_px: int, caps: Caps) -> None:
    """Raise OverLimit if a picture is larger than the caps allow."""
    if max(width_px, height_px) > caps.max_side_px:
        raise OverLimit(f"{width_px}x{height_px} pixels; at most {caps.max_side_px} a side.")


def blame(error: Exception, path: Path, *, saying: str) -> NoReturn:
    """Raise what libav's `error` on reading `path` stands for, the machine's or the clip's."""
    if isinstance(error, MemoryError):
        raise MemoryError from error  # noqa: TRY004 - not about types
    if isinstance(error, OSError):
        # of content, too: EIO as such, EPERM where a demuxer gives a bare -1
        if error.errno in {errno.EIO, errno.EPERM}:
            _read_through(path)
        elif isinstance(error, FileNotFoundError) or environment_fault(error, doing=saying):
            raise OSError(error.errno, error.strerror, str(path)) from error
    raise Undecodable(f"{saying}: {getattr(error, 'strerror', None) or error}.") from error


def _read_through(path: Path) -> None:
    """Raise OSError if the disk, not the content, is why `path` gave an error."""
    try:
        with path.open("rb") as file:
            while file.read(_BLOCK_BYTES):
                pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _video_stream(source: Any) -> Any:  # noqa: ANN401 - PyAV's objects
    """Return the first video stream that is not a cover picture."""
    from av.stream import Disposition

    for stream in source.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    kinds = sorted({stream.type for stream in source.streams}) or ["nothing"]
    raise NoVideoStream(f"No video stream; the file holds {', '.join(kinds)}.")

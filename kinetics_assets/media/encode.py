"""Writing H.264 into an MP4: same input and recipe, same bytes."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

from kinetics_assets.core.errors import EncodeFailed, environment_fault
from kinetics_assets.core.geometry import SQUARE, Size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kinetics_assets.media.colour import ColourTags
    from kinetics_assets.media.probe import OpenVideo

_MUXER_OPTIONS = {"fflags": "+bitexact"}
"""No version of libav in the file."""
_INDEX_FIRST = {"movflags": "+faststart"}
"""A reader need not seek."""


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How a video is encoded."""

    size: Size
    """Even sides."""
    preset: str
    crf: float
    gop: int | None = None
    """Largest distance of key frames, in frames; None is the encoder's default."""
    x264_params: str = ""
    sample_aspect: Fraction = SQUARE
    display_matrix: tuple[int, ...] | None = None
    """Rotation tag to write, None for none."""

    @property
    def options(self) -> dict[str, str]:
        """Options of libx264; one thread, since bytes depend on the number of threads."""
        options = {"preset": self.preset, "crf": f"{self.crf:g}", "threads": "1"}
        return options | ({"x264-params": self.x264_params} if self.x264_params else {})


class VideoWriter:
    """An MP4 being written: frames go in one by one, sound is laced in between."""

    def __init__(
        self,
        target: Any,  # noqa: ANN401 - PyAV's output container
        video: OpenVideo,
        *,
        settings: EncoderSettings,
        colour: ColourTags,
        audio: list[Any],
    ) -> None:
        """Prepare the streams of `target` after those of `video`."""
        from kinetics_assets.media.colour import copy_tags

        self._target = target
        rate = video.frame_rate or Fraction(25)
        self._stream = target.add_stream("libx264", rate=rate, options=settings.options)
        encoder = self._stream.codec_context
        encoder.width, encoder.height = settings.size.width_px, settings.size.height_px
        encoder.pix_fmt = "yuv420p"
        encoder.time_base = video.time_base
        encoder.sample_aspect_ratio = settings.sample_aspect
        encoder.thread_count = 1
        if settings.gop is not None:
            encoder.gop_size = settings.gop
        copy_tags(colour, encoder)
        if settings.display_matrix is not None:
            self._stream.set_display_matrix(settings.display_matrix)
        self._tick = video.time_base
        self._usual_ticks = max(1, round(1 / (rate * self._tick)))
        self._last_ticks: int | None = None
        self._audio = list(reversed(audio))
        self._audio_ticks: Fraction | None = None
        self._audio_stream = target.add_stream_from_template(video.audio) if audio else None
        self.frames = 0

    def write(self, frame: Any, *, time: int | None) -> None:  # noqa: ANN401 - PyAV's frame
        """Encode `frame` at `time`, in ticks of the source's time base.

        A frame without a time, or not later than the one before, is moved behind it: the encoder
        accepts nothing else, and no frame is ever dropped.
        """
        if self._last_ticks is None:
            time = time or 0
        elif time is None:
            time = self._last_ticks + self._usual_ticks
        else:
            time = max(time, self._last_ticks + 1)
        self._last_ticks = time
        frame.pts, frame.time_base = time, self._tick
        frame.pict_type = 0  # the source's picture types must not steer the encoder
        self._mux(self._stream.encode(frame))
        self.frames += 1

    def finish(self) -> None:
        """Write what the encoder still holds, and the rest of the sound."""
        self._mux(self._stream.encode(None))
        while self._audio:
            self._mux_sound()

    def _mux(self, packets: list[Any]) -> None:
        """Write video packets, and before each the sound that is due."""
        for packet in packets:
            if self._audio and packet.dts is not None:
                self._mux_sound_due(packet)
            self._give(packet)

    def _mux_sound_due(self, picture: Any) -> None:  # noqa: ANN401 - PyAV's packet
        """Write the sound packets whose time is not after that of `picture`."""
        if self._audio_ticks is None:
            # all packets of a stream have one time base, and fractions are slow to compare
            self._audio_ticks = Fraction(self._audio[-1].time_base) / Fraction(picture.time_base)
        ticks, per = self._audio_ticks.as_integer_ratio()
        due = picture.dts * per
        while self._audio and self._audio[-1].dts * ticks <= due:
            self._mux_sound()

    def _mux_sound(self) -> None:
        """Write the next sound packet."""
        packet = self._audio.pop()
        packet.stream = self._audio_stream
        self._give(packet)

    def _give(self, packet: Any) -> None:  # noqa: ANN401 - PyAV's packet
        """Give `packet` to the muxer, which leaves out sound that it finds damaged.

        No clip is worth less for its sound. The muxer holds packets back, so it may say so of an
        earlier one when it is given a picture. Errors of writing are none of these two, and
        pictures are counted when all is written.
        """
        import av

        with suppress(av.error.InvalidDataError, av.error.PatchWelcomeError):
            self._target.mux(packet)


@contextmanager
def writing(target: Path, *, container: str = "mp4") -> Iterator[Any]:
    """Yield a container to be filled; the file is complete when the block ends.

    Args:
        target: Absolute.
        container: Name of libav's muxer: mp4 or matroska.

    Raises:
        EncodeFailed: The encoder or the muxer refused.
        OSError: The file cannot be written.
    """
    with encoding_faults(target), open_target(target, container=container) as out:
        yield out


def open_target(target: Path, *, container: str = "mp4") -> Any:  # noqa: ANN401 - PyAV's container
    """Return a container to be filled, for a block of `encoding_faults`.

    Args:
        target: Absolute.
        container: Name of libav's muxer: mp4 or matroska.
    """
    import av

    options = _MUXER_OPTIONS | (_INDEX_FIRST if container == "mp4" else {})
    # "file:", so that no part of the name is taken for an address
    return av.open(f"file:{target}", "w", format=container, container_options=options)


@contextmanager
def encoding_faults(target: Path) -> Iterator[None]:
    """Turn errors of libav on writing `target` into what they stand for.

    Raises:
        EncodeFailed: The encoder or the muxer refused.
        OSError: The file cannot be written.
    """
    import av

    try:
        yield
    except av.error.FFmpegError as error:
        _blame(error, target)


def _blame(error: Exception, target: Path) -> NoReturn:
    """Raise what libav's `error` on writing `target` stands for."""
    if isinstance(error, MemoryError):
        raise MemoryError from error  # noqa: TRY004 - not about types
    if isinstance(error, OSError) and (
        environment_fault(error, doing="writing") or isinstance(error, FileNotFoundError)
    ):
        raise OSError(error.errno, error.strerror, str(target)) from error
    raise EncodeFailed(f"Encoding failed: {getattr(error, 'strerror', None) or error}.") from error

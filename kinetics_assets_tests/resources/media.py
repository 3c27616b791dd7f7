"""Small videos of every kind that the wild holds, each written by one named function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np

from kinetics_assets_tests.resources.pictures import numbered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

_OPTIONS: Final = {
    "libx264": {"preset": "ultrafast", "crf": "12", "threads": "1"},
    "libx265": {"preset": "ultrafast", "crf": "14", "x265-params": "pools=none:log-level=none"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "2M"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "2M"},
    "mpeg4": {"qscale": "2"},
}
BARS: Final = ((191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 0), (0, 0, 191))
"""Colours of the bars, left to right, red green blue."""
_LUMA_SHARES: Final = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}
_MATRIX_NUMBERS: Final = {"601": 6, "709": 1}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a test video is made."""

    width_px: int = 96
    height_px: int = 64
    frames: int = 12
    rate: Fraction = Fraction(25)
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    container: str = "mp4"
    rotation_degrees: float | None = None
    """Counter-clockwise turn that the container asks readers for."""
    mirrored: bool = False
    sample_aspect: Fraction | None = None
    times: Sequence[int] | None = None
    """Timestamp of each frame in milliseconds; None is a constant rate."""
    audio_codec: str | None = None
    audio_rate_hz: int = 48_000
    gop: int | None = None
    b_frames: bool = True


def write(path: Path, recipe: Recipe) -> Path:
    """Write numbered pictures to `path` by `recipe` and return the path."""
    with av.open(str(path), "w", format=recipe.container) as out:
        stream = _video_stream(out, recipe)
        sound = None
        if recipe.audio_codec:
            sound = out.add_stream(recipe.audio_codec, rate=recipe.audio_rate_hz)
        tick = Fraction(1, 1000) if recipe.times else 1 / recipe.rate
        stream.codec_context.time_base = tick
        for number in range(recipe.frames):
            pixels = _stored(numbered(number, *_upright_size(recipe)), recipe)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame = frame.reformat(format=recipe.pixel_format, dst_colorspace="ITU601")
            frame.pts = recipe.times[number] if recipe.times else number
            frame.time_base = tick
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound is not None:
            _write_tone(out, sound, seconds=recipe.frames / float(recipe.rate))
    return path


def plain(path: Path, **changes: Any) -> Path:  # noqa: ANN401 - fields of Recipe
    """Write 12 frames of 96x64 H.264 at 25 per second, with `changes`."""
    return write(path, replace(Recipe(), **changes))


def portrait(path: Path) -> Path:
    """Write pictures that are higher than wide."""
    return plain(path, width_px=64, height_px=96)


def rotated(path: Path, degrees: float) -> Path:
    """Write pictures stored lying, with a tag that makes readers turn them upright."""
    return plain(path, rotation_degrees=degrees)


def mirrored(path: Path) -> Path:
    """Write pictures stored mirrored, with a tag that makes readers mirror them back."""
    return plain(path, rotation_degrees=0, mirrored=True)


def odd_size(path: Path) -> Path:
    """Write 95x63 pictures (VP9, since H.264 with half colour has even sides only)."""
    return plain(path, width_px=95, height_px=63, codec="libvpx-vp9", container="webm")


def wide_samples(path: Path) -> Path:
    """Write 96x64 pictures whose samples are 4:3, to be shown as 128x64."""
    return plain(path, sample_aspect=Fraction(4, 3))


VARIABLE_TIMES: Final = (0, 40, 50, 90, 200, 210, 333, 400, 401, 600, 640, 700)
"""Milliseconds of the frames of `variable_rate`."""


def variable_rate(path: Path) -> Path:
    """Write frames at the uneven `VARIABLE_TIMES`."""
    return plain(path, times=VARIABLE_TIMES)


def late_start(path: Path) -> Path:
    """Write frames the first of which is shown at 5 s."""
    return plain(path, times=[5000 + 40 * i for i in range(12)], container="matroska")


def negative_start(path: Path) -> Path:
    """Write frames whose timestamps begin below zero."""
    return plain(path, times=[-200 + 40 * i for i in range(12)], b_frames=False)


def ten_bit(path: Path) -> Path:
    """Write 10-bit H.264."""
    return plain(path, pixel_format="yuv420p10le")


def full_chroma(path: Path) -> Path:
    """Write H.264 with colour at full size (4:4:4)."""
    return plain(path, pixel_format="yuv444p")


def with_audio(path: Path, *, codec: str = "aac", container: str = "mp4", frames: int = 50) -> Path:
    """Write two seconds of pictures with a tone."""
    return plain(path, frames=frames, audio_codec=codec, container=container)


def hevc(path: Path) -> Path:
    """Write H.265."""
    return plain(path, codec="libx265")


def vp8(path: Path) -> Path:
    """Write VP8 in WebM."""
    return plain(path, codec="libvpx", container="webm")


def vp9(path: Path) -> Path:
    """Write VP9 in WebM."""
    return plain(path, codec="libvpx-vp9", container="webm")


def audio_only(path: Path) -> Path:
    """Write an MP4 with a tone and no pictures."""
    with av.open(str(path), "w", format="mp4") as out:
        _write_tone(out, out.add_stream("aac", rate=48_000), seconds=1)
    return path


def zero_frames(path: Path) -> Path:
    """Write an MP4 that is whole and whose video stream has no packet."""
    options = {"movflags": "empty_moov"}
    with av.open(str(path), "w", format="mp4", container_options=options) as out:
        stream = _video_stream(out, Recipe(codec="mpeg4"))
        stream.codec_context.time_base = Fraction(1, 25)
        out.start_encoding()
    return path


def one_frame(path: Path) -> Path:
    """Write a single frame."""
    return plain(path, frames=1)


def truncated(path: Path, *, share: float = 0.6) -> Path:
    """Write a file with the index first, cut after `share` of its bytes."""
    whole = _with_index_first(path)
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


def without_index(path: Path) -> Path:
    """Write a file with the index last, cut before it."""
    whole = plain(path, frames=50).read_bytes()
    path.write_bytes(whole[: whole.rindex(b"moov") - 4])
    return path


def zeroed_tail(path: Path, *, share: float = 0.6) -> Path:
    """Write a file of the right length whose tail was never filled in."""
    whole = _with_index_first(path)
    kept = int(len(whole) * share)
    path.write_bytes(whole[:kept] + bytes(len(whole) - kept))
    return path


def damaged_middle(path: Path) -> Path:
    """Write a file of which one group of pictures in the middle is noise."""
    whole = bytearray(_with_index_first(path))
    begin = whole.index(b"mdat") + 4
    at = begin + (len(whole) - begin) * 2 // 5
    whole[at : at + 600] = np.random.default_rng(1).bytes(600)
    path.write_bytes(whole)
    return path


def fake_dimensions(path: Path) -> Path:
    """Write a file whose index claims 16384x16384 pixels for 96x64 pictures."""
    data = bytearray(plain(path).read_bytes())
    at = data.index(b"avc1", data.index(b"stsd")) + 4 + 8 + 16
    data[at : at + 4] = (16384).to_bytes(2) * 2
    path.write_bytes(data)
    return path


def fake_duration(path: Path) -> Path:
    """Write half a second that claims ten hours."""
    data = bytearray(plain(path).read_bytes())
    at = data.index(b"mdhd") + 4 + 4 + 8
    timescale = int.from_bytes(data[at : at + 4])
    data[at + 4 : at + 8] = (36_000 * timescale).to_bytes(4)
    path.write_bytes(data)
    return path


def colour_bars(path: Path, *, matrix: str, full_range: bool = False) -> Path:
    """Write `BARS` in the matrix "601" or "709", tagged so, computed without libswscale."""
    recipe = Recipe(width_px=192, height_px=64, frames=3)
    planes = _bar_planes(recipe, _LUMA_SHARES[matrix], full_range=full_range)
    with av.open(str(path), "w", format="mp4") as out:
        stream = _video_stream(out, recipe)
        context = stream.codec_context
        context.time_base = Fraction(1, 25)
        number = _MATRIX_NUMBERS[matrix]
        context.colorspace = context.color_primaries = context.color_trc = number
        context.color_range = 2 if full_range else 1
        for pts in range(recipe.frames):
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            frame.color_range, frame.colorspace = context.color_range, number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def grey(path: Path) -> Path:
    """Write one frame of 96x64 with shades from black to white and no colour at all."""
    shades = np.linspace(16, 235, 96).astype(np.uint8)
    planes = np.full((64 * 3 // 2, 96), 128, np.uint8)
    planes[:64] = shades
    with av.open(str(path), "w", format="mp4") as out:
        stream = _video_stream(out, Recipe())
        stream.codec_context.time_base = Fraction(1, 25)
        frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def decoded(path: Path) -> list[Any]:
    """Return all frames of a video as (H, W, 3) RGB, as stored: tags of rotation are not met."""
    with av.open(str(path)) as source:
        return [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]


def times_of(path: Path) -> list[float]:
    """Return the timestamps of all frames of a video, in seconds."""
    with av.open(str(path)) as source:
        return [frame.time for frame in source.decode(video=0)]


def _with_index_first(path: Path) -> bytes:
    """Return two seconds of video with the index before the pictures."""
    recipe = Recipe(frames=50, gop=10, b_frames=False)
    with av.open(str(path), "w", format="mp4", container_options={"movflags": "faststart"}) as out:
        stream = _video_stream(out, recipe)
        stream.codec_context.time_base = Fraction(1, 25)
        noise = np.random.default_rng(0)
        for number in range(recipe.frames):
            pixels = numbered(number, 96, 64)
            pixels[:20] = noise.integers(0, 255, (20, 96, 3), np.uint8)  # bytes worth cutting
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path.read_bytes()


def _video_stream(out: Any, recipe: Recipe) -> Any:  # noqa: ANN401 - PyAV's objects
    """Return a video stream of `out` that is set up by `recipe`."""
    options = dict(_OPTIONS.get(recipe.codec, {}))
    if not recipe.b_frames:
        options["bf"] = "0"
    stream = out.add_stream(recipe.codec, rate=recipe.rate, options=options)
    context = stream.codec_context
    context.width, context.height = recipe.width_px, recipe.height_px
    context.pix_fmt = recipe.pixel_format
    context.thread_count = 1
    if recipe.gop is not None:
        context.gop_size = recipe.gop
    if recipe.sample_aspect is not None:
        context.sample_aspect_ratio = recipe.sample_aspect
    if recipe.rotation_degrees is not None:
        stream.set_display_rotation(recipe.rotation_degrees, hflip=recipe.mirrored)
    return stream


def _upright_size(recipe: Recipe) -> tuple[int, int]:
    """Return width and height of the upright picture."""
    if recipe.rotation_degrees in {90, 270}:
        return recipe.height_px, recipe.width_px
    return recipe.width_px, recipe.height_px


def _stored(upright: Pixels, recipe: Recipe) -> Pixels:
    """Return the pixels that the container's tag turns into `upright`."""
    turns = -round((recipe.rotation_degrees or 0) / 90)
    stored = np.rot90(upright, turns)
    return np.ascontiguousarray(stored[:, ::-1] if recipe.mirrored else stored)


def _write_tone(out: Any, stream: Any, *, seconds: float) -> None:  # noqa: ANN401 - PyAV's objects
    """Encode a tone of 440 Hz."""
    rate = stream.codec_context.sample_rate
    resampler = av.AudioResampler(
        format=stream.codec_context.format or "fltp", layout="stereo", rate=rate, frame_size=960
    )
    wave = np.sin(np.arange(int(seconds * rate)) * 440 * 2 * np.pi / rate).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        out.mux(stream.encode(part))
    out.mux(stream.encode(None))


def _bar_planes(
    recipe: Recipe, shares: tuple[float, float], *, full_range: bool
) -> NDArray[np.uint8]:
    """Return the bars as packed 4:2:0 planes, (H * 3 / 2, W), by the textbook's formula."""
    red_share, blue_share = shares
    bar_width = recipe.width_px // len(BARS)
    rgb = np.repeat(np.array(BARS, float), bar_width, axis=0) / 255
    luma = rgb @ np.array([red_share, 1 - red_share - blue_share, blue_share])
    blue = (rgb[:, 2] - luma) / (2 - 2 * blue_share)
    red = (rgb[:, 0] - luma) / (2 - 2 * red_share)
    if full_range:
        rows = [255 * luma, 255 * blue + 128, 255 * red + 128]
    else:
        rows = [219 * luma + 16, 224 * blue + 128, 224 * red + 128]
    y, u, v = (np.rint(row).astype(np.uint8) for row in rows)
    height = recipe.height_px
    luma_plane = np.tile(y, (height, 1))
    chroma = [np.tile(row[::2], (height // 2, 1)).reshape(-1) for row in (u, v)]
    packed = np.concatenate([luma_plane.reshape(-1), *chroma])
    return packed.reshape(height * 3 // 2, recipe.width_px)


def in_fragments(whole: Path, kind: str) -> bytes:
    """Return a file with the first stream of `kind` of `whole`, in fragments with an index.

    This is how sites keep pictures and sound apart.
    """
    path = whole.with_name(f"{whole.name}.{kind}")
    options = {"movflags": "dash+frag_keyframe+global_sidx+empty_moov+default_base_moof"}
    options |= {"frag_duration": "2000000"}
    with (
        av.open(str(whole)) as source,
        av.open(str(path), "w", format="mp4", container_options=options) as out,
    ):
        stream = next(stream for stream in source.streams if stream.type == kind)
        copy = out.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    return path.read_bytes()


def packets_of(path: Path, kind: str) -> list[tuple[int | None, bytes]]:
    """Return (time, bytes) of each packet of the first stream of `kind`."""
    with av.open(str(path)) as source:
        stream = next(stream for stream in source.streams if stream.type == kind)
        return [(packet.pts, bytes(packet)) for packet in source.demux(stream) if packet.size]

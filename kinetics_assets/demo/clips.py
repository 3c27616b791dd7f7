"""The demo dataset's plan and its videos: generated, small, of known motion.

Every video is a smooth random texture that moves with a constant velocity, so the optical flow at
each pixel is known (`kinetics_assets.demo.truth`). The plan holds what real lists hold: ids that
begin with a hyphen, sources that are longer than the clip, one source that feeds clips of two
classes, several codecs and shapes, and three sources that are no good.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import Clip, ClipId, Split

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DATASET = "demo"
GENERATOR_VERSION = 1
"""Raised whenever the plan or the bytes of a video change."""
CLIPS_PER_CLASS = {Split.TRAIN: 5, Split.VAL: 5, Split.TEST: 1}
"""Good clips of each class; the bad ones come on top."""
LIST_NAMES = {Split.TRAIN: "train", Split.VAL: "validate", Split.TEST: "test"}
"""Names of the lists in the tarball, without their ending, and in the split column."""
MAX_SPEED_PX = 3.0
"""Largest displacement between two frames of any source."""

_LONG_INDEX = 3
"""Of each class and split, this clip comes from a source that is longer than the clip."""
_LONG_LEAD_SECONDS = 2
_WAVELENGTHS_PX = (12.0, 48.0)
"""Shortest and longest wavelength of the texture."""
_WAVES = 40
_SAMPLE_RATE_HZ = 22_050


class Fault(StrEnum):
    """What is wrong with a source of the demo, on purpose."""

    DEAD_LINK = "dead_link"
    """The mirror answers 404."""
    TRUNCATED = "truncated"
    """The file's bytes end early; every length header agrees with what is sent."""
    HTML = "html"
    """The mirror answers 200 and video/mp4, and sends a web page."""


@dataclass(frozen=True, slots=True)
class DemoSource:
    """One video of the mirror."""

    youtube_id: str
    width_px: int
    height_px: int
    fps: int
    seconds: int
    codec: str
    """Encoder: libx264, mpeg4 or libvpx-vp9; the container is always MP4."""
    velocity_px: tuple[float, float]
    """Displacement (x, y) from one frame to the next; x to the right, y downwards."""
    tint: tuple[float, float, float]
    """How strongly the texture shows in red, green and blue."""
    fault: Fault | None = None

    @property
    def frames(self) -> int:
        """Number of frames of the whole video."""
        return self.fps * self.seconds


@dataclass(frozen=True, slots=True)
class DemoClip:
    """One annotation row of the demo and the video it is cut from."""

    clip: Clip
    split: Split
    source: DemoSource


_SHAPES = ((160, 120), (160, 120), (120, 160), (176, 132), (160, 120))
_RATES = (15, 20, 25, 24, 18)
_CODECS = ("libx264", "libx264", "mpeg4", "libx264", "libvpx-vp9")
_TINTS = (
    (1.0, 0.6, 0.4),
    (0.5, 1.0, 0.6),
    (0.5, 0.7, 1.0),
    (1.0, 0.9, 0.4),
    (0.9, 0.5, 1.0),
    (0.7, 0.9, 0.9),
)
_LARGE_SHAPE = (384, 288)
"""Shape of the one source that is larger than the default frame size, so that resizing shows."""
_BAD: tuple[tuple[int, Split, Fault], ...] = (
    (0, Split.TRAIN, Fault.DEAD_LINK),
    (1, Split.TRAIN, Fault.TRUNCATED),
    (0, Split.VAL, Fault.HTML),
)
"""(class index, split, fault); all within the first two classes."""


def chosen_classes(count: int | None = None) -> tuple[str, ...]:
    """Return the first `count` class names of the demo; None means all."""
    return class_names(DATASET)[:count]


@cache
def plan(classes: tuple[str, ...]) -> tuple[DemoClip, ...]:
    """Return all annotation rows of the demo for `classes`, in the order of the lists."""
    rows: list[DemoClip] = []
    for label in classes:
        number = class_names(DATASET).index(label)
        for split, count in CLIPS_PER_CLASS.items():
            rows += [_good_clip(label, number, split, index) for index in range(count)]
    rows += [
        _bad_clip(classes[number], number, split, fault)
        for number, split, fault in _BAD
        if number < len(classes)
    ]
    if len(classes) > 1:
        rows.append(_shared_clip(rows, classes[0], classes[1]))
    return tuple(sorted(rows, key=lambda row: (row.split, row.clip.id)))


def sources_of(rows: tuple[DemoClip, ...]) -> tuple[DemoSource, ...]:
    """Return the distinct videos that `rows` are cut from, sorted by id."""
    return tuple(sorted({row.source for row in rows}, key=lambda source: source.youtube_id))


def encode(source: DemoSource, target: Path) -> None:
    """Write the video of `source` to `target`; the same source gives the same bytes.

    A truncated source is the first part of a good file whose index comes first, so that a reader
    sees a complete header.
    """
    import av

    options = {"movflags": "faststart", "fflags": "+bitexact"}
    with av.open(str(target), "w", format="mp4", options=options) as container:
        video = _video_stream(container, source)
        audio = container.add_stream("aac", rate=_SAMPLE_RATE_HZ, layout="mono")
        audio.codec_context.bit_rate = 32_000
        audio.codec_context.flags |= av.codec.context.Flags.bitexact
        for number in range(source.frames):
            picture = av.VideoFrame.from_ndarray(frame(source, number), format="rgb24")
            picture.pts = number
            picture.time_base = Fraction(1, source.fps)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        for sound in _sound(source):
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    if source.fault is Fault.TRUNCATED:
        os.truncate(target, target.stat().st_size * 6 // 10)


def frame(source: DemoSource, number: int) -> NDArray[np.uint8]:
    """Return frame `number` of a source as RGB, shape (height, width, 3).

    The texture is a sum of plane waves, so that a shift by a fraction of a pixel is exact.
    """
    waves = _waves(source.youtube_id)
    shift_x, shift_y = (number * speed for speed in source.velocity_px)
    along_x = np.outer(waves["x"], np.arange(source.width_px) - shift_x)
    along_y = np.outer(waves["y"], np.arange(source.height_px) - shift_y) + waves["phase"][:, None]
    # cos(a + b) as two products needs no cosine per pixel and wave. einsum, because a threaded BLAS
    # spins on small matrices (ten times the CPU time) and may round differently each time.
    texture = np.einsum("kh,kw->hw", np.cos(along_y), np.cos(along_x))
    texture -= np.einsum("kh,kw->hw", np.sin(along_y), np.sin(along_x))
    texture *= 60.0 / np.sqrt(_WAVES / 2)
    picture = 128.0 + texture[:, :, None] * np.asarray(source.tint)
    return np.clip(np.rint(picture), 16, 240).astype(np.uint8)


def annotation_lists(rows: tuple[DemoClip, ...]) -> dict[str, bytes]:
    """Return the files of the demo's tarball by name, as the official ones are written."""
    lists = {}
    for split, name in LIST_NAMES.items():
        lines = ["label,youtube_id,time_start,time_end,split"]
        lines += [
            f"{row.clip.label},{row.clip.id.youtube_id},{row.clip.id.start_seconds},"
            f"{row.clip.id.end_seconds},{name}"
            for row in rows
            if row.split is split
        ]
        lists[f"{DATASET}/{name}.csv"] = ("\n".join(lines) + "\n").encode()
    return lists


def tarball(rows: tuple[DemoClip, ...]) -> bytes:
    """Return the annotation tarball of `rows`; equal rows give equal bytes."""
    import gzip
    import tarfile

    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in annotation_lists(rows).items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), mtime=0)


def _good_clip(label: str, number: int, split: Split, index: int) -> DemoClip:
    """Return the `index`-th good clip of a class and split."""
    variant = (index + number + (2 if split is Split.VAL else 0)) % len(_SHAPES)
    span_seconds = 1 + (index + number) % 2
    is_long = index == _LONG_INDEX
    is_large = number == 0 and split is Split.VAL and index == 1
    name = f"{label}|{split}|{index}"
    lead_seconds = _LONG_LEAD_SECONDS if is_long else 0
    width_px, height_px = _LARGE_SHAPE if is_large else _SHAPES[variant]
    source = DemoSource(
        youtube_id=_youtube_id(name, hyphen=number == 0 and index == 0),
        width_px=width_px,
        height_px=height_px,
        fps=_RATES[(variant + number) % len(_RATES)],
        seconds=span_seconds + (lead_seconds + 1 if is_long else 0),
        codec=_CODECS[variant],
        velocity_px=_velocity(name),
        tint=_TINTS[number],
    )
    clip = ClipId(source.youtube_id, lead_seconds, lead_seconds + span_seconds)
    return DemoClip(Clip(clip, label), split, source)


def _bad_clip(label: str, number: int, split: Split, fault: Fault) -> DemoClip:
    """Return a clip whose source has `fault`."""
    name = f"{label}|{split}|{fault}"
    source = DemoSource(
        youtube_id=_youtube_id(name, hyphen=False),
        width_px=160,
        height_px=120,
        fps=25,
        seconds=2,
        codec="libx264",
        velocity_px=_velocity(name),
        tint=_TINTS[number],
        fault=fault,
    )
    return DemoClip(Clip(ClipId(source.youtube_id, 0, 2), label), split, source)


def _shared_clip(rows: list[DemoClip], giver: str, taker: str) -> DemoClip:
    """Return a clip of class `taker` that is cut from a training source of class `giver`."""
    long = next(
        row
        for row in rows
        if row.clip.label == giver
        and row.split is Split.TRAIN
        and row.source.seconds > row.clip.id.duration_seconds
    )
    clip = ClipId(long.source.youtube_id, 1, 1 + long.clip.id.duration_seconds)
    return DemoClip(Clip(clip, taker), Split.TRAIN, long.source)


def _youtube_id(name: str, *, hyphen: bool) -> str:
    """Return a valid id that stands for `name`; `hyphen` puts a hyphen first."""
    text = base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode()
    return f"-{text[:10]}" if hyphen else f"D{text[:10]}"


def _random(name: str) -> np.random.Generator:
    """Return a random generator that depends on `name` alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.Generator(np.random.PCG64(seed))


def _velocity(name: str) -> tuple[float, float]:
    """Return a velocity of 0.5 to 3 pixels per frame in a random direction."""
    speed, angle = _random(f"velocity {name}").uniform((0.5, 0.0), (MAX_SPEED_PX, 2 * np.pi))
    return round(float(speed * np.cos(angle)), 3), round(float(speed * np.sin(angle)), 3)


@cache
def _waves(youtube_id: str) -> dict[str, NDArray[np.float64]]:
    """Return angular frequencies along x and y and phases of a texture's plane waves."""
    generator = _random(f"texture {youtube_id}")
    shortest, longest = (float(np.log(length_px)) for length_px in _WAVELENGTHS_PX)
    wavelength_px = np.exp(generator.uniform(shortest, longest, size=_WAVES))
    angle = generator.uniform(0.0, 2 * np.pi, size=_WAVES)
    frequency = 2 * np.pi / wavelength_px
    phase = generator.uniform(0.0, 2 * np.pi, size=_WAVES)
    return {"x": frequency * np.cos(angle), "y": frequency * np.sin(angle), "phase": phase}


def _video_stream(container: Any, source: DemoSource) -> Any:  # noqa: ANN401 - PyAV is untyped here
    """Return a new video stream; one thread, because more would make the bytes vary."""
    import av

    options = {
        "libx264": {"preset": "veryfast", "crf": "17", "g": "12", "bf": "0"},
        "mpeg4": {"qscale": "2", "g": "12"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "6", "crf": "15", "b": "0", "g": "12"},
    }[source.codec]
    stream = container.add_stream(source.codec, rate=source.fps, options=options)
    stream.width, stream.height = source.width_px, source.height_px
    stream.pix_fmt = "yuv420p"
    stream.codec_context.thread_count = 1
    stream.codec_context.flags |= av.codec.context.Flags.bitexact
    if source.codec == "mpeg4":
        stream.codec_context.flags |= av.codec.context.Flags.qscale
        stream.codec_context.bit_rate = 4_000_000
    return stream


def _sound(source: DemoSource) -> list[Any]:
    """Return the audio frames of a source: a sine whose pitch depends on the id."""
    import av

    pitch_hz = 220 + 20 * (sum(source.youtube_id.encode()) % 30)
    times = np.arange(source.seconds * _SAMPLE_RATE_HZ) / _SAMPLE_RATE_HZ
    wave = (0.2 * np.sin(2 * np.pi * pitch_hz * times)).astype(np.float32)
    frames = []
    for start in range(0, wave.size, 1024):
        sound = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], "fltp", "mono")
        sound.sample_rate = _SAMPLE_RATE_HZ
        sound.pts = start
        sound.time_base = Fraction(1, _SAMPLE_RATE_HZ)
        frames.append(sound)
    return frames

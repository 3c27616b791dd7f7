"""Videos of a scene known by a formula, in the forms that docs/media-policies.md has a rule for.

The scene is soft: colours that change from edge to edge and a bar of light that moves with the
number of the frame. So the formula gives what the scene looks like at any size, and no scaler,
converter or decoder has a hand in what tests compare with. Planes are filled by the textbook.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.float64]

FRAMES: Final = 8
STEP_MS: Final = 40
_LUMA_SHARES: Final = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}
_MATRIX_NUMBERS: Final = {"601": 6, "709": 1}
_OPTIONS: Final = {
    "libx264": {"preset": "ultrafast", "crf": "6", "threads": "1"},
    "libx265": {"preset": "ultrafast", "crf": "6", "x265-params": "pools=none:log-level=none"},
    "libvpx-vp9": {"lossless": "1", "cpu-used": "8", "threads": "1"},
}


@dataclass(frozen=True, slots=True)
class Case:
    """One form of the scene."""

    name: str
    policy: str
    """Row of the table in docs/media-policies.md that it is a case of."""
    upright: tuple[int, int] = (96, 64)
    """Width and height as shown, samples squared."""
    stored: tuple[int, int] = (96, 64)
    """Width and height in the file."""
    rotation: int | None = None
    """Counter-clockwise turn that the container asks readers for."""
    mirrored: bool = False
    sample_aspect: Fraction | None = None
    codec: str = "libx264"
    container: str = "mp4"
    options: dict[str, str] = field(default_factory=dict)
    muxer: dict[str, str] = field(default_factory=dict)
    pixel_format: str = "yuv420p"
    matrix: str = "601"
    full_range: bool = False
    tagged: bool = True
    matrix_tag: int | None = None
    """H.273 number that the file says; by default that of `matrix`."""
    interlaced: bool = False
    times: Sequence[int] = tuple(range(0, FRAMES * STEP_MS, STEP_MS))
    """When each frame is written, in milliseconds."""
    shown: Sequence[int] = tuple(range(FRAMES))
    """Numbers of the frames that a reader shows."""
    shown_times: Sequence[int] = ()
    """When they are shown, the first one at 0, in milliseconds; by default as written."""
    patch: Callable[[bytes], bytes] | None = None
    """What is done to the finished file."""

    def write(self, path: Path) -> Path:
        """Write the video to `path` and return the path."""
        with av.open(str(path), "w", format=self.container, container_options=self.muxer) as out:
            stream: Any = out.add_stream(
                self.codec, rate=25, options=_OPTIONS.get(self.codec, {}) | self.options
            )
            context = stream.codec_context
            context.width, context.height = self.stored
            context.pix_fmt = self.pixel_format
            context.time_base = Fraction(1, 1000)
            context.thread_count = 1
            if self._is_tagged:
                context.color_range = 2 if self.full_range else 1
                context.colorspace = self._matrix_number
            if self.sample_aspect:
                context.sample_aspect_ratio = self.sample_aspect
            if self.rotation is not None:
                stream.set_display_rotation(self.rotation, hflip=self.mirrored)
            for number, time in enumerate(self.times):
                frame = self._frame(number)
                frame.pts, frame.time_base = time, Fraction(1, 1000)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        if self.patch is not None:
            path.write_bytes(self.patch(path.read_bytes()))
        return path

    @property
    def _is_tagged(self) -> bool:
        return self.tagged and not self.pixel_format.startswith("gb")

    @property
    def _matrix_number(self) -> int:
        return self.matrix_tag or _MATRIX_NUMBERS[self.matrix]

    def seconds(self) -> list[float]:
        """Return when the frames are shown, the first one at 0."""
        times = self.shown_times or [self.times[n] - self.times[self.shown[0]] for n in self.shown]
        return [time / 1000 for time in times]

    def as_stored(self, upright: Pixels) -> Pixels:
        """Return what the file holds where a reader is to show `upright`, (H, W) or (H, W, C)."""
        turned = np.rot90(upright, -(self.rotation or 0) // 90)
        return turned[:, ::-1] if self.mirrored else turned

    def scene(self, number: int, size: tuple[int, int]) -> Pixels:
        """Return what frame `number` looks like at a width and height, upright, (H, W, 3) RGB."""
        first = scene(number, size)
        if not self.interlaced:
            return first
        second = scene(number + 0.5, size)
        if size != self.upright:
            return (first + second) / 2
        woven = first.copy()
        woven[1::2] = second[1::2]
        return woven

    def _frame(self, number: int) -> Any:  # noqa: ANN401 - PyAV's frame
        """Return frame `number` as it is stored."""
        frame = av.VideoFrame(*self.stored, self.pixel_format)
        layout = av.VideoFormat(self.pixel_format, *self.stored)
        for index, plane in enumerate(frame.planes):
            size = (plane.width, plane.height)
            if self.rotation in {90, 270}:
                size = (plane.height, plane.width)
            rgb = self.scene(number, size)
            bits = layout.components[index].bits
            values = self.as_stored(_component(rgb, index, case=self))
            levels = np.rint(values * (1 << bits - 8)).clip(0, (1 << bits) - 1)
            kind = np.uint8 if bits == 8 else np.dtype("<u2")
            rows = np.zeros((plane.height, plane.line_size // np.dtype(kind).itemsize), kind)
            rows[:, : plane.width] = levels
            plane.update(rows.tobytes())
        if self._is_tagged:
            frame.color_range = 2 if self.full_range else 1
            frame.colorspace = self._matrix_number
        return frame


@cache
def scene(number: float, size: tuple[int, int]) -> Pixels:
    """Return the scene at a moment, (H, W, 3) RGB in 8-bit levels, for a width and height."""
    width, height = size
    across = (np.arange(width) + 0.5)[None] / width
    down = (np.arange(height) + 0.5)[:, None] / height
    light = 50 * np.exp(-(((across - 0.1 - 0.8 * number / FRAMES) / 0.08) ** 2))
    red = 45 + 140 * across + 0 * down
    green = 45 + 140 * down + 0 * across
    blue = 45 + 70 * (1 - across) + 70 * (1 - down)
    rgb: Pixels = np.stack([red, green, blue], axis=2) + light[..., None]
    rgb.flags.writeable = False  # it is kept
    return rgb


def luma(rgb: Pixels) -> Pixels:
    """Return the grey of (H, W, 3) RGB by ITU-R 601."""
    return rgb @ np.array([0.299, 0.587, 0.114])


def rgb_of(frame: Any) -> Pixels:  # noqa: ANN401 - PyAV's frame
    """Return the (H, W, 3) RGB levels of a decoded 8-bit 4:2:0 frame, by its tags."""
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        planes.append(rows[: plane.height, : plane.width].astype(float))
    y, u, v = planes
    u, v = (np.kron(chroma, np.ones((2, 2)))[: y.shape[0], : y.shape[1]] for chroma in (u, v))
    if frame.color_range != 2:
        y, u, v = (y - 16) * 255 / 219, (u - 128) * 255 / 224 + 128, (v - 128) * 255 / 224 + 128
    red_share, blue_share = _LUMA_SHARES["709" if frame.colorspace == 1 else "601"]
    red = y + (v - 128) * (2 - 2 * red_share)
    blue = y + (u - 128) * (2 - 2 * blue_share)
    green = (y - red_share * red - blue_share * blue) / (1 - red_share - blue_share)
    return np.stack([red, green, blue], axis=2).clip(0, 255)


def psnr(seen: NDArray[Any], meant: Pixels) -> float:
    """Return how alike two pictures in 8-bit levels are, in dB."""
    error = float(np.mean((np.asarray(seen, float) - meant) ** 2))
    return 10 * math.log10(255**2 / max(error, 1e-9))


def _component(rgb: Pixels, index: int, *, case: Case) -> Pixels:
    """Return what plane `index` holds of a picture, in 8-bit levels."""
    if case.pixel_format.startswith("gb"):
        return rgb[..., (1, 2, 0)[index]]
    if index == 3:  # how opaque: a policy must not let it darken the picture
        return 255 - rgb[..., 0]
    red_share, blue_share = _LUMA_SHARES[case.matrix]
    y = rgb @ np.array([red_share, 1 - red_share - blue_share, blue_share])
    if index == 0:
        return y if case.full_range else 16 + y * 219 / 255
    channel, share = (rgb[..., 2], blue_share) if index == 1 else (rgb[..., 0], red_share)
    chroma = (channel - y) / (2 - 2 * share)
    return 128 + (chroma if case.full_range else chroma * 224 / 255)


def _without_the_middle(data: bytes) -> bytes:
    """Return an MP4 whose edit list shows the first three frames and the last two."""
    at = data.rindex(b"elst") - 4
    size = int.from_bytes(data[at : at + 4])
    movie_rate = int.from_bytes(data[(m := data.index(b"mvhd")) + 16 : m + 20])
    media_rate = int.from_bytes(data[(m := data.index(b"mdhd")) + 16 : m + 20])
    entries = b""
    for first, frames in ((0, 3), (6, 2)):
        entries += (frames * STEP_MS * movie_rate // 1000).to_bytes(4)
        entries += (first * STEP_MS * media_rate // 1000).to_bytes(4) + b"\0\1\0\0"
    box = (16 + len(entries)).to_bytes(4) + b"elst" + bytes(4) + (2).to_bytes(4) + entries
    data = data[:at] + box + data[at + size :]
    grown = bytearray(data)
    for name in (b"edts", b"trak", b"moov"):  # the index is last, so nothing else moves
        at = data.rindex(name) - 4
        length = int.from_bytes(data[at : at + 4]) + len(box) - size
        grown[at : at + 4] = length.to_bytes(4)
    return bytes(grown)


_WIDE, _HIGH = Fraction(4, 3), Fraction(2, 3)
_BITS, _TIMES, _COLOUR = "10 bit, 4:2:2, 4:4:4", "a late or edited start", "colour tags"
_TURN, _SAMPLES, _ODD = "a rotation tag", "non-square samples", "odd sides"
_NO_B_FRAMES: Final = {"x264-params": "bframes=0"}
_ALL_KEYS: Final = {"x264-params": "keyint=1"}
_LATE: Final = tuple(5000 + STEP_MS * n for n in range(FRAMES))
_EARLY: Final = tuple(STEP_MS * (n - 3) for n in range(FRAMES))
_CUT: Final = tuple(STEP_MS * (n - 5) for n in range(FRAMES))
_UNEVEN: Final = (0, 40, 50, 90, 200, 210, 333, 400)

CASES: Final = (
    Case("untagged", _COLOUR, tagged=False),
    *(
        Case(f"turned {turn}", _TURN, upright=size, rotation=turn)
        for turn, size in ((90, (64, 96)), (180, (96, 64)), (270, (64, 96)))
    ),
    Case("mirrored", _TURN, rotation=0, mirrored=True),
    Case("wide samples", _SAMPLES, upright=(128, 64), sample_aspect=_WIDE),
    Case("high samples", _SAMPLES, upright=(64, 64), sample_aspect=_HIGH),
    Case("wide, turned", _SAMPLES, upright=(64, 128), sample_aspect=_WIDE, rotation=90),
    Case("odd", _ODD, upright=(95, 63), stored=(95, 63), codec="libvpx-vp9", container="webm"),
    Case("odd, turned", _ODD, upright=(63, 95), stored=(95, 63), codec="libvpx-vp9", rotation=270),
    Case("odd 4:4:4", _ODD, upright=(95, 63), stored=(95, 63), pixel_format="yuv444p"),
    *(Case(name, _BITS, pixel_format=name) for name in ("yuv422p", "yuv444p", "yuv420p10le")),
    Case("yuv422p10le", _BITS, pixel_format="yuv422p10le"),
    Case("hevc 10 bit", _BITS, codec="libx265", pixel_format="yuv420p10le"),
    Case("hevc 12 bit 4:4:4", _BITS, codec="libx265", pixel_format="yuv444p12le"),
    Case("vp9 4:4:4", _BITS, codec="libvpx-vp9", container="webm", pixel_format="yuv444p"),
    Case(
        "10 bit 709 turned",
        _BITS,
        upright=(64, 96),
        pixel_format="yuv420p10le",
        matrix="709",
        rotation=90,
    ),
    Case("uneven", "variable frame rate", times=_UNEVEN),
    Case("uneven, B-frames", "variable frame rate", times=_UNEVEN, options={"preset": "veryfast"}),
    *(
        Case(f"{matrix}{' full' * full}", _COLOUR, matrix=matrix, full_range=full)
        for matrix in ("601", "709")
        for full in (False, True)
    ),
    Case("a matrix that nothing here knows", _COLOUR, matrix_tag=8),
    Case("RGB", _COLOUR, codec="libvpx-vp9", container="webm", pixel_format="gbrp"),
    Case("late", _TIMES, times=_LATE, container="matroska"),
    Case("late MP4", _TIMES, times=_LATE),
    Case("late TS", _TIMES, times=_LATE, container="mpegts"),
    Case("edited", _TIMES, times=_EARLY, options=_NO_B_FRAMES, shown=range(3, FRAMES)),
    Case("cut by copying", _TIMES, times=_CUT, options=_NO_B_FRAMES, shown=range(5, FRAMES)),
    Case(
        "edited middle",
        _TIMES,
        options=_ALL_KEYS,
        patch=_without_the_middle,
        shown=(0, 1, 2, 6, 7),
        shown_times=range(0, 200, STEP_MS),
    ),
    Case("early Matroska", _TIMES, times=_EARLY, container="matroska"),
    Case(
        "AVI, B-frames",
        "an AVI, which has no times",
        container="avi",
        options={"preset": "veryfast"},
    ),
    Case(
        "negative composition",
        _TIMES,
        options={"preset": "veryfast"},
        muxer={"movflags": "negative_cts_offsets"},
    ),
    Case("interlaced", "interlaced pictures", interlaced=True, options={"x264-params": "tff=1"}),
    Case("alpha", "transparency", codec="ffv1", container="matroska", pixel_format="yuva420p"),
)
"""Every form once; the pictures are tiny and few."""

"""Files that lie, break off or are something else, and what is to be said of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from kinetics_assets.core import errors
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.resources.mp4_boxes import changed, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FRAMES: Final = 20
"""Of the files that are sound behind their lies."""
_TRACK: Final = "moov/trak/mdia"
_SAMPLES: Final = f"{_TRACK}/minf/stbl"


@dataclass(frozen=True, slots=True)
class Hostile:
    """One such file."""

    name: str
    make: Callable[[Path], Path]
    error: type[errors.ClipError] | None
    """Said of it by everything that reads it; None where its pictures are sound."""
    in_class: type[errors.ClipError] | None = None
    """Said of it as a clip of one second, if that differs."""
    encoded: type[errors.ClipError] | None = None
    """May be said when it is encoded anew, though its pictures are sound."""
    frames: int = FRAMES
    """How many can be decoded where its pictures are sound."""

    @property
    def verdict(self) -> type[errors.ClipError] | None:
        """What the videos stage says of it."""
        return self.in_class or self.error


def sound(path: Path) -> Path:
    """Write a good sibling."""
    return media.plain(path, frames=FRAMES)


def claiming_size(path: Path, *, macroblocks: int) -> Path:
    """Write H.264 whose own header, not only the container, claims a huge square picture."""

    def grown(config: bytes) -> bytes:
        length = int.from_bytes(config[6:8])
        header = _grown_header(config[8 : 8 + length], macroblocks)
        return config[:6] + len(header).to_bytes(2) + header + config[8 + length :]

    path.write_bytes(changed(sound(path).read_bytes(), f"{_SAMPLES}/stsd/avc1/avcC", grown))
    return path


def growing_frame(path: Path, *, side_px: int) -> Path:
    """Write VP8 of which the first frame is larger than the container says."""
    data = bytearray(media.vp8(path).read_bytes())
    at = data.index(b"\x9d\x01\x2a") + 3
    data[at : at + 4] = side_px.to_bytes(2, "little") * 2
    path.write_bytes(data)
    return path


def claiming_duration(path: Path, ticks: bytes) -> Path:
    """Write a file whose three durations are `ticks`, four bytes."""
    data = sound(path).read_bytes()
    for box, at in (("moov/mvhd", 16), ("moov/trak/tkhd", 20), (f"{_TRACK}/mdhd", 16)):
        data = changed(data, box, put(at, ticks))
    path.write_bytes(data)
    return path


def claiming_rate(path: Path) -> Path:
    """Write a file of a million frames a second."""
    data = changed(sound(path).read_bytes(), f"{_TRACK}/mdhd", put(12, (10**6).to_bytes(4)))
    one = (1).to_bytes(4)
    path.write_bytes(changed(data, f"{_SAMPLES}/stts", put(4, one + FRAMES.to_bytes(4) + one)))
    return path


def claiming_frames(path: Path) -> Path:
    """Write a file whose table of samples claims 2^32 - 1 of them."""
    path.write_bytes(changed(sound(path).read_bytes(), f"{_SAMPLES}/stsz", put(8, b"\xff" * 4)))
    return path


def _text(text: str) -> Callable[[Path], Path]:
    """Return what writes a text that names another file."""

    def write(path: Path) -> Path:
        path.write_text(text.format(other=path.parent / "other.mp4"), encoding="utf-8")
        return path

    return write


def _noise(before: bytes = b"") -> Callable[[Path], Path]:
    """Return what writes random bytes behind others."""

    def write(path: Path) -> Path:
        path.write_bytes(before + np.random.default_rng(3).bytes(4000))
        return path

    return write


def _empty(path: Path) -> Path:
    """Write no byte."""
    path.touch()
    return path


def _grown_header(header: bytes, macroblocks: int) -> bytes:
    """Return an H.264 sequence parameter set of constrained baseline for another size.

    Fields are those of ITU-T H.264, 7.3.2.1.1, as far as that profile has them.
    """
    plain = header.replace(b"\0\0\3", b"\0\0")
    bits = "".join(f"{byte:08b}" for byte in plain)
    at = 32
    for _ in range(2):  # id, length of frame numbers
        at = _past_number(bits, at)
    is_counted = _number(bits, at) == 0
    at = _past_number(bits, at)
    if is_counted:
        at = _past_number(bits, at)
    at = _past_number(bits, at) + 1
    side = f"{macroblocks:b}"
    side = "0" * (len(side) - 1) + side
    bits = bits[:at] + 2 * side + "11001"  # frames only, 8x8 inference, neither crop nor more
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[n : n + 8], 2) for n in range(0, len(bits), 8))


def _past_number(bits: str, at: int) -> int:
    """Return where the Exp-Golomb number at `at` ends."""
    return 2 * bits.index("1", at) - at + 1


def _number(bits: str, at: int) -> int:
    """Return the Exp-Golomb number at `at`."""
    return int(bits[bits.index("1", at) : _past_number(bits, at)], 2) - 1


CASES: Final = (
    Hostile("index missing", media.without_index, errors.Truncated),
    Hostile("pictures cut", media.truncated, errors.Truncated),
    Hostile("pictures zeroed", media.zeroed_tail, errors.Truncated),
    Hostile("middle damaged", media.damaged_middle, errors.Undecodable),
    Hostile("no frame", media.zero_frames, errors.NoFrames),
    Hostile("sound alone", media.audio_only, errors.NoVideoStream),
    Hostile("one frame", media.one_frame, None, errors.TooShort, frames=1),
    Hostile("noise", _noise(), errors.NotMedia),
    Hostile("noise in MP4", _noise(b"\0\0\0\x10ftypisom\0\0\2\0"), errors.Truncated),
    Hostile("noise in Matroska", _noise(b"\x1a\x45\xdf\xa3"), errors.Undecodable),
    Hostile("empty", _empty, errors.EmptyFile),
    Hostile("16k", lambda p: claiming_size(p, macroblocks=1024), errors.Undecodable),
    Hostile("2k", lambda p: claiming_size(p, macroblocks=128), errors.OverLimit),
    Hostile("frame of 2k", lambda p: growing_frame(p, side_px=2000), errors.OverLimit),
    Hostile("frame of 16k", lambda p: growing_frame(p, side_px=16383), errors.Undecodable),
    Hostile("ten hours", lambda p: claiming_duration(p, (36_000_000).to_bytes(4)), None),
    Hostile("endless", lambda p: claiming_duration(p, b"\xff" * 4), None),
    Hostile("no duration", lambda p: claiming_duration(p, bytes(4)), None),
    # all of it lies within a tick of an MP4's clock
    Hostile(
        "a million frames a second",
        claiming_rate,
        None,
        errors.TooShort,
        encoded=errors.Undecodable,
    ),
    Hostile("2^32 frames", claiming_frames, errors.Undecodable),
    Hostile("M3U8", _text("#EXTM3U\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n"), errors.NotMedia),
    Hostile("ffconcat", _text("ffconcat version 1.0\nfile '{other}'\n"), errors.NotMedia),
    Hostile("SVG", _text("<svg><image href='{other}'/></svg>"), errors.NotMedia),
    Hostile("subtitles", _text("1\n00:00:01,000 --> 00:00:02,000\n{other}\n"), errors.NotMedia),
)
"""Every kind once."""

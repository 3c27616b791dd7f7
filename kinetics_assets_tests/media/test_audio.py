"""Copying sound: what is odd about it costs the clip nothing, and as little sound as can be."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import pytest

from kinetics_assets.core import errors
from kinetics_assets.core.settings import ResizeRecipe, VideoRecipe
from kinetics_assets.media.probe import blame
from kinetics_assets_tests.resources import media

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.media.client import MediaWorker

FAST = VideoRecipe(trim_preset="ultrafast")
SMALL = ResizeRecipe(short_side_px=32)
ADTS = b"\xff\xf1\x4c"
"""How the headers of AAC begin that `media` writes into a transport stream."""


def with_late_sound(path: Path, *, container: str, codec: str, late_seconds: int) -> Path:
    """Write pictures, 5 a second, with two seconds of sound from `late_seconds` on.

    libav looks at the first five to seven seconds when it opens a file.
    """
    whole = media.plain(
        path.with_name("whole"),
        frames=5 * (late_seconds + 2),
        rate=Fraction(5),
        codec="libvpx" if container == "webm" else "libx264",
        audio_codec=codec,
        container="matroska",
    )
    with av.open(str(whole)) as source, av.open(str(path), "w", format=container) as out:
        copies = [out.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            is_sound = packet.stream.type == "audio"
            if packet.size and not (is_sound and (packet.pts or 0) < 1000 * late_seconds):
                packet.stream = copies[packet.stream.index]
                out.mux(packet)
    return path


@pytest.mark.parametrize(
    ("container", "start", "expected"), [("webm", 8, 0), ("webm", 6, 1), ("mp4", 6, 1)]
)
def test_sound_that_begins_late_is_cut_along(
    container: str, start: int, expected: int, worker: MediaWorker, tmp_path: Path
) -> None:
    """Not a packet of the span is lost where the container cannot seek to a time without sound.

    Regression: libav's Matroska says "operation not permitted", which was taken for a fault of the
    disk, so that the class was never done.
    """
    source = with_late_sound(
        tmp_path / "source", container=container, codec="libopus", late_seconds=7
    )
    target = tmp_path / "cut.mp4"
    worker.trim(source, target, start_seconds=start, end_seconds=8.8, recipe=FAST)
    with av.open(str(target)) as clip:
        sound = clip.streams.audio[0]
        packets = [packet for packet in clip.demux(sound) if packet.size]
    assert packets[0].time_base is not None
    assert float((packets[0].pts or 0) * packets[0].time_base) == pytest.approx(expected, abs=0.021)
    assert len(packets) == pytest.approx((8.8 - start - expected) / 0.02, abs=1)


def test_a_demuxers_bare_minus_one_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    """EPERM while a file is read that can be read is about its content."""
    path = tmp_path / "video"
    path.write_bytes(b"x")
    error = av.error.PermissionError(1, "Operation not permitted", str(path))
    with pytest.raises(errors.Undecodable, match="not permitted"):
        blame(error, path, saying="A packet cannot be read")


def test_mp3_that_no_mp4_may_hold_is_left_out(worker: MediaWorker, tmp_path: Path) -> None:
    """MPEG-2.5 (below 16 kHz), which libav's muxer refuses, costs only itself."""
    seen = {}
    for rate in (8_000, 16_000):
        source = media.plain(
            tmp_path / str(rate),
            audio_codec="libmp3lame",
            audio_rate_hz=rate,
            container="matroska",
        )
        facts = worker.resize(source, tmp_path / "small.mp4", recipe=SMALL)
        seen[rate] = (facts.has_audio, facts.frames_decoded)
    assert seen == {8_000: (False, 12), 16_000: (True, 12)}


@pytest.mark.parametrize("which", [0, 50])
@pytest.mark.parametrize(("byte", "value"), [(0, 0), (2, 0xFC)], ids=["no header", "no such rate"])
def test_a_damaged_header_costs_little_sound_and_nothing_else(
    byte: int, value: int, which: int, worker: MediaWorker, tmp_path: Path
) -> None:
    """Sound with a damaged AAC header in a transport stream is kept, and can be decoded.

    Regression: the clip was called `encode_failed`, its pictures and all; or, with a first header
    that is none, all of its sound was copied in a form that no reader of MP4 expects.
    """
    source = media.with_audio(tmp_path / "source", container="mpegts")
    whole = bytearray(source.read_bytes())
    places = [at for at in range(len(whole)) if whole.startswith(ADTS, at)]
    whole[places[which] + byte] = value
    source.write_bytes(whole)
    target = tmp_path / "small.mp4"
    facts = worker.resize(source, target, recipe=SMALL)
    assert (facts.has_audio, facts.frames_decoded) == (True, 50)
    with av.open(str(target)) as clip:
        samples = sum(frame.samples for frame in clip.decode(audio=0))
    assert samples > 0.8 * len(places) * 1024


def test_damage_that_the_muxer_finds_when_it_writes_costs_no_picture(
    worker: MediaWorker, tmp_path: Path
) -> None:
    """It holds packets of E-AC-3 back, and complains of one when it is given a picture."""
    source = media.with_audio(tmp_path / "source", codec="eac3", container="mpegts")
    whole = bytearray(source.read_bytes())
    second = whole.index(b"\x0b\x77", whole.index(b"\x0b\x77") + 2)
    whole[second : second + 2] = bytes(2)
    source.write_bytes(whole)
    facts = worker.resize(source, tmp_path / "small.mp4", recipe=SMALL)
    assert (facts.has_audio, facts.frames_decoded) == (True, 50)


def test_sound_of_which_no_packet_was_seen_is_left_out(worker: MediaWorker, tmp_path: Path) -> None:
    """A transport stream tells nothing of sound but in its packets, and they may come late.

    Regression: the clip was called `encode_failed`.
    """
    source = with_late_sound(tmp_path / "source", container="mpegts", codec="aac", late_seconds=12)
    facts = worker.resize(source, tmp_path / "small.mp4", recipe=SMALL)
    assert (facts.has_audio, facts.frames_decoded) == (False, 70)

"""Resizing: the documented policy for each odd thing a source may have; the same bytes twice."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from kinetics_assets.core import errors
from kinetics_assets.core.settings import Limits, ResizeRecipe
from kinetics_assets.media.client import MediaWorker
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.resources.pictures import is_upright, number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from kinetics_assets.media.client import MediaFacts

SMALL = ResizeRecipe(short_side_px=32)
PEER = ResizeRecipe(recipe="mmaction2", short_side_px=32)


def shrink(
    worker: MediaWorker, source: Path, recipe: ResizeRecipe = SMALL
) -> tuple[Path, MediaFacts]:
    """Return the resized clip and its facts."""
    target = source.with_name("small.mp4")
    return target, worker.resize(source, target, recipe=recipe)


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (media.plain, (48, 32)),
        (media.portrait, (32, 48)),
        (media.odd_size, (48, 32)),
        (media.wide_samples, (64, 32)),  # 128x64 when squared
        (media.ten_bit, (48, 32)),
        (media.full_chroma, (48, 32)),
        (media.hevc, (48, 32)),
        (media.vp9, (48, 32)),
        (media.mirrored, (48, 32)),
        (lambda path: media.rotated(path, 90), (32, 48)),
        (lambda path: media.rotated(path, 180), (48, 32)),
        (lambda path: media.rotated(path, 270), (32, 48)),
    ],
)
def test_every_kind_becomes_an_upright_small_video(
    make: Callable[[Path], Path], size: tuple[int, int], worker: MediaWorker, tmp_path: Path
) -> None:
    """Right size, every frame in order, each quadrant where it belongs, no tag left."""
    target, facts = shrink(worker, make(tmp_path / "source"))
    assert (facts.width_px, facts.height_px) == size
    assert facts.frames_decoded == 12
    frames = media.decoded(target)
    assert frames[0].shape == (size[1], size[0], 3)  # as stored: no tag turns it
    assert all(is_upright(pixels) for pixels in frames)
    assert [number_of(pixels) for pixels in frames] == list(range(12))
    with av.open(str(target)) as clip:
        stream = clip.streams.video[0]
        assert stream.sample_aspect_ratio in {None, Fraction(1)}
        assert stream.codec_context.pix_fmt == "yuv420p"


def test_a_smaller_video_is_not_enlarged_unless_asked(worker: MediaWorker, tmp_path: Path) -> None:
    """No upscaling by default; odd sides become one shorter."""
    source = media.odd_size(tmp_path / "source")
    _, facts = shrink(worker, source, ResizeRecipe(short_side_px=256))
    assert (facts.width_px, facts.height_px) == (94, 62)
    _, facts = shrink(worker, source, ResizeRecipe(short_side_px=256, upscale=True))
    assert (facts.width_px, facts.height_px) == (386, 256)


def test_times_are_kept(worker: MediaWorker, tmp_path: Path) -> None:
    """Uneven times stay, a late start moves to 0, frames before the edit are left out."""
    uneven, _ = shrink(worker, media.variable_rate(tmp_path / "uneven"))
    expected = [time / 1000 for time in media.VARIABLE_TIMES]
    assert media.times_of(uneven) == pytest.approx(expected, abs=1e-4)
    late, _ = shrink(worker, media.late_start(tmp_path / "late"))
    assert media.times_of(late) == pytest.approx([i * 0.04 for i in range(12)], abs=1e-4)
    edited, _ = shrink(worker, media.negative_start(tmp_path / "edited"))
    assert [number_of(pixels) for pixels in media.decoded(edited)] == list(range(5, 12))
    assert media.times_of(edited)[0] == 0


@pytest.mark.parametrize("matrix", ["601", "709"])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_stay(
    matrix: str,
    full_range: bool,
    worker: MediaWorker,
    tmp_path: Path,
) -> None:
    """Tags are copied and the pictures still mean the same colours."""
    source = media.colour_bars(tmp_path / "source", matrix=matrix, full_range=full_range)
    target, _ = shrink(worker, source)
    with av.open(str(target)) as clip:
        context = clip.streams.video[0].codec_context
        number = {"601": 6, "709": 1}[matrix]
        assert (context.colorspace, context.color_primaries, context.color_trc) == (number,) * 3
        assert context.color_range == (2 if full_range else 1)
    pixels = media.decoded(target)[0].astype(int)
    width = pixels.shape[1] / len(media.BARS)
    for index, colour in enumerate(media.BARS):
        seen = pixels[pixels.shape[0] // 2, int((index + 0.5) * width)]
        assert np.abs(seen - colour).max() <= 6


@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
def test_sound_is_copied(codec: str, worker: MediaWorker, tmp_path: Path) -> None:
    """The sound's packets are those of the source, at the same times.

    Regression: MP3 was left out, as libav's decoder of it is called mp3float.
    """
    source = media.with_audio(tmp_path / "source", codec=codec)
    target, facts = shrink(worker, source)
    assert facts.has_audio
    packets = []
    for path in (source, target):
        with av.open(str(path)) as clip:
            demuxed = [p for p in clip.demux(clip.streams.audio[0]) if p.size]
            packets.append([(bytes(p), float((p.pts or 0) * p.time_base)) for p in demuxed])
    assert [data for data, _ in packets[0]] == [data for data, _ in packets[1]]
    assert [t for _, t in packets[0]] == pytest.approx([t for _, t in packets[1]], abs=1e-3)


def test_sound_with_times_that_stand_still_is_kept(worker: MediaWorker, tmp_path: Path) -> None:
    """No packet is lost, and each is later than the one before, which an MP4 asks for.

    Regression: the clip was called `encode_failed`, its pictures and all.
    """
    whole, source = media.with_audio(tmp_path / "whole.mkv", container="matroska"), tmp_path / "odd"
    with av.open(str(whole)) as read, av.open(str(source), "w", format="matroska") as out:
        streams = [out.add_stream_from_template(stream) for stream in read.streams]
        times, given = [0], 0
        for packet in read.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                given += 1
                times.append(times[-1] if given % 10 == 0 else max(packet.dts, times[-1]))
                packet.dts = packet.pts = times[-1]
            packet.stream = streams[packet.stream.index]
            out.mux(packet)
    target, facts = shrink(worker, source)
    assert facts.has_audio
    with av.open(str(target)) as clip:
        kept = [packet.dts or 0 for packet in clip.demux(clip.streams.audio[0]) if packet.size]
    assert len(kept) == given
    assert sorted(set(kept)) == kept


def test_sound_can_be_left_out(worker: MediaWorker, tmp_path: Path) -> None:
    """Without keep_audio, and where the codec does not fit."""
    source = media.with_audio(tmp_path / "source")
    assert not shrink(worker, source, replace(SMALL, keep_audio=False))[1].has_audio
    source = media.with_audio(tmp_path / "pcm", codec="pcm_s16le", container="matroska")
    assert not shrink(worker, source)[1].has_audio


@pytest.mark.parametrize(
    ("recipe", "notes"),
    [
        (SMALL, (b"crf=22.8", b"deadzone=6,3", b"subme=1", b"mbtree=1", b"trellis=0")),
        (ResizeRecipe(short_side_px=64), (b"crf=23.0", b"deadzone=7,3", b"subme=3", b"ref=2")),
        (ResizeRecipe(short_side_px=32, crf=30), (b"crf=30.0", b"deadzone=6,3", b"subme=1")),
        (
            ResizeRecipe(preset="fast", x264_params="trellis=2"),
            (b"crf=21.0", b"deadzone=21,11", b"subme=6", b"trellis=2"),
        ),
    ],
)
def test_the_recipe_reaches_the_encoder(
    recipe: ResizeRecipe, notes: tuple[bytes, ...], worker: MediaWorker, tmp_path: Path
) -> None:
    """x264 notes its settings in the stream: fitted ones, or those of the user."""
    target, _ = shrink(worker, media.plain(tmp_path / "source"), recipe)
    stream = target.read_bytes()
    for note in (*notes, b"keyint=16", b"threads=1"):
        assert note in stream


def test_a_clip_of_vp9_that_keeps_its_size_has_settings_of_its_own(
    worker: MediaWorker, tmp_path: Path
) -> None:
    """By the codec that the file has, whatever it is called."""
    source = media.vp9(tmp_path / "source.mp4")
    stream = shrink(worker, source, ResizeRecipe(short_side_px=64))[0].read_bytes()
    for note in (b"crf=23.3", b"subme=2", b"aq=3:0.80", b"ip_ratio=1.30"):
        assert note in stream


def test_mmaction2s_recipe_is_its_command(worker: MediaWorker, tmp_path: Path) -> None:
    """scale=-2:256 -c:v libx264 -g 16 -an: medium, crf 23, enlarging, no sound, every frame."""
    source = media.with_audio(tmp_path / "source")
    target, facts = shrink(worker, source, ResizeRecipe(recipe="mmaction2", crf=1))
    assert (facts.width_px, facts.height_px) == (384, 256)
    assert facts.frames_decoded == 50
    assert not facts.has_audio
    notes = target.read_bytes()
    for note in (
        b"crf=23.0",
        b"keyint=16",
        b"subme=7",
        b"ref=3",
        b"bframes=3",
        b"me=hex",
        b"trellis=1",
    ):
        assert note in notes


def test_mmaction2s_recipe_keeps_the_shape_in_a_tag(worker: MediaWorker, tmp_path: Path) -> None:
    """As ffmpeg does: stored pixels are scaled, and the sample aspect ratio makes up for it."""
    target, facts = shrink(worker, media.wide_samples(tmp_path / "source"), PEER)
    assert (facts.width_px, facts.height_px) == (48, 32)
    with av.open(str(target)) as clip:
        assert clip.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_the_same_input_gives_the_same_bytes(worker: MediaWorker, tmp_path: Path) -> None:
    """Two workers, two runs, one result."""
    source = media.with_audio(tmp_path / "source")
    first = shrink(worker, source)[0].read_bytes()
    with MediaWorker(Limits()) as other:
        assert shrink(other, source)[0].read_bytes() == first


@pytest.mark.parametrize("make", [media.truncated, media.zeroed_tail, media.damaged_middle])
def test_a_broken_source_gives_an_error(
    make: Callable[[Path], Path], worker: MediaWorker, tmp_path: Path
) -> None:
    """Never a shorter video."""
    with pytest.raises((errors.Truncated, errors.Undecodable)):
        shrink(worker, make(tmp_path / "source"))


def test_a_full_disk_is_the_machines_fault(worker: MediaWorker, tmp_path: Path) -> None:
    """ENOSPC while muxing aborts the step and blames no clip."""
    source = media.plain(tmp_path / "source")
    target = tmp_path / "small.mp4"
    target.symlink_to("/dev/full")
    with pytest.raises(errors.DiskFull):
        worker.resize(source, target, recipe=SMALL)


def test_a_missing_folder_is_an_error_of_the_caller(worker: MediaWorker, tmp_path: Path) -> None:
    """The clip is not to blame."""
    source = media.plain(tmp_path / "source")
    with pytest.raises(FileNotFoundError):
        worker.resize(source, tmp_path / "nowhere" / "small.mp4", recipe=SMALL)


def test_a_shape_that_squares_to_something_huge_is_refused(tmp_path: Path) -> None:
    """An absurd sample aspect ratio is bounded before anything is scaled."""
    source = media.plain(tmp_path / "source", sample_aspect=Fraction(20, 1))
    with MediaWorker(Limits(max_side_px=500)) as small, pytest.raises(errors.OverLimit):
        shrink(small, source)

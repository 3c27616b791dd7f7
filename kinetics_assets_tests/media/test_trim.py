"""Cutting: exactly the frames of the span, with their sound, shape and colour."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import pytest

from kinetics_assets.core import errors
from kinetics_assets.core.settings import VideoRecipe
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.resources.pictures import is_upright, number_of

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.media.client import MediaFacts, MediaWorker

FAST = VideoRecipe(trim_preset="ultrafast")


def cut(
    worker: MediaWorker, source: Path, *, start: float, end: float, recipe: VideoRecipe = FAST
) -> tuple[Path, MediaFacts]:
    """Return the clip and its facts."""
    target = source.with_name("cut.mp4")
    facts = worker.trim(source, target, start_seconds=start, end_seconds=end, recipe=recipe)
    return target, facts


def numbers(path: Path) -> list[int]:
    """Return the numbers in the pictures of a video."""
    return [number_of(pixels) for pixels in media.decoded(path)]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 1, range(25)),
        (1, 2, range(25, 50)),
        (0.5, 0.6, range(13, 15)),  # 0.48 is before, 0.52 and 0.56 are within
        (0.52, 0.56, range(13, 14)),  # start is in, end is not
        (1.5, 9, range(38, 50)),  # the source is over first
    ],
)
def test_the_span_is_exact_to_the_frame(
    start: float, end: float, expected: range, worker: MediaWorker, tmp_path: Path
) -> None:
    """Frames with start <= t < end, no more, no fewer, the first one at 0."""
    source = media.plain(tmp_path / "source", frames=50, gop=12)
    target, facts = cut(worker, source, start=start, end=end)
    assert numbers(target) == list(expected)
    assert facts.frames_decoded == len(expected)
    assert facts.duration_seconds == pytest.approx(len(expected) / 25)
    assert media.times_of(target)[0] == 0


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "avi"])
def test_far_into_a_source_the_cut_is_still_exact(
    container: str, worker: MediaWorker, tmp_path: Path
) -> None:
    """Seeking to a key frame gives the frames that decoding from the beginning gives."""
    source = media.plain(tmp_path / "source", frames=250, gop=60, container=container)
    target, _ = cut(worker, source, start=7.2, end=7.6)
    assert numbers(target) == list(range(180, 190))


def test_an_avi_with_pauses_and_sound_is_cut_exactly(worker: MediaWorker, tmp_path: Path) -> None:
    """The count of empty chunks is wrong once libav has sought, so nothing is sought there."""
    times = [40 * number + (410 if number >= 100 else 0) for number in range(200)]
    source = media.plain(
        tmp_path / "source",
        frames=200,
        gop=20,
        b_frames=False,
        times=times,
        container="avi",
        audio_codec="pcm_s16le",
    )
    target, _ = cut(worker, source, start=5.49, end=5.81)
    assert numbers(target) == list(range(127, 135))


def test_a_source_without_key_frames_to_seek_to_is_cut_exactly(
    worker: MediaWorker, tmp_path: Path
) -> None:
    """One group of pictures: everything is decoded."""
    source = media.plain(tmp_path / "source", frames=200, gop=10_000)
    target, _ = cut(worker, source, start=6, end=6.2)
    assert numbers(target) == list(range(150, 155))


def test_time_counts_from_the_first_frame_shown(worker: MediaWorker, tmp_path: Path) -> None:
    """A start time other than 0 and an edit list shift nothing."""
    late = media.late_start(tmp_path / "late")
    assert numbers(cut(worker, late, start=0.2, end=0.4)[0]) == list(range(5, 10))
    edited = media.negative_start(tmp_path / "edited")
    assert numbers(cut(worker, edited, start=0.04, end=0.12)[0]) == [6, 7]


def test_uneven_times_are_kept(worker: MediaWorker, tmp_path: Path) -> None:
    """A variable frame rate stays one, moved to begin at 0."""
    source = media.variable_rate(tmp_path / "source")
    target, _ = cut(worker, source, start=0.09, end=0.601)
    kept = [time for time in media.VARIABLE_TIMES if 90 <= time < 601]
    assert media.times_of(target) == pytest.approx([(t - 90) / 1000 for t in kept], abs=1e-4)


def test_a_source_that_is_over_before_the_start_is_out_of_range(
    worker: MediaWorker, tmp_path: Path
) -> None:
    """Near and far behind the end, seeking or not."""
    source = media.plain(tmp_path / "source")
    for start in (0.48, 2, 400):
        with pytest.raises(errors.OutOfRange, match="over before"):
            cut(worker, source, start=start, end=start + 10)


@pytest.mark.parametrize("codec", ["aac", "libopus", "libmp3lame"])
def test_sound_is_cut_along(codec: str, worker: MediaWorker, tmp_path: Path) -> None:
    """Packets of the span are copied and begin with the pictures."""
    source = media.with_audio(tmp_path / "source", codec=codec)
    target, facts = cut(worker, source, start=0.5, end=1.5)
    assert facts.has_audio
    with av.open(str(target)) as clip:
        sound = clip.streams.audio[0]
        times = [float(p.pts * p.time_base) for p in clip.demux(sound) if p.pts is not None]
    assert 0 <= times[0] < 0.06
    assert times[-1] == pytest.approx(1, abs=0.06)
    assert len(times) == pytest.approx(1 / (times[1] - times[0]), abs=2)


def test_sound_that_does_not_fit_is_left_out(worker: MediaWorker, tmp_path: Path) -> None:
    """Raw samples have no place in an MP4 here; the pictures are kept."""
    source = media.with_audio(tmp_path / "source", codec="pcm_s16le", container="matroska")
    _, facts = cut(worker, source, start=0, end=1)
    assert not facts.has_audio
    assert facts.frames_decoded == 25


def test_sound_of_an_unknown_codec_is_left_out(worker: MediaWorker, tmp_path: Path) -> None:
    """Regression: such a stream has no codec context, which ended the operation."""
    source = media.with_audio(tmp_path / "source")
    # both places where an MP4 names the codec of its sound
    data = source.read_bytes().replace(b"mp4a", b"zzzz").replace(b"\x40\x15", b"\xfe\x15")
    source.write_bytes(data)
    _, facts = cut(worker, source, start=0, end=1)
    assert not facts.has_audio
    assert facts.frames_decoded == 25


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_the_rotation_tag_stays(degrees: int, worker: MediaWorker, tmp_path: Path) -> None:
    """Pixels stay as stored, readers still turn them upright."""
    source = media.rotated(tmp_path / "source", degrees)
    target, facts = cut(worker, source, start=0, end=0.2)
    whole = worker.verify(source)
    assert (facts.width_px, facts.height_px) == (whole.width_px, whole.height_px)
    with av.open(str(source)) as before, av.open(str(target)) as after:
        first, second = (next(v.decode(video=0)) for v in (before, after))
        assert first.rotation == second.rotation
        assert (first.width, first.height) == (second.width, second.height)


def test_shape_and_colour_stay(worker: MediaWorker, tmp_path: Path) -> None:
    """Sample aspect ratio and colour tags are those of the source."""
    wide, _ = cut(worker, media.wide_samples(tmp_path / "wide"), start=0, end=0.2)
    with av.open(str(wide)) as clip:
        assert clip.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    for matrix, number in (("601", 6), ("709", 1)):
        source = media.colour_bars(tmp_path / matrix, matrix=matrix, full_range=matrix == "601")
        target, _ = cut(worker, source, start=0, end=1)
        with av.open(str(target)) as clip:
            context = clip.streams.video[0].codec_context
            tags = (context.colorspace, context.color_primaries, context.color_trc)
            assert tags == (number, number, number)
            assert context.color_range == (2 if matrix == "601" else 1)


@pytest.mark.parametrize("make", [media.odd_size, media.ten_bit, media.full_chroma, media.hevc])
def test_whatever_goes_in_plain_h264_comes_out(
    make: object, worker: MediaWorker, tmp_path: Path
) -> None:
    """8 bits, half colour, even sides, index first, pictures upright."""
    assert callable(make)
    target, facts = cut(worker, make(tmp_path / "source"), start=0, end=0.4)
    assert facts.codec == "h264"
    assert facts.width_px % 2 == facts.height_px % 2 == 0
    data = target.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(target)) as clip:
        assert clip.streams.video[0].codec_context.pix_fmt == "yuv420p"
    assert all(is_upright(pixels) for pixels in media.decoded(target))


def test_the_recipe_reaches_the_encoder(worker: MediaWorker, tmp_path: Path) -> None:
    """Preset and rate factor are what x264 notes in the stream."""
    source = media.plain(tmp_path / "source")
    target, _ = cut(worker, source, start=0, end=1, recipe=VideoRecipe(trim_crf=31))
    notes = target.read_bytes()
    assert b"crf=31.0" in notes
    assert b"keyint=250" in notes
    assert b"subme=7" in notes  # preset medium


def test_damage_within_the_span_is_an_error(worker: MediaWorker, tmp_path: Path) -> None:
    """A broken source gives no clip."""
    with pytest.raises(errors.Undecodable):
        cut(worker, media.damaged_middle(tmp_path / "source"), start=0, end=2)

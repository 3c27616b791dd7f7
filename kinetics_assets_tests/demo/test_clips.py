"""The demo's plan and its generated videos."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import Split, parse_clip_id
from kinetics_assets.demo import clips

if TYPE_CHECKING:
    from pathlib import Path

ROWS = clips.plan(clips.chosen_classes())


def _source(codec: str = "libx264") -> clips.DemoSource:
    """Return a small source of one second."""
    return clips.DemoSource("Dtest_clips", 64, 48, 15, 1, codec, (1.25, -0.5), (1.0, 0.8, 0.6))


def test_every_class_has_at_least_five_good_clips_per_split() -> None:
    """Train and val hold five or more clips per class that can be had."""
    good = Counter((row.clip.label, row.split) for row in ROWS if row.source.fault is None)
    for label in class_names("demo"):
        assert min(good[label, Split.TRAIN], good[label, Split.VAL]) >= 5


def test_the_plan_holds_what_real_lists_hold() -> None:
    """A leading hyphen, a portrait, two codecs, long sources and a source with two clips."""
    sources = clips.sources_of(ROWS)
    assert any(source.youtube_id.startswith("-") for source in sources)
    assert any(source.height_px > source.width_px for source in sources)
    assert {source.codec for source in sources} >= {"libx264", "mpeg4"}
    assert any(row.source.seconds > row.clip.id.duration_seconds for row in ROWS)
    uses = Counter(row.source.youtube_id for row in ROWS)
    (shared,) = (name for name, count in uses.items() if count > 1)
    labels = {row.clip.label for row in ROWS if row.source.youtube_id == shared}
    assert len(labels) == 2
    assert all(np.hypot(*source.velocity_px) <= clips.MAX_SPEED_PX for source in sources)


def test_every_row_is_a_valid_clip_within_its_source() -> None:
    """Ids and times pass the checks that real lists must pass, and no clip is listed twice."""
    for row in ROWS:
        clip = row.clip.id
        times = (str(clip.start_seconds), str(clip.end_seconds))
        assert parse_clip_id(clip.youtube_id, *times) == clip
        assert clip.end_seconds <= row.source.seconds
    assert len({row.clip.id for row in ROWS}) == len(ROWS)


def test_the_first_two_classes_hold_all_three_faults() -> None:
    """A run of two classes meets a dead link, a truncated file and a web page."""
    rows = clips.plan(clips.chosen_classes(2))
    assert {row.source.fault for row in rows} == {None, *clips.Fault}
    assert {row.clip.label for row in rows} == set(class_names("demo")[:2])


def test_tarball_has_the_official_layout_and_equal_bytes() -> None:
    """The lists have DeepMind's names and header, one line per row, and do not vary."""
    data = clips.tarball(ROWS)
    assert data == clips.tarball(ROWS)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        lists = {
            name: file.read().decode().splitlines()
            for name in archive.getnames()
            if (file := archive.extractfile(name))
        }
    assert sorted(lists) == ["demo/test.csv", "demo/train.csv", "demo/validate.csv"]
    assert {lines[0] for lines in lists.values()} == {"label,youtube_id,time_start,time_end,split"}
    assert sum(len(lines) - 1 for lines in lists.values()) == len(ROWS)


def test_frames_move_with_the_velocity_of_the_plan() -> None:
    """Frame n + 1 is frame n, displaced; shown with a whole-pixel velocity, where it is exact."""
    source = replace(_source(), velocity_px=(2.0, -1.0))
    first, second = clips.frame(source, 0), clips.frame(source, 1)
    np.testing.assert_array_equal(second[:-1, 2:], first[1:, :-2])
    assert first.std() > 15  # a flat picture would satisfy the line above, too


@pytest.mark.parametrize("codec", sorted({source.codec for source in clips.sources_of(ROWS)}))
def test_videos_are_equal_byte_for_byte_and_decode_to_the_plan(codec: str, tmp_path: Path) -> None:
    """Encoding twice gives the same file, with all frames, close to the texture, and sound."""
    source = _source(codec)
    clips.encode(source, tmp_path / "a.mp4")
    clips.encode(source, tmp_path / "b.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(container.streams.audio) == 1
    assert len(pictures) == source.frames
    gray = pictures[5].astype(float).mean(axis=2)
    wanted = clips.frame(source, 5).astype(float).mean(axis=2)
    assert np.abs(gray - wanted).mean() < 8


def test_a_truncated_source_has_a_header_and_ends_early(tmp_path: Path) -> None:
    """Its container opens and promises all frames, and decoding does not get there."""
    source = replace(_source(), fault=clips.Fault.TRUNCATED, seconds=2)
    clips.encode(source, tmp_path / "cut.mp4")
    decoded = 0
    with av.open(str(tmp_path / "cut.mp4")) as container:
        assert container.streams.video[0].frames == source.frames
        with contextlib.suppress(av.error.FFmpegError):  # whether it raises depends on the cut
            for _ in container.decode(video=0):
                decoded += 1
    assert 0 < decoded < source.frames

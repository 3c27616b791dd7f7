"""Joining: pictures and sound that came as two files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import pytest

from kinetics_assets.core import errors
from kinetics_assets.core.settings import VideoRecipe
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.resources.pictures import number_of

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.media.client import MediaWorker


def sound_of(folder: Path, codec: str, container: str, *, frames: int = 50) -> Path:
    """Write a file with sound of `codec` and nothing else."""
    source = media.plain(
        folder / "with-sound", audio_codec=codec, frames=frames, container="matroska"
    )
    path = folder / "sound"
    with av.open(str(source)) as video, av.open(str(path), "w", format=container) as out:
        stream = video.streams.audio[0]
        copy = out.add_stream_from_template(stream)
        for packet in video.demux(stream):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    return path


def packets(path: Path, kind: str) -> list[bytes]:
    """Return the bytes of all packets of the first stream of `kind`."""
    with av.open(str(path)) as source:
        stream = next(s for s in source.streams if s.type == kind)
        return [bytes(packet) for packet in source.demux(stream) if packet.size]


@pytest.mark.parametrize(
    ("pictures", "sound", "suffix"),
    [
        (("libx264", "mp4"), ("aac", "mp4"), ".mp4"),
        (("libvpx-vp9", "webm"), ("libopus", "webm"), ".mp4"),
        (("libvpx", "webm"), ("libopus", "webm"), ".mkv"),
        (("libx264", "mp4"), ("libmp3lame", "matroska"), ".mp4"),
        (("libx264", "mp4"), ("mp2", "matroska"), ".mkv"),
    ],
)
def test_two_files_become_one(
    pictures: tuple[str, str],
    sound: tuple[str, str],
    suffix: str,
    worker: MediaWorker,
    tmp_path: Path,
) -> None:
    """Every packet of both arrives unchanged, in a container that fits, at the same times."""
    video = media.plain(tmp_path / "v", codec=pictures[0], container=pictures[1], frames=50)
    heard = sound_of(tmp_path, *sound)
    target = tmp_path / f"joined{suffix}"
    assert worker.join(video, heard, target) == suffix
    facts = worker.verify(target)
    assert (facts.frames_decoded, facts.has_audio) == (50, True)
    assert facts.duration_seconds == pytest.approx(2.0, abs=0.001)
    assert media.times_of(target) == pytest.approx(media.times_of(video), abs=0.001)
    assert packets(target, "audio") == packets(heard, "audio")
    assert len(packets(target, "video")) == 50


def test_pictures_in_fragments_are_joined(worker: MediaWorker, tmp_path: Path) -> None:
    """Sites send pictures and sound as fragmented MP4, whose index is spread over the file."""
    heard = sound_of(tmp_path, "aac", "mp4")
    plain = media.plain(tmp_path / "plain", frames=50, gop=10)
    video = tmp_path / "v"
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with (
        av.open(str(plain)) as source,
        av.open(str(video), "w", format="mp4", container_options=options) as out,
    ):
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    target = tmp_path / "joined.mp4"
    worker.join(video, heard, target)
    assert worker.verify(target).frames_decoded == 50
    cut = tmp_path / "cut.mp4"
    recipe = VideoRecipe(trim_preset="ultrafast")
    facts = worker.trim(target, cut, start_seconds=1, end_seconds=1.4, recipe=recipe)
    assert [number_of(picture) for picture in media.decoded(cut)] == list(range(25, 35))
    assert facts.has_audio


def test_a_turned_picture_stays_turned(worker: MediaWorker, tmp_path: Path) -> None:
    """The tag that turns pictures upright is taken along."""
    heard = sound_of(tmp_path, "aac", "mp4")
    video = media.rotated(tmp_path / "v", 90)
    target = tmp_path / "joined.mp4"
    worker.join(video, heard, target)
    before, after = worker.verify(video), worker.verify(target)
    assert (after.width_px, after.height_px) == (before.width_px, before.height_px)
    assert after.height_px > after.width_px


def test_a_file_that_is_not_whole_is_the_clips_fault(worker: MediaWorker, tmp_path: Path) -> None:
    """Sound or pictures that are cut short, or no media at all, are named as such."""
    video, heard = media.plain(tmp_path / "v", frames=50), sound_of(tmp_path, "aac", "mp4")
    target = tmp_path / "joined.mp4"
    for path in (video, heard):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(errors.Truncated):
            worker.join(video, heard, target)
        path.write_bytes(b"<html>")
        with pytest.raises(errors.NotMedia):
            worker.join(video, heard, target)
        path.write_bytes(whole)
    with pytest.raises(errors.Undecodable, match="sound"):
        worker.join(video, video, target)
    with pytest.raises(errors.NoVideoStream):
        worker.join(heard, heard, target)


def test_a_full_disk_is_not_the_clips_fault(worker: MediaWorker, tmp_path: Path) -> None:
    """Running out of room while joining stops the step."""
    video, heard = media.plain(tmp_path / "v"), sound_of(tmp_path, "aac", "mp4")
    target = tmp_path / "full"
    target.symlink_to("/dev/full")
    with pytest.raises(errors.DiskFull):
        worker.join(video, heard, target)

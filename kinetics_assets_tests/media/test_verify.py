"""Verdicts on whole files: facts of the sound ones, the right error for each kind of bad one."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kinetics_assets.core import errors
from kinetics_assets.core.settings import Limits
from kinetics_assets.media.client import MediaFacts, MediaWorker
from kinetics_assets_tests.resources import media

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SOUND = MediaFacts("mp4", "h264", 96, 64, 25.0, 0.48, 12, has_audio=False)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (media.plain, SOUND),
        (media.portrait, replace(SOUND, width_px=64, height_px=96)),
        (media.odd_size, replace(SOUND, container="webm", codec="vp9", width_px=95, height_px=63)),
        (media.wide_samples, SOUND),
        (media.ten_bit, SOUND),
        (media.full_chroma, SOUND),
        (media.hevc, replace(SOUND, codec="hevc")),
        (media.vp8, replace(SOUND, container="webm", codec="vp8")),
        (media.vp9, replace(SOUND, container="webm", codec="vp9")),
        (media.one_frame, replace(SOUND, frames_decoded=1, duration_seconds=0.04)),
        (media.late_start, replace(SOUND, container="matroska")),
        (media.with_audio, replace(SOUND, frames_decoded=50, duration_seconds=2.0, has_audio=True)),
        (media.mirrored, SOUND),
        # the index lies, the pictures do not
        (media.fake_dimensions, SOUND),
        (media.fake_duration, SOUND),
    ],
)
def test_facts_come_from_decoding(
    make: Callable[[Path], Path], expected: MediaFacts, worker: MediaWorker, tmp_path: Path
) -> None:
    """Size, codec, frames, duration and sound of every kind of sound file."""
    facts = worker.verify(make(tmp_path / "clip"))
    assert facts.fps == pytest.approx(expected.fps)
    assert facts.duration_seconds == pytest.approx(expected.duration_seconds)
    assert replace(facts, fps=expected.fps, duration_seconds=expected.duration_seconds) == expected


@pytest.mark.parametrize(("degrees", "size"), [(90, (64, 96)), (180, (96, 64)), (270, (64, 96))])
def test_a_turned_video_has_its_upright_size(
    degrees: int, size: tuple[int, int], worker: MediaWorker, tmp_path: Path
) -> None:
    """The tag of the container counts."""
    facts = worker.verify(media.rotated(tmp_path / "clip", degrees))
    assert (facts.width_px, facts.height_px) == size


def test_a_variable_rate_is_measured_by_its_times(worker: MediaWorker, tmp_path: Path) -> None:
    """Duration is last time plus last duration minus first time."""
    facts = worker.verify(media.variable_rate(tmp_path / "clip"))
    assert facts.frames_decoded == len(media.VARIABLE_TIMES)
    assert facts.duration_seconds == pytest.approx(0.74, abs=0.045)


def test_an_edit_list_is_obeyed(worker: MediaWorker, tmp_path: Path) -> None:
    """Frames before the edit's start are not shown and not counted."""
    facts = worker.verify(media.negative_start(tmp_path / "clip"))
    assert facts.frames_decoded == 7


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (media.truncated, errors.Truncated),
        (media.without_index, errors.Truncated),
        (media.zeroed_tail, errors.Truncated),
        (media.damaged_middle, errors.Undecodable),
        (media.audio_only, errors.NoVideoStream),
        (media.zero_frames, errors.NoFrames),
    ],
)
def test_each_kind_of_damage_has_its_reason(
    make: Callable[[Path], Path],
    error: type[errors.ClipError],
    worker: MediaWorker,
    tmp_path: Path,
) -> None:
    """Damage is an error of its kind, never a shorter clip, and the worker goes on."""
    with pytest.raises(error):
        worker.verify(make(tmp_path / "clip"))
    assert worker.verify(media.plain(tmp_path / "next")).frames_decoded == 12


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.97])
def test_a_tail_that_was_never_filled_in_is_never_ok(
    share: float, worker: MediaWorker, tmp_path: Path
) -> None:
    """Preallocated files of interrupted downloads fail wherever they stop."""
    with pytest.raises((errors.Truncated, errors.Undecodable)):
        worker.verify(media.zeroed_tail(tmp_path / "clip", share=share))


def test_a_header_that_promises_more_than_there_is_means_truncated(
    worker: MediaWorker, tmp_path: Path
) -> None:
    """A Matroska file that claims ten times what it holds is not ok."""
    path = media.vp8(tmp_path / "clip")
    data = bytearray(path.read_bytes())
    at = data.index(b"\x44\x89") + 3  # Duration, a float of eight bytes, in milliseconds
    data[at : at + 8] = np.array([4800.0], ">f8").tobytes()
    path.write_bytes(data)
    with pytest.raises(errors.Truncated, match="promises"):
        worker.verify(path)


def test_random_bytes_behind_a_magic_number_end_in_a_verdict(
    worker: MediaWorker, tmp_path: Path
) -> None:
    """No mutation of a file brings the parent down or passes a limit."""
    whole = media.plain(tmp_path / "seed").read_bytes()
    chance = np.random.default_rng(20)
    path = tmp_path / "clip"
    for _ in range(40):
        data = bytearray(whole)
        for at in chance.integers(0, len(data), 20):
            data[at] = chance.integers(0, 256)
        path.write_bytes(data)
        try:
            facts = worker.verify(path)
        except errors.ClipError:
            continue
        assert facts.frames_decoded <= 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [({"max_side_px": 95}, "96x64"), ({"max_frames": 11}, "12 frames")],
)
def test_limits_hold_before_decoding(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    """Too large or too long is OverLimit, from the header where it tells."""
    path = media.plain(tmp_path / "clip")
    with (
        MediaWorker(replace(Limits(), **change)) as small,
        pytest.raises(errors.OverLimit, match=message),
    ):
        small.verify(path)


def test_the_number_of_frames_is_capped_where_the_header_is_silent(tmp_path: Path) -> None:
    """Matroska does not say how many frames follow."""
    path = media.vp8(tmp_path / "clip")
    with (
        MediaWorker(Limits(max_frames=11)) as small,
        pytest.raises(errors.OverLimit, match="More than 11"),
    ):
        small.verify(path)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{other}'\n",
        "v=0\nm=video 5004 RTP/AVP 96\nc=IN IP4 127.0.0.1\n",
        "<svg><image href='{other}'/></svg>",
    ],
)
def test_a_playlist_in_disguise_opens_nothing(
    text: str, worker: MediaWorker, tmp_path: Path
) -> None:
    """Neither another file nor an address is touched: it is simply no video."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        other = media.plain(tmp_path / "other.mp4")
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.mp4"
        for target in (str(other), address):
            path = tmp_path / "clip.mp4"
            path.write_text(text.format(other=target), encoding="utf-8")
            with pytest.raises(errors.NotMedia):
                worker.verify(path)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("name", ["-y.mp4", "http:x.mp4", "img_%05d.mp4", "it's (a) clip.mp4", "é"])
def test_no_part_of_a_name_is_an_option_or_an_address(
    name: str, worker: MediaWorker, tmp_path: Path
) -> None:
    """Names go to libav as plain paths."""
    assert worker.verify(media.plain(tmp_path / "x").rename(tmp_path / name)).frames_decoded == 12


def test_a_missing_file_is_an_error_of_the_caller(worker: MediaWorker, tmp_path: Path) -> None:
    """The clip is not to blame for a path that does not exist."""
    with pytest.raises(FileNotFoundError):
        worker.verify(tmp_path / "nothing.mp4")

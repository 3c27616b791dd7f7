"""What a file is, by its bytes, and whether all of it is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kinetics_assets.core.errors import EmptyFile, NotMedia, Truncated
from kinetics_assets.media.sniff import SUFFIXES, sniff
from kinetics_assets_tests.resources import media

if TYPE_CHECKING:
    from pathlib import Path

MUXERS = {"avi": "avi", "flv": "flv", "mpegts": "mpegts", "mpeg": "mpeg", "mov": "mov",
          "matroska": "matroska", "mp4": "mp4"}  # fmt: skip


@pytest.mark.parametrize("name", MUXERS)
def test_each_container_is_known_by_its_bytes(name: str, tmp_path: Path) -> None:
    """The name of the file plays no part; the suffix tells the truth."""
    codec = "mpeg1video" if name == "mpeg" else "libx264"
    path = media.plain(tmp_path / "clip.txt", container=MUXERS[name], codec=codec)
    container = sniff(path)
    assert container.name == name
    assert container.suffix == SUFFIXES[name]


def test_webm_is_told_from_matroska(tmp_path: Path) -> None:
    """Both share a demuxer, not a suffix."""
    container = sniff(media.vp8(tmp_path / "clip"))
    assert (container.name, container.suffix, container.demuxer) == ("webm", ".webm", "matroska")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<!DOCTYPE html><html>Sign in", "a web page"),
        (b'\xef\xbb\xbf  {"error": 403}', "JSON"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "a playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "a script"),
        (b"\xff\xd8\xff\xe0", "a JPEG"),
        (b"\0" * 5000, "zeros"),
        (b"\x01\x02\x03", "01 02 03"),
    ],
)
def test_what_is_no_video_is_named(data: bytes, kind: str, tmp_path: Path) -> None:
    """The message says what came instead of a video."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    with pytest.raises(NotMedia, match=kind):
        sniff(path)


def test_an_empty_file_has_its_own_reason(tmp_path: Path) -> None:
    """Nothing at all is not 'something else'."""
    path = tmp_path / "clip.mp4"
    path.touch()
    with pytest.raises(EmptyFile):
        sniff(path)


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    """A FIFO in place of a file is refused at once."""
    path = tmp_path / "clip.mp4"
    os.mkfifo(path)
    with pytest.raises(NotMedia, match="regular"):
        sniff(path)


@pytest.mark.parametrize("container", ["mp4", "mov", "webm", "avi"])
def test_a_cut_file_is_truncated_wherever_it_is_cut(container: str, tmp_path: Path) -> None:
    """Structure that runs past the end is seen without decoding."""
    codec = "libvpx" if container == "webm" else "libx264"
    path = media.plain(tmp_path / "clip", container=container, codec=codec)
    whole = path.read_bytes()
    for share in (0.2, 0.5, 0.8, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(Truncated):
            sniff(path)


def test_padding_after_a_whole_mp4_is_no_damage(tmp_path: Path) -> None:
    """Some writers leave zeros behind the last box."""
    path = media.plain(tmp_path / "clip")
    path.write_bytes(path.read_bytes() + bytes(64))
    assert sniff(path).name == "mp4"

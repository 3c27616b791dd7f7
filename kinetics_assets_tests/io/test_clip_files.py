"""Tests of finding the bytes of clips: under any name, in no other place."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId
from kinetics_assets.io.clip_files import Search, Wanted, named_in, search

CLIP = ClipId("-BCDEFGHIJ_", 5, 15)
OTHER = ClipId("-BCDEFGHIJ_", 20, 30)


def looked(
    folder: Path, *what: str, followed: set[Path] | None = None, past: set[Path] | None = None
) -> Search:
    """Return what a search finds."""
    wanted = Wanted(frozenset(what))
    return search(folder, wanted, followed=followed or set(), passed_over=past or set())


def made(path: Path, data: bytes = b"bytes") -> Path:
    """Write a file with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "is_folder", "by_clip", "by_video"),
    [
        (f"{CLIP.name}.mp4", False, True, True),
        (f"{CLIP.name}.f137.mp4.part", False, True, True),
        (CLIP.name, True, True, True),
        (f"{OTHER.name}.mp4", False, False, True),
        (f"{CLIP.youtube_id}.webm", False, True, True),
        (CLIP.youtube_id, True, False, False),
        (f"{CLIP.youtube_id}.parquet", False, False, False),
        (f"{CLIP.youtube_id}.tar.json", False, False, False),
        (f"x{CLIP.name}.mp4", False, False, False),
        ("ABCDEFGHIJ__000005_000015.mp4", False, False, False),
        ("abseiling.mp4", False, False, False),
    ],
)
def test_names(name: str, is_folder: bool, by_clip: bool, by_video: bool) -> None:
    """A clip's own names and the bare id of its video; never a class or a manifest."""
    assert Wanted(frozenset({CLIP.name})).includes(name, is_folder=is_folder) is by_clip
    assert Wanted(frozenset({CLIP.youtube_id})).includes(name, is_folder=is_folder) is by_video


def test_a_folder_counts_with_all_its_files(tmp_path: Path) -> None:
    """Frames are told of as one item; the frames of other clips are not even listed."""
    for number in range(3):
        made(tmp_path / f"rawframes/x/{CLIP.name}/img_{number}.jpg")
        made(tmp_path / f"rawframes/x/{OTHER.name}/{CLIP.name}.jpg")
    (item,) = looked(tmp_path, CLIP.name).found
    assert (item.path, item.is_folder, item.files, item.size_bytes) == (
        tmp_path / "rawframes/x" / CLIP.name,
        True,
        3,
        15,
    )


def test_other_names_of_the_same_bytes_are_found(tmp_path: Path) -> None:
    """By hard link; equal bytes in another file are another file."""
    video = made(tmp_path / f"a/{CLIP.name}.mp4")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/odd").hardlink_to(video)
    made(tmp_path / "b/equal")
    assert [item.path.name for item in looked(tmp_path, CLIP.name).found] == [video.name, "odd"]


def test_names_outside_are_counted(tmp_path: Path) -> None:
    """What cannot be reached is told of: how many names, of which file."""
    video = made(tmp_path / f"root/{CLIP.name}.mp4")
    (tmp_path / "outer").hardlink_to(video)
    assert looked(tmp_path / "root", CLIP.name).elsewhere == {video: 1}
    assert looked(tmp_path, CLIP.name).elsewhere == {}


def test_only_named_links_are_gone_into(tmp_path: Path) -> None:
    """A link out of the root is told of and left; one within is no second place; loops end."""
    frames = tmp_path / "disk/rawframes_train"
    made(frames / f"x/{CLIP.name}/img.jpg")
    made(tmp_path / f"theirs/{CLIP.name}.mp4")
    made(tmp_path / f"root/videos/{CLIP.name}.mp4")
    for name, target in {
        "rawframes_train": frames,
        "theirs": tmp_path / "theirs",
        "again": tmp_path / "root/videos",
        "loop": tmp_path / "root",
    }.items():
        (tmp_path / "root" / name).symlink_to(target)
    link = tmp_path / "root/rawframes_train"
    outcome = looked(tmp_path / "root", CLIP.name, followed={link})
    assert {item.path for item in outcome.found} == {
        link / "x" / CLIP.name,
        tmp_path / f"root/videos/{CLIP.name}.mp4",
    }
    assert outcome.not_followed == [tmp_path / "root/theirs"]


def test_a_link_named_as_the_clip_is_found_itself(tmp_path: Path) -> None:
    """The link, not what it leads to; a dangling one too."""
    made(tmp_path / "theirs/video.mp4")
    (tmp_path / "root").mkdir()
    for number, target in enumerate(["theirs/video.mp4", "nowhere"]):
        (tmp_path / f"root/{CLIP.name}.{number}.mp4").symlink_to(tmp_path / target)
    outcome = looked(tmp_path / "root", CLIP.name)
    assert len(outcome.found) == 2
    assert not outcome.inodes


def test_what_is_passed_over_and_what_cannot_be_looked_into(tmp_path: Path) -> None:
    """Folders that the caller names are not gone into; archives are told of."""
    made(tmp_path / f"manifests/{CLIP.name}.mp4")
    archive = made(tmp_path / "mirror/part_0.tar.gz")
    outcome = looked(tmp_path, CLIP.name, past={tmp_path / "manifests"})
    assert not outcome.found
    assert outcome.archives == [archive]


def test_one_folder_is_looked_at_by_name(tmp_path: Path) -> None:
    """Files and folders are told apart; no folder is nothing found."""
    made(tmp_path / f"{CLIP.name}/img.jpg")
    made(tmp_path / f"{OTHER.name}.mp4")
    wanted = Wanted(frozenset({CLIP.youtube_id}))
    assert named_in(tmp_path, wanted) == {
        tmp_path / CLIP.name: True,
        tmp_path / f"{OTHER.name}.mp4": False,
    }
    assert named_in(tmp_path / "nowhere", wanted) == {}

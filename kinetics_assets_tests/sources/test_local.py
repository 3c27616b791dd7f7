"""Clips in folders of any layout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import EmptyFile, NotAtSource, PermissionDenied
from kinetics_assets.sources import local
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.local import LocalSource

CLIP = ClipId("-aaaaaaaaaa", 104, 114)
NAME = "-aaaaaaaaaa_000104_000114"
LABEL = "massaging person's head"
FOLDER = "massaging_person's_head"


def _put(path: Path, data: bytes = b"video") -> Path:
    """Return `path`, with `data` in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _find(root: Path, *, split: Split = Split.TRAIN, clip: ClipId = CLIP) -> object:
    """Return the answer of a fresh source for one clip."""
    return LocalSource((root,), split).fetch([clip], label=LABEL, scratch=root)[clip]


@pytest.mark.parametrize(
    ("place", "is_whole"),
    [
        (f"videos_train/{FOLDER}/{NAME}.mp4", False),
        (f"videos_train/{LABEL}/{NAME}.webm", False),
        (f"videos_train/{FOLDER}/{LABEL}/{NAME}.mkv", False),
        (f"{FOLDER}/{NAME}.avi", False),
        (f"train/{LABEL}/{NAME}.mov", False),
        (f"{NAME}.flv", False),
        (f"videos/vol_07/{NAME}.mp4", False),
        (f"k400/part_12/deep/{NAME}.MP4", False),
        ("videos_train/-aaaaaaaaaa.mp4", None),
        (f"{LABEL}/-aaaaaaaaaa.mkv", None),
        ("somewhere/else/-aaaaaaaaaa.webm", None),
    ],
)
def test_a_clip_is_found_in_every_layout(
    tmp_path: Path, place: str, *, is_whole: bool | None
) -> None:
    """Class folders with spaces or underscores or nested, flat, vol_NN, bare ids, any container."""
    path = _put(tmp_path / place)
    assert _find(tmp_path) == Found(path, str(path), is_whole_video=is_whole, is_ours=False)


@pytest.mark.parametrize(
    "place",
    [
        "-aaaaaaaaaa_000104_000115.mp4",
        "-aaaaaaaaaa_104_114.mp4",
        f"{NAME}.txt",
        f"{NAME}.mp4.part",
        f"x{NAME}.mp4",
        f".tmp-videos-1-ab/{NAME}.mp4",
        f"rawframes_train/{FOLDER}/{NAME}/{NAME}.mp4",
    ],
)
def test_what_is_another_thing_is_not_taken(tmp_path: Path, place: str) -> None:
    """Another span of the video, another suffix, a part, a temporary folder, frame folders."""
    _put(tmp_path / place)
    answer = _find(tmp_path)
    assert isinstance(answer, NotAtSource)
    assert str(tmp_path) in answer.message


def test_the_documented_order_decides(tmp_path: Path) -> None:
    """As better places fill up, each wins over those below it."""
    first, second = tmp_path / "one", tmp_path / "two"
    second.mkdir()
    places = [
        second / FOLDER / f"{NAME}.mp4",
        first / "zzz" / "-aaaaaaaaaa.mp4",
        first / "zzz" / f"{NAME}.mp4",
        first / "aaa" / f"{NAME}.mp4",
        first / "-aaaaaaaaaa.mp4",
        first / f"{NAME}.webm",
        first / f"{NAME}.mp4",
        first / LABEL / f"{NAME}.mp4",
        first / FOLDER / f"{NAME}.mp4",
        first / "train" / f"{NAME}.mp4",
        first / "videos_train" / FOLDER / f"{NAME}.mp4",
    ]
    # A place that is found by name beats one that needs a listing, whatever its folder.
    order = [places[n] for n in (1, 2, 3, 0, 4, 5, 6, 7, 8, 9, 10)]
    for path in order:
        _put(path)
        source = LocalSource((first, second), Split.TRAIN)
        answer = source.fetch([CLIP], label=LABEL, scratch=tmp_path)[CLIP]
        assert isinstance(answer, Found)
        assert answer.path == path


def test_the_split_chooses_the_folder(tmp_path: Path) -> None:
    """The same name in two splits is taken from one's own."""
    train = _put(tmp_path / "videos_train" / FOLDER / f"{NAME}.mp4")
    val = _put(tmp_path / "videos_validate" / FOLDER / f"{NAME}.mp4")
    for split, path in ((Split.TRAIN, train), (Split.VAL, val)):
        answer = _find(tmp_path, split=split)
        assert isinstance(answer, Found)
        assert answer.path == path


def test_an_empty_file_gives_way(tmp_path: Path) -> None:
    """An empty file is passed over for a later one, and is the reason when there is none."""
    _put(tmp_path / FOLDER / f"{NAME}.mp4", b"")
    assert isinstance(_find(tmp_path), EmptyFile)
    good = _put(tmp_path / "zzz" / f"{NAME}.mp4")
    _put(tmp_path / "mmm" / f"{NAME}.mp4", b"")
    answer = _find(tmp_path)
    assert isinstance(answer, Found)
    assert answer.path == good


def test_several_clips_of_a_video_each_get_their_own(tmp_path: Path) -> None:
    """The clip's own name wins over the bare id; a clip without one gets the whole video."""
    own = _put(tmp_path / f"{NAME}.mp4")
    whole = _put(tmp_path / "-aaaaaaaaaa.mp4")
    other = ClipId("-aaaaaaaaaa", 1, 11)
    answers = LocalSource((tmp_path,), Split.VAL).fetch(
        [CLIP, other], label=LABEL, scratch=tmp_path
    )
    assert answers == {
        CLIP: Found(own, str(own), is_whole_video=False, is_ours=False),
        other: Found(whole, str(whole), is_whole_video=None, is_ours=False),
    }


def test_links_in_a_circle_end_and_links_to_files_count(tmp_path: Path) -> None:
    """Folders that contain themselves, by one link or two, are listed once."""
    real = _put(tmp_path / "store" / "blob.bin")
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "up").symlink_to(root)
    (root / "self").symlink_to("self")
    (root / "b").symlink_to(root / "a")
    (root / "a" / f"{NAME}.mp4").symlink_to(real)
    (root / "a" / "dangling.mp4").symlink_to(tmp_path / "nowhere")
    answer = _find(root)
    assert isinstance(answer, Found)
    assert answer.path.resolve() == real


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    """A pipe or a folder under a clip's name is passed over, and nothing hangs."""
    os.mkfifo(tmp_path / f"{NAME}.mp4")
    (tmp_path / f"{NAME}.mkv").mkdir()
    (tmp_path / "deep").mkdir()
    os.mkfifo(tmp_path / "deep" / f"{NAME}.webm")
    assert isinstance(_find(tmp_path), NotAtSource)


def test_a_clip_at_its_place_needs_no_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders are listed only for a clip that no direct look-up finds, and then once."""
    listings: list[tuple[Path, ...]] = []
    real = local._list_videos

    def listing(folders: tuple[Path, ...]) -> dict[str, Path]:
        listings.append(folders)
        return real(folders)

    monkeypatch.setattr(local, "_list_videos", listing)
    _put(tmp_path / "videos_train" / FOLDER / f"{NAME}.mp4")
    source = LocalSource((tmp_path,), Split.TRAIN)
    assert isinstance(source.fetch([CLIP], label=LABEL, scratch=tmp_path)[CLIP], Found)
    assert not listings
    for second in (1, 2, 3):
        absent = ClipId("bbbbbbbbbbb", second, 11)
        answer = source.fetch([absent], label=LABEL, scratch=tmp_path)[absent]
        assert isinstance(answer, NotAtSource)
    assert len(listings) == 1


def test_a_folder_that_cannot_be_read_stops_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the right to list a folder no clip is declared missing.

    Tests may run as root, whom no mode bit stops, so the refusal comes from a stand-in.
    """

    def refuse(path: Path) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(local.os, "scandir", refuse)
    with pytest.raises(PermissionDenied):
        _find(tmp_path)


def test_unlabelled_clips_are_found_too(tmp_path: Path) -> None:
    """Test rows without a label are looked for in the unlabelled folder and flat."""
    path = _put(tmp_path / "videos_test" / "unlabelled" / f"{NAME}.mp4")
    answer = LocalSource((tmp_path,), Split.TEST).fetch([CLIP], label="", scratch=tmp_path)[CLIP]
    assert isinstance(answer, Found)
    assert answer.path == path

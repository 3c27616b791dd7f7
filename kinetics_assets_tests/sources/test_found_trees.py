"""Frames and flow of an existing tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.sources.found_trees import FoundFrames, find_frames

CLIP = ClipId("-aaaaaaaaaa", 104, 114)
LABEL = "air drumming"


def _fill(folder: Path, *patterns: str, start: int = 1, count: int = 4) -> Path:
    """Return `folder` with `count` pictures of each name pattern."""
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in patterns:
        for number in range(start, start + count):
            (folder / pattern.format(number)).write_bytes(b"jpeg")
    return folder


def _find(root: Path) -> FoundFrames | None:
    """Return what is found of the clip in `root`."""
    return find_frames([root], Split.TRAIN, label=LABEL, clip=CLIP)


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize(
    "place", ["air_drumming", "air drumming", "air_drumming/air drumming"], ids=str
)
def test_both_numberings_and_all_class_folders_are_found(
    tmp_path: Path, place: str, start: int
) -> None:
    """The pictures come in order, with the number of the first."""
    folder = _fill(
        tmp_path / "rawframes_train" / place / CLIP.name, "img_{:05d}.jpg", start=start, count=12
    )
    _fill(folder, "flow_x_{:05d}.jpg", "flow_y_{:05d}.jpg", start=start, count=11)
    (folder / "notes.txt").write_text("not a picture")
    found = _find(tmp_path)
    assert found is not None
    assert (found.start_index, found.flow_start_index, found.problems) == (start, start, ())
    assert [path.name for path in found.images] == [
        f"img_{number:05d}.jpg" for number in range(start, start + 12)
    ]
    assert (len(found.flow_x), len(found.flow_y)) == (11, 11)
    assert found.flow_y[0] == folder / f"flow_y_{start:05d}.jpg"


def test_short_flow_names_and_a_numbering_of_their_own(tmp_path: Path) -> None:
    """x_%05d.jpg and y_%05d.jpg are flow; images and flow need not begin with the same number."""
    folder = _fill(tmp_path / "rawframes_train" / "air_drumming" / CLIP.name, "img_{:05d}.jpg")
    _fill(folder, "x_{:05d}.jpg", "y_{:05d}.jpg", start=0, count=3)
    found = _find(tmp_path)
    assert found is not None
    assert (found.start_index, found.flow_start_index) == (1, 0)
    assert [path.name for path in found.flow_x] == ["x_00000.jpg", "x_00001.jpg", "x_00002.jpg"]


@pytest.mark.parametrize(
    ("missing", "images", "flow", "says"),
    [
        ("img_00002.jpg", 0, 4, "1 missing, the first of them after img_00001.jpg"),
        ("flow_x_00003.jpg", 4, 0, "3 x pictures and 4 y pictures"),
        ("flow_y_00004.jpg", 4, 0, "4 x pictures and 3 y pictures"),
    ],
)
def test_a_gap_leaves_out_its_kind_only(
    tmp_path: Path, missing: str, images: int, flow: int, says: str
) -> None:
    """Images with a gap are left out, flow that is whole is not, and the other way round."""
    folder = _fill(
        tmp_path / "rawframes_train" / "air_drumming" / CLIP.name,
        "img_{:05d}.jpg",
        "flow_x_{:05d}.jpg",
        "flow_y_{:05d}.jpg",
    )
    (folder / missing).unlink()
    found = _find(tmp_path)
    assert found is not None
    assert (len(found.images), len(found.flow_x), len(found.flow_y)) == (images, flow, flow)
    assert says in " ".join(found.problems)


def test_a_numbering_that_begins_later_is_a_gap(tmp_path: Path) -> None:
    """Pictures from 2 on have lost their first ones."""
    _fill(tmp_path / "rawframes_train" / "air_drumming" / CLIP.name, "img_{:05d}.jpg", start=2)
    found = _find(tmp_path)
    assert found is not None
    assert found.images == ()
    assert "numbered neither 0 nor 1" in found.problems[0]


def test_two_names_for_one_number_leave_out_the_kind(tmp_path: Path) -> None:
    """With img_00001.jpg and img_000001.jpg nobody knows which is right."""
    folder = _fill(tmp_path / "rawframes_train" / "air_drumming" / CLIP.name, "img_{:05d}.jpg")
    (folder / "img_000001.jpg").write_bytes(b"jpeg")
    found = _find(tmp_path)
    assert found is not None
    assert (found.images, len(found.problems)) == ((), 1)


def test_nothing_is_none(tmp_path: Path) -> None:
    """No folder, an empty one, a file in its place, another split's: all are None."""
    place = tmp_path / "rawframes_train" / "air_drumming"
    assert _find(tmp_path) is None
    (place / CLIP.name).mkdir(parents=True)
    assert _find(tmp_path) is None
    (place / CLIP.name).rmdir()
    (place / CLIP.name).write_bytes(b"")
    assert _find(tmp_path) is None
    _fill(tmp_path / "rawframes_val" / "air_drumming" / CLIP.name, "img_{:05d}.jpg")
    assert _find(tmp_path) is None


def test_the_first_folder_with_pictures_wins(tmp_path: Path) -> None:
    """Folders are asked in order, and may be the rawframes folder itself."""
    second = _fill(
        tmp_path / "b" / "rawframes_train" / "air_drumming" / CLIP.name, "img_{:05d}.jpg"
    )
    folders = [tmp_path / "a", tmp_path / "b" / "rawframes_train"]
    found = find_frames(folders, Split.TRAIN, label=LABEL, clip=CLIP)
    assert found is not None
    assert found.folder == second
    first = _fill(tmp_path / "a" / "rawframes_train" / "air_drumming" / CLIP.name, "img_{:05d}.jpg")
    found = find_frames(folders, Split.TRAIN, label=LABEL, clip=CLIP)
    assert found is not None
    assert found.folder == first

"""Frames of several sizes come of one decode and stand or fall together."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import simplejpeg

from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.settings import FrameRecipe
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.journal import Journal, read_journal
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.jobs import job_for
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.picture_stores import PictureStores
from kinetics_assets.stages.put_in_place import put_in_place
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets.verify import Problem, verify_dataset
from kinetics_assets_tests.stages.taken_down import OTHER, left_of, taken
from kinetics_assets_tests.trees import public_files

Changed = Callable[..., ClassOrder]
SIZES = ("", "32", "50x40")
"""Names of the sizes, the first one's being empty."""


@pytest.fixture
def sized(changed: Changed) -> ClassOrder:
    """The order, with frames of three sizes, made."""
    order = changed(rawframes=FrameRecipe(size="64", also_sizes=("32", "50x40")))
    for stage in (Stage.VIDEOS, Stage.RAWFRAMES):
        run_stage(stage, order)
    return order


def ok_rows(order: ClassOrder) -> list[ManifestRow]:
    """Return the rows of frames that are ok; there must be some."""
    rows = [row for row in run_stage(Stage.RAWFRAMES, order).rows if row.status is Status.OK]
    assert rows
    return rows


def folder_of(order: ClassOrder, row: ManifestRow, size: str) -> Path:
    """Return the folder of a clip's frames of a size."""
    first = order.layout.base / row.path
    if not size:
        return first
    return order.layout.rawframes_of_size(order.split, size) / first.parent.name / first.name


def inodes_of(folder: Path) -> dict[str, int]:
    """Return name -> inode of each picture in a folder."""
    return {path.name: path.stat().st_ino for path in folder.glob("img_*.jpg")}


def pixels_of(path: Path) -> tuple[int, int]:
    """Return width and height of a picture."""
    height, width, *_ = simplejpeg.decode_jpeg_header(path.read_bytes())
    return width, height


def test_each_size_has_all_frames(sized: ClassOrder, changed: Changed) -> None:
    """As many pictures of each size as the clip has frames, with the bytes that they have alone."""
    rows = ok_rows(sized)
    for row in rows:
        pictures = {s: sorted(folder_of(sized, row, s).glob("img_*.jpg")) for s in SIZES}
        assert {len(paths) for paths in pictures.values()} == {row.frames_decoded}
        assert [min(pixels_of(pictures[size][-1])) for size in ("", "32")] == [64, 32]
        assert pixels_of(pictures["50x40"][-1]) == (50, 40)
    checked = verify_dataset(sized.settings)
    assert checked.findings == []
    assert not [note for note in checked.notes if "not looked at" in note]
    together = {path.name: path.read_bytes() for path in pictures["32"]}
    alone = changed(rawframes=FrameRecipe(size="32"))
    first = folder_of(alone, next(r for r in ok_rows(alone) if r.clip == rows[-1].clip), "")
    assert {path.name: path.read_bytes() for path in first.glob("*.jpg")} == together


def test_a_lost_size_is_made_again(sized: ClassOrder) -> None:
    """A clip that lacks one of its sizes is not done; the next run gives the same tree."""
    before = public_files(sized.layout.base)
    row = ok_rows(sized)[0]
    for size in SIZES:
        shutil.rmtree(folder_of(sized, row, size))
        assert not PictureStores(Stage.RAWFRAMES, sized).of(row).looks_whole(row)
        assert needs_work(Stage.RAWFRAMES, sized, now=now_utc())
        run_stage(Stage.RAWFRAMES, sized)
        assert public_files(sized.layout.base) == before


def test_damage_in_a_further_size_is_found(sized: ClassOrder) -> None:
    """By a look, by hashing, and by `verify`, which was written without this code."""
    row = ok_rows(sized)[0]
    picture = folder_of(sized, row, "32") / "img_00002.jpg"
    data = bytearray(picture.read_bytes())
    data[len(data) // 2] ^= 1
    picture.write_bytes(data)
    store = PictureStores(Stage.RAWFRAMES, sized).of(row)
    assert not store.looks_whole(row)
    assert not store.is_intact(row)
    (finding,) = verify_dataset(sized.settings).findings
    assert finding.problem is Problem.FILE_CONTENT
    picture.unlink()
    assert not store.looks_whole(row)
    (finding,) = verify_dataset(sized.settings).findings
    assert finding.problem is Problem.FRAMES


def test_a_size_that_is_wanted_no_more_goes(sized: ClassOrder) -> None:
    """Frames of that size are taken away with the clip's next frames; `verify` finds what stays."""
    settings = replace(sized.settings, rawframes=FrameRecipe(size="64", also_sizes=("32",)))
    fewer = replace(sized, settings=settings)
    before = ok_rows(sized)[0]
    foreign = folder_of(sized, before, "mine") / "img_00001.jpg"
    foreign.parent.mkdir(parents=True)
    foreign.touch()
    row = ok_rows(fewer)[0]
    assert foreign.exists()
    assert folder_of(fewer, row, "32").is_dir()
    assert not folder_of(fewer, row, "50x40").exists()
    assert verify_dataset(settings).findings == []
    (folder_of(fewer, row, "50x40").parent / "stray").mkdir()
    (finding,) = verify_dataset(settings).findings
    assert finding.problem is Problem.FILE_UNKNOWN


def test_retired_frames_are_kept_in_all_sizes(sized: ClassOrder, tmp_path: Path) -> None:
    """Nothing is lost when a clip leaves the list, nothing stays of one that is taken down."""
    row = ok_rows(sized)[0]
    before = {
        size: {path.name: path.read_bytes() for path in folder_of(sized, row, size).iterdir()}
        for size in SIZES
    }
    job_for(Stage.RAWFRAMES, sized).remove(row, into=tmp_path / "kept")
    for size, files in before.items():
        kept = tmp_path / "kept" / row.clip.name / size
        assert {p.name: p.read_bytes() for p in kept.iterdir() if p.is_file()} == files
        assert not folder_of(sized, row, size).exists()
    other = ok_rows(sized)[1].clip
    taken([sized.settings], other.name)
    assert not left_of(sized.layout.base, other)


def test_frames_change_their_class_in_all_sizes(sized: ClassOrder, tmp_path: Path) -> None:
    """From their old class or from what it retired; never when one size is not as it was."""
    layout, row = sized.layout, ok_rows(sized)[0]
    other = replace(sized, label=OTHER)
    job = job_for(Stage.RAWFRAMES, other)
    place = layout.frames(sized.split, OTHER, row.clip)
    here = replace(row, label=OTHER, path=layout.relative(place))
    inodes = {size: inodes_of(folder_of(sized, row, size)) for size in SIZES}
    retired = layout.retired_class(sized.split, Stage.RAWFRAMES, sized.label)
    with Journal(tmp_path / "journal") as journal:
        for kept in (layout.base / row.path, retired / row.clip.name):
            done = put_in_place(job, other, here, kept=kept, journal=journal)
            assert done is not None
            assert job.is_intact(done)
            assert {size: inodes_of(folder_of(other, here, size)) for size in SIZES} == inodes
            job.remove(here, into=None)
            job_for(Stage.RAWFRAMES, sized).remove(row, into=retired)
        (kept / "32" / "img_00001.jpg").unlink()
        assert put_in_place(job, other, here, kept=kept, journal=journal) is None
    assert not place.exists()
    assert len(read_journal(tmp_path / "journal")) == 2

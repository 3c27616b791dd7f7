"""Tests of frames and flow: numbering, sizes, the shared folder, takeover of existing trees."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from kinetics_assets.core.errors import SettingsError
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.settings import FlowRecipe, FrameRecipe, StorageSettings
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.frame_folders import own_names, read_index
from kinetics_assets.stages.frame_index import picture_names
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.report import StageReport
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets_tests.trees import public_files

Changed = Callable[..., ClassOrder]


def prepare(order: ClassOrder, *stages: Stage) -> list[StageReport]:
    """Run the stages in order."""
    return [run_stage(stage, order) for stage in stages]


def ok_rows(report: StageReport) -> list[ManifestRow]:
    """Return the rows that are ok; there must be some."""
    rows = [row for row in report.rows if row.status is Status.OK]
    assert rows
    return rows


def test_frames_and_flow_share_a_folder(order: ClassOrder) -> None:
    """A clip's folder has N frames from 1, N-1 flow pairs from 1, and both index files."""
    _, frames, flow = prepare(order, Stage.VIDEOS, Stage.RAWFRAMES, Stage.FLOW)
    for row, pairs in zip(ok_rows(frames), ok_rows(flow), strict=True):
        folder = order.layout.base / row.path
        count = row.frames_decoded or 0
        assert pairs.frames_decoded == count - 1
        expected = [
            *picture_names(Stage.RAWFRAMES, count=count, start_index=1),
            *picture_names(Stage.FLOW, count=count - 1, start_index=1),
            "_flow.json",
            "_rgb.json",
        ]
        assert sorted(path.name for path in folder.iterdir()) == sorted(expected)
        assert "img_00001.jpg" in expected
        index = read_index(Stage.FLOW, folder)
        assert index is not None
        assert (index.count, index.engine, index.profile) == (count - 1, "cpu", "opencv4-cuda")
        assert (pairs.engine, pairs.bound_px, pairs.start_index) == ("cpu", 20.0, 1)


@pytest.mark.parametrize("first", [Stage.RAWFRAMES, Stage.FLOW])
def test_the_order_of_the_two_stages_does_not_matter(order: ClassOrder, first: Stage) -> None:
    """Either stage may come first; redoing one leaves the other's files as they are."""
    second = Stage.FLOW if first is Stage.RAWFRAMES else Stage.RAWFRAMES
    prepare(order, Stage.VIDEOS, first, second)
    before = public_files(order.layout.base)
    order.layout.manifest(order.split, first, order.label).unlink()
    run_stage(first, order)
    assert public_files(order.layout.base) == before


def test_start_index_zero(order: ClassOrder, changed: Changed) -> None:
    """With start index 0 frames and flow are numbered as denseflow writes them."""
    zero = changed(rawframes=FrameRecipe(size="64", start_index=0))
    _, frames, flow = prepare(zero, Stage.VIDEOS, Stage.RAWFRAMES, Stage.FLOW)
    folder = zero.layout.base / ok_rows(frames)[0].path
    count = ok_rows(frames)[0].frames_decoded or 0
    assert own_names(Stage.RAWFRAMES, folder)[0] == "img_00000.jpg"
    assert own_names(Stage.RAWFRAMES, folder)[-1] == f"img_{count - 1:05d}.jpg"
    assert own_names(Stage.FLOW, folder)[0] == "flow_x_00000.jpg"
    assert ok_rows(flow)[0].start_index == 0


@pytest.mark.parametrize(
    ("size", "expected"), [("340x256", (340, 256)), ("original", None), ("4096", None)]
)
def test_sizes(
    order: ClassOrder, changed: Changed, size: str, expected: tuple[int, int] | None
) -> None:
    """A fixed size is kept; original and a larger short side leave the clip's own size."""
    other = changed(rawframes=FrameRecipe(size=size, upscale=size == "340x256"))
    videos, frames = prepare(other, Stage.VIDEOS, Stage.RAWFRAMES)
    for video, row in zip(ok_rows(videos), ok_rows(frames), strict=True):
        assert (row.width_px, row.height_px) == (expected or (video.width_px, video.height_px))
        first = other.layout.base / row.path / "img_00001.jpg"
        height, width, _, _ = simplejpeg.decode_jpeg_header(first.read_bytes())
        assert (width, height) == (row.width_px, row.height_px)


def test_frames_come_from_the_resized_videos_by_setting(
    order: ClassOrder, changed: Changed
) -> None:
    """With `frames_from = resized` the frames have the resized video's size and depend on it."""
    other = changed(rawframes=FrameRecipe(size="original", frames_from="resized"))
    _, resized, frames = prepare(other, Stage.VIDEOS, Stage.RESIZED, Stage.RAWFRAMES)
    for small, row in zip(ok_rows(resized), ok_rows(frames), strict=True):
        assert (row.width_px, row.height_px) == (small.width_px, small.height_px)
        assert row.source == "resized"


def test_frames_on_another_disk(order: ClassOrder, changed: Changed, tmp_path: Path) -> None:
    """The setting makes the folder a link; a real folder in its place is refused, not moved."""
    elsewhere = tmp_path / "other disk"
    other = changed(storage=StorageSettings(rawframes_folder=elsewhere))
    prepare(other, Stage.VIDEOS, Stage.RAWFRAMES)
    assert other.layout.rawframes(other.split).is_symlink()
    assert list(elsewhere.rglob("img_00001.jpg"))
    third = changed(storage=StorageSettings(rawframes_folder=tmp_path / "third"))
    with pytest.raises(SettingsError, match="rawframes_folder"):
        run_stage(Stage.RAWFRAMES, third)


def test_preview_flow_is_named_as_such(order: ClassOrder, changed: Changed) -> None:
    """Flow of the preview engines is marked as theirs, never as TV-L1."""
    pytest.importorskip("cv2", exc_type=ImportError, reason="cv2 lacks libGL here")
    other = changed(flow=FlowRecipe(engine="preview-dis"))
    _, flow = prepare(other, Stage.VIDEOS, Stage.FLOW)
    assert {row.engine for row in ok_rows(flow)} == {"preview-dis"}
    assert needs_work(Stage.FLOW, order, now=now_utc())


def old_tree(order: ClassOrder, folder: Path, *, start: int) -> None:
    """Turn a prepared class into a tree as the old scripts leave it: spaces, nested, numbered."""
    nested = folder / "rawframes_train" / order.label.replace(" ", "_") / order.label
    for clip in sorted(
        order.layout.class_folder(order.split, Stage.RAWFRAMES, order.label).iterdir()
    ):
        target = nested / clip.name
        target.mkdir(parents=True)
        for stage in (Stage.RAWFRAMES, Stage.FLOW):
            index = read_index(stage, clip)
            assert index is not None
            new = picture_names(stage, count=index.count, start_index=start)
            old = picture_names(stage, count=index.count, start_index=index.start_index)
            for before, after in zip(old, new, strict=True):
                shutil.copyfile(clip / before, target / after)


@pytest.mark.parametrize("start", [0, 1])
def test_existing_frames_and_flow_are_adopted(
    order: ClassOrder, changed: Changed, tmp_path: Path, start: int
) -> None:
    """Pictures of either numbering are taken by hard link under ours; the engine is unknown."""
    _, frames, flow = prepare(order, Stage.VIDEOS, Stage.RAWFRAMES, Stage.FLOW)
    before = public_files(order.layout.base)
    old_tree(order, tmp_path / "old", start=start)
    sources = replace(order.settings.sources, adopt_folders=(tmp_path / "old",))
    fresh = changed(sources=sources)
    for stage in (Stage.RAWFRAMES, Stage.FLOW):
        order.layout.manifest(order.split, stage, order.label).unlink()
    shutil.rmtree(order.layout.rawframes(order.split))
    adopted_frames, adopted_flow = prepare(fresh, Stage.RAWFRAMES, Stage.FLOW)
    assert [r.sha256 for r in ok_rows(adopted_frames)] == [r.sha256 for r in ok_rows(frames)]
    assert [r.sha256 for r in ok_rows(adopted_flow)] == [r.sha256 for r in ok_rows(flow)]
    assert {row.engine for row in ok_rows(adopted_flow)} == {"unknown"}
    pictures = {name for name in before if name.endswith(".jpg")}
    after = public_files(order.layout.base)
    assert {name: after[name] for name in pictures} == {name: before[name] for name in pictures}
    assert not needs_work(Stage.FLOW, order, now=now_utc())


def test_damaged_pictures_are_not_adopted(
    order: ClassOrder, changed: Changed, tmp_path: Path
) -> None:
    """A tree with a cut JPEG or a missing frame is not believed; the clip is made anew."""
    prepare(order, Stage.VIDEOS, Stage.RAWFRAMES, Stage.FLOW)
    old_tree(order, tmp_path / "old", start=0)
    clips = sorted((tmp_path / "old").rglob("img_00003.jpg"))
    clips[0].write_bytes(clips[0].read_bytes()[:200])
    (clips[1].parent / "img_00000.jpg").unlink()
    shutil.rmtree(order.layout.rawframes(order.split))
    order.layout.manifest(order.split, Stage.RAWFRAMES, order.label).unlink()
    sources = replace(order.settings.sources, adopt_folders=(tmp_path / "old",))
    (report,) = prepare(changed(sources=sources), Stage.RAWFRAMES)
    origin = {row.clip.name: row.source for row in ok_rows(report)}
    assert origin[clips[0].parent.name] == "videos"
    assert origin[clips[1].parent.name] == "videos"
    assert "adopted" in origin.values()


def test_flow_pictures_are_gray_and_of_the_frames_size(order: ClassOrder) -> None:
    """A flow picture is one gray plane of the frames' size, around 128 where nothing moves."""
    _, flow = prepare(order, Stage.VIDEOS, Stage.FLOW)
    row = ok_rows(flow)[0]
    data = (order.layout.base / row.path / "flow_x_00001.jpg").read_bytes()
    height, width, colourspace, _ = simplejpeg.decode_jpeg_header(data)
    assert (width, height, colourspace) == (row.width_px, row.height_px, "Gray")
    plane = simplejpeg.decode_jpeg(data, colorspace="GRAY")[:, :, 0]
    assert 90 < np.median(plane) < 166


def test_a_disk_that_refuses_hard_links_has_both_stages(
    order: ClassOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other stage's pictures are copied into the folder that takes the old one's place.

    Regression: flow could not be published beside frames on such a disk.
    """

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    _, frames, flow = prepare(order, Stage.VIDEOS, Stage.RAWFRAMES, Stage.FLOW)
    assert ok_rows(flow)
    assert run_stage(Stage.RAWFRAMES, order).changed == 0
    for row in ok_rows(frames):
        folder = order.layout.base / row.path
        assert len(own_names(Stage.RAWFRAMES, folder)) == row.frames_decoded
        assert read_index(Stage.FLOW, folder) is not None

"""Flow of one class as it comes: short clips, a scene cut, a large source; counts and verdicts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from kinetics_assets.core.geometry import Size
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import FrameRecipe
from kinetics_assets.core.stages import Stage
from kinetics_assets.engines import reference, tvl1
from kinetics_assets.engines.gray import bgr_to_gray, resize_gray
from kinetics_assets.engines.quantise import quantise
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.media.jpeg import encode_gray
from kinetics_assets.stages.frame_folders import read_index
from kinetics_assets.stages.frame_index import picture_names
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.report import StageReport
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets_tests.stages.flow_classes import by_id, class_of

USUAL, TWO, ONE, CUT, LARGE = (letter * 11 for letter in "ABCDE")
SMALL = Size(96, 64)
FULL_HD = Size(1920, 1080)
FRAMES = {USUAL: 12, TWO: 2, ONE: 1, CUT: 6, LARGE: 3}
SIZES = {USUAL: SMALL, TWO: SMALL, CUT: SMALL, LARGE: Size(455, 256)}
BEFORE_CUT = 3


def footage(path: Path, *, frames: int, size: Size = SMALL, cut_at: int | None = None) -> None:
    """Write a texture that moves by (2, 1) pixels a frame; another one from frame `cut_at` on."""
    scenes = [_texture(size, frames, seed) for seed in (1, 2)]
    with av.open(str(path), "w") as out:
        options = {"preset": "ultrafast", "crf": "12", "threads": "1"}
        stream = out.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = size.width_px, size.height_px, "yuv420p"
        for number in range(frames):
            scene = scenes[cut_at is not None and number >= cut_at]
            top, left = number, 2 * number
            plane = scene[top : top + size.height_px, left : left + size.width_px]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(plane), "gray")
            out.mux(stream.encode(frame.reformat(format="yuv420p")))
        out.mux(stream.encode(None))


def _texture(size: Size, frames: int, seed: int) -> NDArray[np.uint8]:
    """Return a smooth random plane with room for the motion."""
    shape = (size.height_px + frames, size.width_px + 2 * frames)
    coarse = np.random.default_rng(seed).random((shape[0] // 8 + 2, shape[1] // 8 + 2))
    fine = np.kron(coarse, np.ones((8, 8)))
    for axis in (0, 1):
        fine = np.mean([np.roll(fine, step, axis) for step in range(-4, 5)], axis=0)
    return (16 + 220 * fine[: shape[0], : shape[1]]).astype(np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClassOrder, StageReport]:
    """The class with its flow, under the settings that a user has who sets none but the engine."""
    clips = {
        USUAL: partial(footage, frames=FRAMES[USUAL]),
        TWO: partial(footage, frames=FRAMES[TWO]),
        ONE: partial(footage, frames=FRAMES[ONE]),
        CUT: partial(footage, frames=FRAMES[CUT], cut_at=BEFORE_CUT),
        LARGE: partial(footage, frames=FRAMES[LARGE], size=FULL_HD),
    }
    order = class_of(tmp_path_factory.mktemp("class"), clips, size=FrameRecipe().size)
    return order, run_stage(Stage.FLOW, order)


def test_counts_and_verdicts(made: tuple[ClassOrder, StageReport]) -> None:
    """N frames give N - 1 pairs, one frame is too short, and nothing is left to do."""
    order, report = made
    assert report.rows == tuple(read_manifest(order.layout, order.split, Stage.FLOW, order.label))
    rows = by_id(report.rows)
    assert rows.keys() == FRAMES.keys()
    short = rows.pop(ONE)
    assert (short.status, short.reason) == (Status.CORRUPT, Reason.TOO_SHORT)
    assert "1 frame" in short.reason_text
    assert short.path == ""
    for name, row in rows.items():
        assert (row.status, row.reason) == (Status.OK, None)
        assert row.frames_decoded == FRAMES[name] - 1
        assert (row.width_px, row.height_px) == (SIZES[name].width_px, SIZES[name].height_px)
        assert (row.engine, row.profile, row.bound_px) == ("cpu", "opencv4-cuda", 20.0)
    assert report.summary.counts == {Status.OK: 4, Status.CORRUPT: 1}
    assert report.summary.completeness == 1.0  # what is lost for good does not count
    assert not needs_work(Stage.FLOW, order, now=now_utc())


def test_pictures_and_index_files(made: tuple[ClassOrder, StageReport]) -> None:
    """Each folder has exactly the planes of its pairs, of one size, and an index that says so."""
    order, report = made
    rows = {name: row for name, row in by_id(report.rows).items() if name != ONE}
    folders = order.layout.class_folder(order.split, Stage.FLOW, order.label)
    assert folders.name == "massaging_person's_head"
    assert sorted(path.name[:11] for path in folders.iterdir()) == sorted(rows)
    for name, row in rows.items():
        pairs, size = FRAMES[name] - 1, SIZES[name]
        folder = order.layout.base / row.path
        names = picture_names(Stage.FLOW, count=pairs, start_index=1)
        assert len(names) == 2 * pairs
        assert sorted(path.name for path in folder.iterdir()) == sorted([*names, "_flow.json"])
        for picture in names:
            header = simplejpeg.decode_jpeg_header((folder / picture).read_bytes())
            assert header[:3] == (size.height_px, size.width_px, "Gray")
        index = read_index(Stage.FLOW, folder)
        assert index is not None
        assert (index.count, index.start_index, index.bound_px) == (pairs, 1, 20.0)
        assert (index.width_px, index.height_px) == (size.width_px, size.height_px)
        assert (index.engine, index.profile) == ("cpu", "opencv4-cuda")
        assert (index.sha256, index.digest) == (row.sha256, row.digest)


@pytest.mark.parametrize("name", [TWO, USUAL, CUT])
def test_flow_is_that_of_the_oracle(made: tuple[ClassOrder, StageReport], name: str) -> None:
    """The bytes are those that the oracle's flow gives, over a scene cut, too."""
    order, report = made
    pair = BEFORE_CUT - 1 if name == CUT else 0
    first, second = gray_frames(order, name)[pair : pair + 2]
    solution = reference.solve_pair(first, second)
    full_size = solution.iterations[0]
    assert (full_size.max() == tvl1.MAX_ITERATIONS) == (name == CUT), full_size
    folder = order.layout.base / by_id(report.rows)[name].path
    for axis, plane in zip("xy", quantise(solution.flow, bound_px=20.0), strict=True):
        expected = encode_gray(plane, quality=FrameRecipe().jpeg_quality)
        assert (folder / f"flow_{axis}_{pair + 1:05d}.jpg").read_bytes() == expected


def test_flow_shows_the_motion(made: tuple[ClassOrder, StageReport]) -> None:
    """The texture moves by (-2, -1) pixels, in a full HD source by as much less as it is resized.

    A mistake in axes, sign, frame order or scale would show.
    """
    order, report = made
    rows = by_id(report.rows)
    for name, share in ((USUAL, 1.0), (LARGE, 256 / 1080)):
        for axis, moved in (("x", -2 * share), ("y", -1 * share)):
            assert _median_px(order, rows[name], axis) == pytest.approx(moved, abs=0.2)


def test_a_full_hd_source_in_its_own_size(tmp_path: Path) -> None:
    """Without a resize flow has the source's size; a pair of it is one of 2 million pixels."""
    clips = {LARGE: partial(footage, frames=2, size=FULL_HD)}
    order = class_of(tmp_path, clips, size="original")
    (row,) = run_stage(Stage.FLOW, order).rows
    assert (row.status, row.frames_decoded) == (Status.OK, 1)
    assert (row.width_px, row.height_px) == (1920, 1080)
    assert _median_px(order, row, "x") == pytest.approx(-2.0, abs=0.2)


def gray_frames(order: ClassOrder, name: str) -> list[NDArray[np.uint8]]:
    """Return the gray frames of a clip in the size of its flow, decoded here."""
    videos = order.layout.class_folder(order.split, Stage.VIDEOS, order.label)
    size = SIZES[name]
    with av.open(str(next(videos.glob(f"{name}*")))) as source:
        decoded = [frame.to_ndarray(format="bgr24") for frame in source.decode(video=0)]
    grays = [bgr_to_gray(frame.astype(np.uint8, copy=False)) for frame in decoded]
    return [resize_gray(gray, size.width_px, size.height_px) for gray in grays]


def _median_px(order: ClassOrder, row: ManifestRow, axis: str) -> float:
    """Return the median displacement that the first picture of a clip shows, in pixels."""
    data = (order.layout.base / row.path / f"flow_{axis}_00001.jpg").read_bytes()
    levels = simplejpeg.decode_jpeg(data, colorspace="GRAY")[:, :, 0]
    return float(np.median(levels)) * 40.0 / 255.0 - 20.0

"""The pipeline from video to flow pictures: shared stations, bounded parts, faults of a device."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import simplejpeg

from kinetics_assets.core import errors
from kinetics_assets.core.clips import Split
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.settings import (
    AnnotationSettings,
    FlowRecipe,
    FrameRecipe,
    Limits,
    Settings,
    SourceSettings,
    VideoRecipe,
)
from kinetics_assets.core.stages import Stage
from kinetics_assets.engines.cpu import CpuEngine
from kinetics_assets.engines.cuda import device as cuda_device
from kinetics_assets.engines.cuda.engine import CudaEngine
from kinetics_assets.media.client import MediaWorker
from kinetics_assets.stages import flow_pipeline
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.flow_pipeline import FlowPipeline
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.engines.cuda.shim import ShimDevice
from kinetics_assets_tests.resources import media

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kinetics_assets.engines.base import FlowEngine
    from kinetics_assets.engines.cuda.batches import Sample
    from kinetics_assets.engines.cuda.plan import BatchPlan

TOP = Path(__file__).parents[2]
RECIPE = FrameRecipe(size="16")
FRAMES = (5, 3, 4, 2)
_SECONDS = 120


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Videos of `FRAMES` frames, of two sizes."""
    folder = tmp_path_factory.mktemp("videos")
    return [
        media.plain(folder / f"{number}.mp4", frames=frames, width_px=48 + 16 * (number % 2))
        for number, frames in enumerate(FRAMES)
    ]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaWorker]:
    """Two decoders."""
    folders = [tmp_path_factory.getbasetemp()]
    with MediaWorker(Limits(), writable=folders, children=2) as shared:
        yield shared


def made(
    engine: FlowEngine, videos: list[Path], folder: Path, worker: MediaWorker, *, threads: int
) -> list[dict[str, bytes]]:
    """Return the pictures of each video by name, made by some threads at a time."""
    pipeline = FlowPipeline(engine, recipe=RECIPE, bound_px=3, cores=1)

    def make(video: Path) -> dict[str, bytes]:
        pictures = folder / video.stem
        pictures.mkdir(parents=True)
        gray = folder / f"{video.stem}.npy"
        facts = pipeline.make(video, pictures, worker=worker, gray=gray)
        assert not gray.exists()
        found = {path.name: path.read_bytes() for path in pictures.iterdir()}
        assert len(found) == 2 * facts.frames
        return found

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(make, videos))


class Slow(ShimDevice):
    """A device that begins its second batch when some pairs wait behind the first.

    Attributes:
        engine: Whose queue is looked at.
    """

    engine: CudaEngine

    def run(
        self,
        plan: BatchPlan,
        pixels: NDArray[np.uint8],
        results: NDArray[Sample],
        *,
        bound_px: float,
        lane: int,
    ) -> NDArray[np.int32]:
        """Run a batch; the first one waits until all other clips wait behind it."""
        if not self.batches:
            expected = sum(FRAMES) - len(FRAMES) - len(plan.pairs)
            for _ in range(_SECONDS * 100):
                if self.engine.waiting_pairs == expected:
                    break
                threading.Event().wait(0.01)
        return super().run(plan, pixels, results, bound_px=bound_px, lane=lane)


def test_clips_share_batches_and_not_a_byte_differs(
    videos: list[Path], worker: MediaWorker, tmp_path: Path
) -> None:
    """Four clips are under way at a time with two decoders; the device gets one batch of three.

    The pictures are those that the CPU engine gives one clip after another.
    """
    on = Slow(threads=32)
    on.pairs_at_a_time = 100
    on.engine = CudaEngine(on=on)
    ours = made(on.engine, videos, tmp_path / "device", worker, threads=len(videos))
    assert len(on.batches) == 2
    assert sum(on.batches) == sum(FRAMES) - len(FRAMES)
    assert ours == made(CpuEngine(threads=1), videos, tmp_path / "cpu", worker, threads=1)
    for pictures, frames in zip(ours, FRAMES, strict=True):
        names = [f"flow_{axis}_{number:05d}.jpg" for axis in "xy" for number in range(1, frames)]
        assert sorted(pictures) == names
        assert simplejpeg.decode_jpeg_header(pictures["flow_x_00001.jpg"])[2] == "Gray"


def test_parts_of_a_long_clip_leave_no_trace(
    videos: list[Path], worker: MediaWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flow of bounded size is in memory at a time; where parts meet is not to be seen."""
    whole = made(CpuEngine(threads=1), videos[:1], tmp_path / "whole", worker, threads=1)
    sizes: list[int] = []

    class Watched(CpuEngine):
        def flow_u8(self, frames: NDArray[np.uint8], *, bound_px: float) -> NDArray[np.uint8]:
            """Note how much is asked for."""
            flow = super().flow_u8(frames, bound_px=bound_px)
            sizes.append(flow.nbytes)
            return flow

    height, width, *_ = simplejpeg.decode_jpeg_header(whole[0]["flow_x_00001.jpg"])
    one_pair = 2 * height * width
    monkeypatch.setattr(flow_pipeline, "PART_BYTES", 3 * one_pair)
    parts = made(Watched(threads=1), videos[:1], tmp_path / "parts", worker, threads=1)
    assert sizes == [3 * one_pair, one_pair]
    assert parts == whole


def test_it_needs_little(videos: list[Path], tmp_path: Path) -> None:
    """It runs where Dagster, tables, OpenCV and Numba are not installed."""
    code = f"""
import sys
for name in ("dagster", "pandas", "pyarrow", "cv2", "numba", "yt_dlp", "click", "rich"):
    sys.modules[name] = None
from pathlib import Path
from kinetics_assets.core.settings import FrameRecipe, Limits
from kinetics_assets.engines.registry import engine_by_name
from kinetics_assets.media.client import MediaWorker
from kinetics_assets.stages.flow_pipeline import FlowPipeline
folder = Path({str(tmp_path)!r})
engine = engine_by_name("reference", threads=1)
pipeline = FlowPipeline(engine, recipe=FrameRecipe(size="16"), bound_px=3, cores=1)
with MediaWorker(Limits(), writable=[folder]) as worker:
    facts = pipeline.make(Path({str(videos[3])!r}), folder, worker=worker, gray=folder / "gray")
print(facts.frames)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(TOP)},
        check=False,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "flow_x_00001.jpg",
        "flow_y_00001.jpg",
    ]


class Mortal(ShimDevice):
    """A device that is lost in its second batch."""

    def run(
        self,
        plan: BatchPlan,
        pixels: NDArray[np.uint8],
        results: NDArray[Sample],
        *,
        bound_px: float,
        lane: int,
    ) -> NDArray[np.int32]:
        """Run a batch, or fail."""
        if self.batches:
            raise errors.DeviceLost("The GPU failed: gone.", remedy="Look at it.")
        return super().run(plan, pixels, results, bound_px=bound_px, lane=lane)


def test_a_device_that_is_lost_under_way_fails_the_step(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips that were done stay, no clip is blamed, nothing partial is left, a retry does the rest.

    Nothing is computed on the CPU instead.
    """
    local = tmp_path / "local" / "abseiling"
    local.mkdir(parents=True)
    lines = ["label,youtube_id,time_start,time_end,split"]
    for number, video in enumerate(videos):
        (local / f"{number:011d}_000000_000001.mp4").write_bytes(video.read_bytes())
        lines.append(f"abseiling,{number:011d},0,1,train")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.csv").write_text("\n".join(lines))
    settings = Settings(
        root=tmp_path / "root",
        dataset="demo",
        annotations=AnnotationSettings(source=str(tmp_path / "lists")),
        videos=VideoRecipe(min_duration_share=0.0),
        sources=SourceSettings(order=("local",), local_folders=(local.parent,)),
        rawframes=RECIPE,
        flow=FlowRecipe(engine="cuda"),
        limits=Limits(min_free_bytes=0, workers=1),
    )
    settings.root.mkdir()
    run_annotations(settings)
    order = ClassOrder(settings, Split.TRAIN, "abseiling")
    run_stage(Stage.VIDEOS, order)
    monkeypatch.setattr("kinetics_assets.engines.cuda.engine._CUPY_WHEELS", ("numpy",))
    mortal = Mortal(threads=32)
    mortal.pairs_at_a_time = 100
    monkeypatch.setattr(cuda_device, "CupyDevice", lambda: mortal)
    with pytest.raises(errors.DeviceLost, match="gone"):
        run_stage(Stage.FLOW, order)
    assert not list(order.layout.base.rglob("*.npy"))
    assert not list(order.layout.base.rglob("*.tmp-*"))
    before = {path: path.stat().st_ino for path in order.layout.base.rglob("flow_*.jpg")}
    on = ShimDevice(threads=32)
    monkeypatch.setattr(cuda_device, "CupyDevice", lambda: on)
    report = run_stage(Stage.FLOW, order)
    assert {row.status for row in report.rows} == {Status.OK}
    assert all(row.attempts == 1 for row in report.rows)
    assert {(row.engine, row.profile) for row in report.rows} == {("cuda", "opencv4-cuda")}
    assert sum(on.batches) + len(before) // 2 == sum(FRAMES) - len(FRAMES)
    assert all(path.stat().st_ino == inode for path, inode in before.items())

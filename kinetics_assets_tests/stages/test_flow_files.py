"""denseflow under a step: how each way in which it fails is judged.

The table in docs/flow-engines.md names the ways; each is one case here, and a test compares.
"""

from __future__ import annotations

import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import simplejpeg

from kinetics_assets.core import errors
from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.reasons import Reason
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
from kinetics_assets.engines.denseflow import DenseflowEngine
from kinetics_assets.media.client import MediaWorker
from kinetics_assets.media.facts import FrameFacts
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.flow_files import FileFlow
from kinetics_assets.stages.frame_folders import read_index
from kinetics_assets.stages.frame_index import picture_names
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets_tests import denseflows
from kinetics_assets_tests.denseflows import Denseflow
from kinetics_assets_tests.handmade import HEAD
from kinetics_assets_tests.resources import media

PAGE = Path(__file__).parents[2] / "docs" / "flow-engines.md"
FRAMES = 6
PAIRS = FRAMES - 1
NAME = "-it's (a) \"clip\" 'x' $HOME;.mp4"


@dataclass(frozen=True)
class Case:
    """A way of failing, and how it must be judged."""

    mode: str
    verdict: type[errors.KineticsError] | None = None
    """None: the pictures are good."""
    words: str = ""
    """Must be in the message."""
    runs: int = 3
    """Times that the program is started: twice for the clip, then for the good video."""
    always: bool = False
    times: int = 0
    frames: int = FRAMES
    width_px: int = 96
    program: str = ""
    """Text of the program, when it is not the stand-in."""


CASES = {
    "pictures numbered from 0": Case("well", runs=1),
    "good pictures, bad exit status": Case("bad_status", runs=1),
    "exit 0 without pictures": Case("nothing", errors.EncodeFailed, "0 of 10 pictures"),
    "prints its options, exit 0": Case("options", errors.EncodeFailed, "0 of 10 pictures"),
    "refuses the video, exit 1": Case("refusal", errors.EncodeFailed, "init param error"),
    "last batch lost, exit 0": Case("partial", errors.EncodeFailed, "4 of 10 pictures"),
    "last batch lost once": Case("partial", runs=2, times=1),
    "stops after 1,024 pairs": Case(
        "batches", errors.EncodeFailed, "2048 of 2060 pictures", frames=1031, width_px=36
    ),
    "a pair too many": Case("too_many", errors.EncodeFailed, "2 are too many"),
    "a plane missing": Case("one_axis", errors.EncodeFailed, "first missing: flow_y_00000"),
    "cut JPEG": Case("cut_jpeg", errors.EncodeFailed, "flow_x_00004.jpg"),
    "other size": Case("wrong_size", errors.EncodeFailed, "97x64 pixels, not 96x64"),
    "stale .done": Case("stale_done", errors.EncodeFailed, "0 of 10 pictures"),
    "writes elsewhere": Case("elsewhere", errors.EncodeFailed, "0 of 10 pictures"),
    "crashes on one video": Case("crash", errors.EncodeFailed, "SIGSEGV"),
    "killed": Case("killed", errors.EncodeFailed, "SIGKILL"),
    "hangs": Case("hang", errors.OverLimit, "time was up", runs=2),
    "video of one frame": Case("crash", errors.TooShort, "1 frame", runs=0, frames=1),
    "video without frames": Case("crash", errors.NoFrames, "is empty", runs=0, frames=0),
    "disk full": Case("well", errors.DiskFull, "No space left while working in", width_px=960),
    "no device": Case("no_device", errors.DeviceLost, "no CUDA-capable device", always=True),
    "fails on every video": Case("options", errors.ToolMissing, "known to be good", always=True),
    "hangs on every video": Case("hang", errors.ToolMissing, "time was up", runs=2, always=True),
    "cannot be loaded": Case(
        "well", errors.ToolMissing, "cannot be started", runs=0, program="#!/nowhere/python\n"
    ),
    "not installed": Case("well", errors.ToolMissing, "denseflow_path", runs=0, program="none"),
}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaWorker]:
    """The decoder that judges."""
    with MediaWorker(Limits(), writable=[tmp_path_factory.getbasetemp()]) as shared:
        yield shared


@pytest.fixture
def denseflow(tmp_path: Path) -> Denseflow:
    """A stand-in that works."""
    return denseflows.install(tmp_path / "bin")


def flow_with(program: Path, **tables: object) -> FileFlow:
    """Return the maker of flow under settings with `tables`."""
    settings = Settings(
        root=Path("nowhere"),
        dataset="demo",
        rawframes=FrameRecipe(size="original"),
    )
    changed = replace(settings, **tables)  # type: ignore[arg-type]  # tables are named by the caller
    return FileFlow(DenseflowEngine(program=program), changed)


def clip(path: Path, frames: int = FRAMES, *, width_px: int = 96) -> Path:
    """Write a video of some frames, or one without any."""
    if not frames:
        return media.zero_frames(path)
    return media.plain(path, frames=frames, width_px=width_px, height_px=width_px * 2 // 3)


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file of new children grow to a picture's size; those of the good video just fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_every_known_way_of_failing_has_its_case() -> None:
    """The table that users read and the cases here are the same."""
    section = (
        PAGE.read_text(encoding="utf-8").partition("\n## denseflow\n")[2].partition("\n## ")[0]
    )
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)
    assert rows[0] == "what denseflow does"
    assert sorted(rows[1:]) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_denseflow_is_judged_by_its_pictures(
    name: str,
    denseflow: Denseflow,
    worker: MediaWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Good pictures are taken whatever it says; else clip or machine is blamed, nothing is left."""
    case = CASES[name]
    # the time of a program is up the moment that it hangs
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 1e6 * denseflow.hangs)
    monkeypatch.setattr("kinetics_assets.io.programs.time", clock)
    denseflow.behave(case.mode, always=case.always, times=case.times)
    program = denseflow.path
    if case.program == "none":
        program = denseflow.path.with_name("not there")
    elif case.program:
        program.write_text(case.program)
    video = clip(tmp_path / NAME, case.frames, width_px=case.width_px)
    folder = tmp_path / "pictures"
    folder.mkdir()
    flow = flow_with(program, limits=Limits(clip_wall_seconds=120))
    if case.verdict is None:
        assert flow.make(video, folder, worker=worker) == FrameFacts(PAIRS, 96, 64)
        expected = picture_names(Stage.FLOW, count=PAIRS, start_index=1)
        assert sorted(path.name for path in folder.iterdir()) == sorted(expected)
    else:
        assert worker.degraded is not None  # its process is there before room is short
        lack = no_room() if name == "disk full" else nullcontext()
        with lack, pytest.raises(case.verdict, match=re.escape(case.words)):
            flow.make(video, folder, worker=worker)
        assert not list(folder.iterdir())
    if name == "disk full":
        return  # there was no room for its log
    clips = case.runs - (case.verdict is not None and case.runs > 0)
    assert denseflow.videos == [NAME] * clips + ["canary.mp4"] * (case.runs - clips)
    assert not [run["pid"] for run in denseflow.runs if Path(f"/proc/{run['pid']}").exists()]


def test_it_is_given_plain_names_and_a_clean_environment(
    denseflow: Denseflow,
    worker: MediaWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No name of ours, variable or input can be misunderstood; the device is the leased one."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-17")
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "skip_frame;nokey")
    video, folder = clip(tmp_path / NAME), tmp_path / "pictures"
    folder.mkdir()
    flow_with(denseflow.path).make(video, folder, worker=worker)
    (run,) = denseflow.runs
    assert run["arguments"] == [
        *("video.mp4", "-o=out", "-a=tvl1", "-s=1", "-b=20", "-nw=96", "-nh=64")
    ]
    assert run["folder"].startswith(str(folder))
    assert run["read"] == ""
    assert run["environment"]["CUDA_VISIBLE_DEVICES"] == "GPU-17"
    assert not [name for name in run["environment"] if name.startswith(("OPENCV", "KINETICS"))]


@pytest.mark.parametrize(("size", "start"), [("33", 0), ("51x37", 1), ("original", 0)])
def test_its_pictures_lie_over_ours(
    size: str, start: int, denseflow: Denseflow, worker: MediaWorker, tmp_path: Path
) -> None:
    """Sizes are those of our own grey frames, also for pixels that are not square; so are names."""
    recipe = FrameRecipe(size=size, start_index=start)
    video, folder = media.wide_samples(tmp_path / "clip.mp4"), tmp_path / "pictures"
    folder.mkdir()
    facts = flow_with(denseflow.path, rawframes=recipe).make(video, folder, worker=worker)
    ours = worker.gray(video, tmp_path / "gray.npy", recipe=recipe)
    assert (facts.width_px, facts.height_px) == (ours.width_px, ours.height_px)
    first = (folder / f"flow_x_{start:05d}.jpg").read_bytes()
    height, width, colours, _ = simplejpeg.decode_jpeg_header(first)
    assert (width, height, colours) == (ours.width_px, ours.height_px, "Gray")


def test_frames_that_are_stored_turned_are_refused(
    denseflow: Denseflow, worker: MediaWorker, tmp_path: Path
) -> None:
    """Some builds turn them, some do not, and the pictures of a half turn do not tell."""
    video = media.rotated(tmp_path / "clip.mp4", 180)
    with pytest.raises(errors.EncodeFailed, match="frames_from"):
        flow_with(denseflow.path).make(video, tmp_path, worker=worker)
    assert not denseflow.runs


@pytest.mark.parametrize(
    ("tables", "name"),
    [
        ({"rawframes": FrameRecipe(jpeg_quality=90)}, "jpeg_quality"),
        ({"flow": FlowRecipe(bound_px=12.5)}, "bound_px"),
    ],
)
def test_settings_that_it_has_no_option_for_are_refused(
    tables: dict[str, object], name: str, denseflow: Denseflow
) -> None:
    """Nothing is made with another quality or bound than the manifest will say."""
    with pytest.raises(errors.SettingsError, match=name):
        flow_with(denseflow.path, **tables)


CLIPS = {
    ClipId("-AAAAAAAAAA", 0, 1): 12,
    ClipId("BBBBBBBBBBB", 0, 1): 2,
    ClipId("CCCCCCCCCCC", 0, 1): 1,
    ClipId("POISONPOISO", 0, 1): 5,
    ClipId("DDDDDDDDDDD", 0, 1): 7,
}


@pytest.fixture
def order(tmp_path: Path, denseflow: Denseflow) -> ClassOrder:
    """A class with an apostrophe, whose clips are there, with flow by the stand-in."""
    lists, local = tmp_path / "lists", tmp_path / "local" / HEAD
    lists.mkdir()
    local.mkdir(parents=True)
    lines = ["label,youtube_id,time_start,time_end,split"]
    for clip_id, frames in CLIPS.items():
        lines.append(f"{HEAD},{clip_id.youtube_id},0,1,train")
        clip(local / f"{clip_id.name}.mp4", frames)
    (lists / "train.csv").write_text("\n".join(lines))
    settings = Settings(
        root=tmp_path / "root",
        dataset="demo",
        annotations=AnnotationSettings(source=str(lists)),
        videos=VideoRecipe(min_duration_share=0.0),
        sources=SourceSettings(order=("local",), local_folders=(local.parent,)),
        rawframes=FrameRecipe(size="32"),
        flow=FlowRecipe(engine="denseflow", denseflow_path=denseflow.path),
        limits=Limits(min_free_bytes=0, workers=2),
    )
    settings.root.mkdir()
    run_annotations(settings)
    order = ClassOrder(settings, Split.TRAIN, HEAD)
    report = run_stage(Stage.VIDEOS, order)
    assert {row.status for row in report.rows} == {Status.OK}
    return order


def test_flow_of_a_class(order: ClassOrder, denseflow: Denseflow) -> None:
    """One clip too short and one that kills the program are lost, the others have all pairs."""
    poison = next(name.name for name in CLIPS if name.youtube_id.startswith("POISON")) + ".mp4"
    denseflow.behave("crash", only=poison)
    report = run_stage(Stage.FLOW, order)
    rows = {row.clip: row for row in report.rows}
    for clip_id, frames in CLIPS.items():
        row = rows[clip_id]
        if frames in {1, 5}:
            assert row.status is Status.CORRUPT
            assert row.reason is (Reason.TOO_SHORT if frames == 1 else Reason.ENCODE_FAILED)
            continue
        assert (row.status, row.frames_decoded, row.start_index) == (Status.OK, frames - 1, 1)
        assert (row.width_px, row.height_px) == (48, 32)
        assert (row.engine, row.profile) == ("denseflow", "opencv4-cuda via denseflow")
        assert row.bound_px == 20.0
        assert "denseflow unversioned (sha256 " in row.tools
        folder = order.layout.base / row.path
        names = picture_names(Stage.FLOW, count=frames - 1, start_index=1)
        assert sorted(p.name for p in folder.iterdir()) == sorted([*names, "_flow.json"])
        index = read_index(Stage.FLOW, folder)
        assert index is not None
        assert (index.engine, index.count) == ("denseflow", frames - 1)
    assert denseflow.videos.count(poison) == 2
    assert not needs_work(Stage.FLOW, order, now=now_utc())


def test_a_machine_that_cannot_run_it_leaves_no_verdict(
    order: ClassOrder, denseflow: Denseflow
) -> None:
    """Without a device the step fails, and with one again every clip is made."""
    denseflow.behave("no_device", always=True)
    with pytest.raises(errors.DeviceLost, match="nvidia-smi"):
        run_stage(Stage.FLOW, order)
    denseflow.behave("well")
    report = run_stage(Stage.FLOW, order)
    assert sum(row.status is Status.OK for row in report.rows) == len(CLIPS) - 1
    assert all(row.attempts == 1 for row in report.rows)

"""A small dataset on the disk that the stage tests share: real clips in a local folder."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import ClipError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import (
    AnnotationSettings,
    FrameRecipe,
    Limits,
    ResizeRecipe,
    Settings,
    SourceSettings,
    VideoRecipe,
)
from kinetics_assets.core.stages import CLASS_STAGES
from kinetics_assets.demo.clips import DemoClip, annotation_lists, chosen_classes, encode, plan
from kinetics_assets.sources import registry
from kinetics_assets.sources.base import Found
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.filelists import run_filelists
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.servers import FaultServer
from kinetics_assets_tests.stages.scripted import CLIPS, Changed, Script, Scripted
from kinetics_assets_tests.stages.taken_down import OTHER, order_of, settings_in

LABEL = "abseiling"


@pytest.fixture(scope="session")
def demo_rows() -> tuple[DemoClip, ...]:
    """Annotation rows of two demo classes."""
    return plan(chosen_classes(2))


@pytest.fixture(scope="session")
def pool_of_clips(
    tmp_path_factory: pytest.TempPathFactory, demo_rows: tuple[DemoClip, ...]
) -> Path:
    """Folder with the good training clips of the first class, and one damaged file."""
    folder = tmp_path_factory.mktemp("local") / LABEL
    folder.mkdir()
    for row in demo_rows:
        if row.split is not Split.TRAIN or row.clip.label != LABEL:
            continue
        if row.source.fault is None and row.source.seconds == row.clip.id.duration_seconds:
            encode(row.source, folder / f"{row.clip.id.name}.mp4")
    return folder.parent


@pytest.fixture
def settings(tmp_path: Path, pool_of_clips: Path, demo_rows: tuple[DemoClip, ...]) -> Settings:
    """Settings of a demo root whose annotations are in place and whose clips are local."""
    lists = tmp_path / "lists"
    lists.mkdir()
    for name, data in annotation_lists(demo_rows).items():
        (lists / Path(name).name).write_bytes(data)
    made = Settings(
        root=tmp_path / "root",
        dataset="demo",
        annotations=AnnotationSettings(source=str(lists)),
        sources=SourceSettings(order=("local",), local_folders=(pool_of_clips,), connections=2),
        resized=ResizeRecipe(short_side_px=64),
        rawframes=FrameRecipe(size="64"),
        limits=Limits(workers=1, min_free_bytes=0),
    )
    made.root.mkdir()
    run_annotations(made)
    return made


@pytest.fixture
def order(settings: Settings) -> ClassOrder:
    """The class whose clips are there."""
    return ClassOrder(settings, Split.TRAIN, LABEL)


@pytest.fixture
def changed(order: ClassOrder) -> Callable[..., ClassOrder]:
    """Return a function that gives the order under changed tables of settings."""

    def change(**tables: object) -> ClassOrder:
        return replace(order, settings=replace(order.settings, **tables))  # type: ignore[arg-type]  # tables are named by the caller

    return change


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server of this machine."""
    with FaultServer() as running:
        yield running


@pytest.fixture
def asked_of(order: ClassOrder, changed: Changed, tmp_path: Path, server: FaultServer) -> Changed:
    """Return what gives a class of `CLIPS` clips whose videos are asked of `server`."""
    rows = "".join(f"{order.label},{number:011d},0,1,train\n" for number in range(CLIPS))
    listed = tmp_path / "train.csv"
    listed.write_text(f"label,youtube_id,time_start,time_end,split\n{rows}", encoding="utf-8")
    sources = SourceSettings(
        order=("youtube",),
        youtube_url=server.url("/{id}.mp4"),
        youtube_extractors=("generic",),
        youtube_interval_seconds=0,
        youtube_canaries=(),
        loopback_hosts=(server.host,),
        max_wait_seconds=0.2,
    )

    def change(**more: object) -> ClassOrder:
        made = changed(
            annotations=AnnotationSettings(source=str(listed)),
            sources=replace(sources, **more),  # type: ignore[arg-type] # named by the caller
            videos=VideoRecipe(min_duration_share=0),
        )
        run_annotations(made.settings)
        return made

    return change


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Return what puts a scripted source in the place of YouTube."""

    def put(answers: Callable[[ClipId], Found | ClipError], alive: bool | None) -> Scripted:
        source = Scripted(answers, alive)
        monkeypatch.setitem(registry._SOURCES, "youtube", lambda *_: source)
        return source

    return put


@pytest.fixture(scope="session")
def pattern(
    tmp_path_factory: pytest.TempPathFactory,
    pool_of_clips: Path,
    demo_rows: tuple[DemoClip, ...],
) -> Path:
    """Folder of two whole datasets with the same clips, the second linked to the first."""
    folder = tmp_path_factory.mktemp("pattern")
    (folder / "root").mkdir()
    (folder / "other disk").mkdir()
    for name, data in annotation_lists(demo_rows).items():
        path = folder / "demo lists" / Path(name).name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    clips = [row.clip for row in demo_rows if (row.split, row.clip.label) == (Split.TRAIN, LABEL)]
    lines = [f"{LABEL},{c.id.youtube_id},{c.id.start_seconds},{c.id.end_seconds}" for c in clips]
    text = "\n".join(["label,youtube_id,time_start,time_end", *lines, ""])
    (folder / "train.csv").write_text(text)
    for one in settings_in(folder, pool_of_clips):
        run_annotations(one)
        for stage in CLASS_STAGES:
            run_stage(stage, order_of(one))
        run_filelists(one, Split.TRAIN)
    return folder


@pytest.fixture
def datasets(pattern: Path, pool_of_clips: Path, tmp_path: Path) -> list[Settings]:
    """Settings of a copy of the two datasets, hard links among them as in the pattern."""
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(pattern), str(folder)], check=True)
    both = settings_in(folder, pool_of_clips)
    link = Layout.of(both[1]).rawframes(Split.TRAIN)
    link.unlink()
    link.symlink_to(folder / "other disk" / OTHER / link.name)
    return both

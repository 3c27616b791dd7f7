"""A list that changed: the tree becomes the one that the new list alone would have made."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Clip, ClipId, Split
from kinetics_assets.core.errors import MixedFlow
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.settings import (
    AnnotationSettings,
    FlowRecipe,
    FrameRecipe,
    Limits,
    ResizeRecipe,
    Settings,
    SourceSettings,
    StorageSettings,
)
from kinetics_assets.core.stages import CLASS_STAGES, Stage
from kinetics_assets.demo.clips import DemoSource, encode
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.flow import FlowJob
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.report import StageReport
from kinetics_assets.stages.run import run_stage
from kinetics_assets.verify.tree import tree_lines
from kinetics_assets_tests.clip_files import Files, clip_files, media, retired_stages

FIRST, SECOND = BOTH = "abseiling", "zumba"
Rows = Mapping[str, tuple[str, int]]
Parted = tuple[Settings, list[str], Files]

ROWS = {
    "stays": (FIRST, 0),
    "goes": (FIRST, 0),
    "moves": (FIRST, 0),
    "retimed": (FIRST, 0),
}
"""What becomes of a clip -> its class and its start in the first list."""
FILES = (Stage.VIDEOS, Stage.RESIZED)
GONE = {name: row for name, row in ROWS.items() if name != "goes"}
CHANGED = {
    "stays": ROWS["stays"],
    "moves": (SECOND, 0),
    "retimed": (FIRST, 1),
    "comes": (FIRST, 1),
}
RELABELLED = ROWS | {"moves": (SECOND, 0)}


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the whole videos of all clips, under their bare ids."""
    folder = tmp_path_factory.mktemp("videos")
    for number, name in enumerate((*ROWS, "comes")):
        source = DemoSource(
            youtube_id=_id(name),
            width_px=64,
            height_px=48,
            fps=6,
            seconds=4,
            codec="mpeg4",
            velocity_px=(1.0, 0.1 * number),
            tint=(1.0, 0.6, 0.4),
        )
        encode(source, folder / f"{_id(name)}.mp4")
    return folder


def _id(name: str) -> str:
    """Return the YouTube id of a clip."""
    return f"{name:_<11}"


def _clip(name: str, rows: Rows = ROWS) -> ClipId:
    """Return a clip of one of the lists."""
    start = rows[name][1]
    return ClipId(_id(name), start, start + 1)


def _settings(folder: Path, videos: Path, **tables: object) -> Settings:
    """Return settings of the root in `folder`."""
    settings = Settings(
        root=folder / "root",
        dataset="demo",
        annotations=AnnotationSettings(source=str(folder / "train.csv")),
        sources=SourceSettings(order=("siblings", "local"), local_folders=(videos,), connections=1),
        resized=ResizeRecipe(short_side_px=32),
        rawframes=FrameRecipe(size="32"),
        flow=FlowRecipe(engine="preview-dis"),
        limits=Limits(workers=1, min_free_bytes=0),
    )
    settings.root.mkdir(exist_ok=True)
    return replace(settings, **tables)  # type: ignore[arg-type] # tables are named by the caller


def _list(settings: Settings, rows: Rows) -> None:
    """Make `rows` the list."""
    lines = ["label,youtube_id,time_start,time_end,split"]
    lines += [
        f"{label},{_id(name)},{start},{start + 1},train" for name, (label, start) in rows.items()
    ]
    Path(settings.annotations.source).write_text("\n".join([*lines, ""]))
    run_annotations(settings)


def _run(
    settings: Settings,
    rows: Rows,
    *,
    labels: tuple[str, ...] = (FIRST,),
    stages: tuple[Stage, ...] = CLASS_STAGES,
) -> dict[tuple[str, Stage], StageReport]:
    """Make `rows` the list and run stages of classes; return the reports."""
    _list(settings, rows)
    return {
        (label, stage): run_stage(stage, ClassOrder(settings, Split.TRAIN, label))
        for label in labels
        for stage in stages
    }


def _rows(settings: Settings, label: str, stage: Stage) -> dict[ClipId, ManifestRow]:
    """Return the manifest of a class."""
    return {row.clip: row for row in read_manifest(Layout.of(settings), Split.TRAIN, stage, label)}


def _files(settings: Settings, name: str, rows: Rows = ROWS) -> Files:
    """Return what files a clip of one of the lists has in all stages together."""
    return clip_files(Layout.of(settings))[Split.TRAIN, Clip(_clip(name, rows), rows[name][0])]


def _retired(settings: Settings) -> list[str]:
    """Return the names of all files and rows that are retired."""
    folder = Layout.of(settings).retired(Split.TRAIN)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def first_tree(tmp_path_factory: pytest.TempPathFactory, videos: Path) -> Path:
    """Folder of a root with all stages of the first list."""
    folder = tmp_path_factory.mktemp("first")
    _run(_settings(folder, videos), ROWS)
    return folder


@pytest.fixture
def settings(first_tree: Path, videos: Path, tmp_path: Path) -> Settings:
    """Settings of a copy of the first tree."""
    subprocess.run(["cp", "-a", f"{first_tree}/.", str(tmp_path)], check=True)
    return _settings(tmp_path, videos)


def test_a_changed_list_leads_to_the_tree_of_the_new_list(
    settings: Settings, videos: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A row that goes, one that comes, one with another label, one with another span.

    Clips whose rows stay keep their very files in every stage, and so does the relabelled one. With
    the first list again, the tree is the first one, and nothing had to be made.
    """
    layout = Layout.of(settings)
    first, before = tree_lines(layout), clip_files(layout)
    reports = _run(settings, CHANGED, labels=BOTH)
    alone = _settings(tmp_path_factory.mktemp("alone"), videos)
    _run(alone, CHANGED, labels=BOTH)
    assert tree_lines(layout) == tree_lines(Layout.of(alone))
    assert _files(settings, "stays") == before[Split.TRAIN, Clip(_clip("stays"), FIRST)]
    moved = before[Split.TRAIN, Clip(_clip("moves"), FIRST)]
    assert media(_files(settings, "moves", CHANGED)) == media(moved)
    assert _rows(settings, SECOND, Stage.VIDEOS)[_clip("moves")].source == "local"
    for stage in CLASS_STAGES:
        # the one that goes, the one that moved, and the old span of the retimed one
        assert reports[FIRST, stage].retired == 3
        assert reports[SECOND, stage].retired == 0
        assert reports[SECOND, stage].relabelled == (stage is not Stage.VIDEOS)
        for name in ("goes", "moves", "retimed"):
            was = Clip(_clip(name), FIRST)
            assert retired_stages(layout, Split.TRAIN, was) == list(CLASS_STAGES)
    again = _run(settings, ROWS, labels=BOTH)
    assert {again[FIRST, stage].returned for stage in CLASS_STAGES} == {3}
    assert tree_lines(layout) == first
    after = clip_files(layout)
    assert {row: media(files) for row, files in after.items()} == {
        row: media(files) for row, files in before.items()
    }


def test_the_new_class_may_be_run_first(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its old class has not retired yet is taken from there, and is the same file.

    A step that would not make flow beside that of another engine takes none over either.
    """
    before = _files(settings, "moves")
    reports = _run(settings, RELABELLED, labels=(SECOND,), stages=CLASS_STAGES[:3])
    assert [report.relabelled for report in reports.values()] == [0, 1, 1]
    flow = ClassOrder(settings, Split.TRAIN, SECOND)
    with monkeypatch.context() as patched:
        patched.setattr(FlowJob, "objection", lambda *_, **__: MixedFlow("two engines"))
        with pytest.raises(MixedFlow):
            run_stage(Stage.FLOW, flow)
    folder = flow.layout.frames(Split.TRAIN, SECOND, _clip("moves"))
    assert not list(folder.glob("flow_*"))
    assert run_stage(Stage.FLOW, flow).relabelled == 1
    _run(settings, RELABELLED)
    assert media(_files(settings, "moves", RELABELLED)) == media(before)
    clip = Clip(_clip("moves"), FIRST)
    assert retired_stages(Layout.of(settings), Split.TRAIN, clip) == list(CLASS_STAGES)


def test_what_another_recipe_made_does_not_move(settings: Settings) -> None:
    """Only what would be made to the byte is taken over."""
    finer = replace(settings, resized=replace(settings.resized, crf=30))
    reports = _run(finer, RELABELLED, labels=(SECOND,), stages=FILES)
    assert reports[SECOND, Stage.RESIZED].relabelled == 0
    digests = {row.digest.partition(".")[0] for row in _rows(finer, SECOND, Stage.RESIZED).values()}
    assert len(digests) == 1


@pytest.fixture
def parted(settings: Settings) -> Parted:
    """Settings of a tree that lost a clip; the lines and the clip's files before."""
    before, files = tree_lines(Layout.of(settings)), _files(settings, "goes")
    reports = _run(settings, GONE)
    assert all(report.retired == 1 for report in reports.values())
    assert _retired(settings)
    return settings, before, files


def test_a_row_that_returns_finds_what_was_made_of_it(parted: Parted) -> None:
    """Back in the list, a clip has its old files in every stage: nothing is made again.

    The tree is the one of before to the byte, and nothing is left in `retired`.
    """
    settings, before, files = parted
    reports = _run(settings, ROWS)
    assert all((report.returned, report.changed) == (1, 1) for report in reports.values())
    assert tree_lines(Layout.of(settings)) == before
    assert media(_files(settings, "goes")) == media(files)
    assert _retired(settings) == []


def test_packed_pictures_come_back_and_move_packed(parted: Parted) -> None:
    """An archive is a file like any other: it returns, and changes its class, as it was."""
    rows: Rows = {name: ROWS[name] for name in ("goes", "moves")}
    packed = replace(parted[0], storage=StorageSettings(packing="zip"))
    _run(packed, rows)
    goes, moves = _files(packed, "goes"), _files(packed, "moves")
    _run(packed, {"moves": RELABELLED["moves"]}, labels=BOTH)
    _run(packed, {**rows, "moves": RELABELLED["moves"]})
    assert _files(packed, "goes") == goes
    assert len(moves) == len(CLASS_STAGES)
    assert _files(packed, "moves", RELABELLED) == moves


def _damage(path: Path) -> None:
    """Put another file of the same size in the place of a retired one."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.unlink()
    path.write_bytes(data)


def test_what_is_not_as_it_was_is_made_again(parted: Parted) -> None:
    """Retired files are hashed before they are used; a bad one costs its work, nothing else."""
    settings, before, _ = parted
    retired = Layout.of(settings).retired(Split.TRAIN)
    (retired / "resized" / FIRST / f"{_clip('goes').name}.mp4").unlink()
    _damage(retired / "rawframes" / FIRST / _clip("goes").name / "img_00003.jpg")
    reports = _run(settings, ROWS)
    assert [reports[FIRST, stage].returned for stage in CLASS_STAGES] == [1, 0, 0, 1]
    assert tree_lines(Layout.of(settings)) == before
    assert _retired(settings) == []


def test_a_returned_output_of_another_recipe_is_made_anew(parted: Parted) -> None:
    """What came back is asked whether it is what would be made, as everything is."""
    settings, _, _ = parted
    finer = replace(settings, resized=replace(settings.resized, crf=30))
    _run(finer, ROWS, stages=FILES)
    rows = _rows(finer, FIRST, Stage.RESIZED)
    assert {row.status for row in rows.values()} == {Status.OK}
    assert len({row.digest.partition(".")[0] for row in rows.values()}) == 1


def _kill(monkeypatch: pytest.MonkeyPatch, settings: Settings, label: str, stage: Stage) -> None:
    """Kill a step when its outputs are in place and its manifest is not."""

    def killed(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("kinetics_assets.stages.run.write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            run_stage(stage, ClassOrder(settings, Split.TRAIN, label))


def test_a_crash_before_the_manifest_puts_back_once_more(
    parted: Parted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between putting back and the manifest, the next run ends where it would have."""
    settings, before, files = parted
    _list(settings, ROWS)
    for stage in CLASS_STAGES:
        retired = _retired(settings)
        _kill(monkeypatch, settings, FIRST, stage)
        assert _retired(settings) == retired
        run_stage(stage, ClassOrder(settings, Split.TRAIN, FIRST))
    assert tree_lines(Layout.of(settings)) == before
    assert media(_files(settings, "goes")) == media(files)
    assert _retired(settings) == []


def test_what_was_put_back_for_nobody_is_retired_again(
    parted: Parted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the manifest, and the row left the list again: no file is left without a row.

    It was, as the step of a class did not write down what it puts back.
    """
    settings, *_ = parted
    gone, retired = tree_lines(Layout.of(settings)), _retired(settings)
    _run(settings, ROWS, stages=FILES)
    for stage in (Stage.RAWFRAMES, Stage.FLOW):
        _kill(monkeypatch, settings, FIRST, stage)
    _run(settings, GONE)
    assert tree_lines(Layout.of(settings)) == gone
    assert _retired(settings) == retired


def test_a_crash_while_a_clip_moves_loses_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when its files are in both classes, a clip is where the list says, and only there."""
    before, files = tree_lines(Layout.of(settings)), _files(settings, "moves")
    _run(settings, RELABELLED, labels=(SECOND,), stages=(Stage.VIDEOS,))
    for stage in CLASS_STAGES[1:]:
        _kill(monkeypatch, settings, SECOND, stage)
        if stage is not Stage.FLOW:
            run_stage(stage, ClassOrder(settings, Split.TRAIN, SECOND))
    _run(settings, ROWS, labels=BOTH)
    assert tree_lines(Layout.of(settings)) == before
    _run(settings, RELABELLED, labels=BOTH)
    assert media(_files(settings, "moves", RELABELLED)) == media(files)

"""A list that changed: the tree becomes the one that the new list alone would have made."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId, Split
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
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.report import StageReport
from kinetics_assets.stages.run import run_stage
from kinetics_assets.verify.tree import tree_lines

FIRST, SECOND = "abseiling", "zumba"
ROWS: Mapping[str, tuple[str, int]] = {
    "stays": (FIRST, 0),
    "goes": (FIRST, 0),
    "moves": (FIRST, 0),
    "retimed": (FIRST, 0),
    "other": (SECOND, 0),
}
"""What becomes of a clip -> its class and its start in the first list."""
GONE = {"stays": ROWS["stays"]}
BACK = {**GONE, "goes": ROWS["goes"]}
FILES = (Stage.VIDEOS, Stage.RESIZED)
"""Stages that the tests of whole trees run; the other two hang on them in the same way."""
CHANGED = {
    **{name: ROWS[name] for name in ("stays", "other")},
    "moves": (SECOND, 0),
    "retimed": (FIRST, 1),
    "comes": (SECOND, 1),
}


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


def _clip(name: str, rows: Mapping[str, tuple[str, int]] = ROWS) -> ClipId:
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


def _run(
    settings: Settings,
    rows: Mapping[str, tuple[str, int]],
    *,
    labels: tuple[str, ...] = (FIRST,),
    stages: tuple[Stage, ...] = CLASS_STAGES,
) -> dict[tuple[str, Stage], StageReport]:
    """Make `rows` the list and run stages of classes; return the reports."""
    lines = ["label,youtube_id,time_start,time_end,split"]
    lines += [
        f"{label},{_id(name)},{start},{start + 1},train" for name, (label, start) in rows.items()
    ]
    Path(settings.annotations.source).write_text("\n".join([*lines, ""]))
    run_annotations(settings)
    return {
        (label, stage): run_stage(stage, ClassOrder(settings, Split.TRAIN, label))
        for label in labels
        for stage in stages
    }


def _rows(settings: Settings, label: str, stage: Stage) -> dict[ClipId, ManifestRow]:
    """Return the manifest of a class."""
    return {row.clip: row for row in read_manifest(Layout.of(settings), Split.TRAIN, stage, label)}


def _inodes(settings: Settings, label: str, clip: ClipId) -> dict[str, int]:
    """Return path -> inode of every public file of a clip."""
    base = Layout.of(settings).base
    files: dict[str, int] = {}
    for stage in CLASS_STAGES:
        rows = _rows(settings, label, stage)
        if not rows:
            continue
        row = rows[clip]
        assert row.status is Status.OK
        path = base / row.path
        for file in [path] if path.is_file() else sorted(path.iterdir()):
            files[str(file.relative_to(base))] = file.stat().st_ino
    return files


def _retired(settings: Settings) -> list[str]:
    """Return the names of all files and rows that are retired."""
    folder = Layout.of(settings).retired(Split.TRAIN)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def first_tree(tmp_path_factory: pytest.TempPathFactory, videos: Path) -> Path:
    """Folder of a root with videos of both classes of the first list."""
    folder = tmp_path_factory.mktemp("first")
    _run(_settings(folder, videos), ROWS, labels=(FIRST, SECOND), stages=FILES)
    return folder


@pytest.fixture(scope="session")
def second_tree(tmp_path_factory: pytest.TempPathFactory, videos: Path) -> list[str]:
    """Lines of the tree that the second list alone makes."""
    settings = _settings(tmp_path_factory.mktemp("second"), videos)
    _run(settings, CHANGED, labels=(FIRST, SECOND), stages=FILES)
    return tree_lines(Layout.of(settings))


@pytest.fixture
def settings(first_tree: Path, videos: Path, tmp_path: Path) -> Settings:
    """Settings of a copy of the first tree."""
    subprocess.run(["cp", "-a", f"{first_tree}/.", str(tmp_path)], check=True)
    return _settings(tmp_path, videos)


@pytest.fixture(scope="session")
def whole_class(tmp_path_factory: pytest.TempPathFactory, videos: Path) -> Path:
    """Folder of a root with all stages of one class."""
    folder = tmp_path_factory.mktemp("class")
    _run(_settings(folder, videos), BACK)
    return folder


@pytest.mark.parametrize(
    "order", [(FIRST, SECOND), (SECOND, FIRST)], ids=["old-first", "new-first"]
)
def test_a_changed_list_leads_to_the_tree_of_the_new_list(
    settings: Settings, second_tree: list[str], order: tuple[str, ...]
) -> None:
    """A row that goes, one that comes, one with another label, one with another span.

    Clips whose rows stay keep their very files, and so does the video of the relabelled one; the
    order in which the classes are run does not matter.
    """
    stays = _inodes(settings, FIRST, _clip("stays"))
    other = _inodes(settings, SECOND, _clip("other"))
    moved = _rows(settings, FIRST, Stage.VIDEOS)[_clip("moves")]
    video = (Layout.of(settings).base / moved.path).stat().st_ino
    reports = _run(settings, CHANGED, labels=order, stages=FILES)
    assert tree_lines(Layout.of(settings)) == second_tree
    assert _inodes(settings, FIRST, _clip("stays")) == stays
    assert _inodes(settings, SECOND, _clip("other")) == other
    now = _rows(settings, SECOND, Stage.VIDEOS)[_clip("moves")]
    assert (Layout.of(settings).base / now.path).stat().st_ino == video
    assert now.source == moved.source == "local"
    # the one that goes, the one that moved, and the old span of the retimed one
    assert reports[FIRST, Stage.VIDEOS].retired == 3
    assert reports[SECOND, Stage.VIDEOS].retired == 0


@pytest.fixture
def parted(
    whole_class: Path, videos: Path, tmp_path: Path
) -> tuple[Settings, list[str], dict[str, int]]:
    """Settings of a tree that lost a clip; the lines and the clip's files before."""
    subprocess.run(["cp", "-a", f"{whole_class}/.", str(tmp_path)], check=True)
    settings = _settings(tmp_path, videos)
    layout = Layout.of(settings)
    before, files = tree_lines(layout), _inodes(settings, FIRST, _clip("goes"))
    reports = _run(settings, GONE)
    assert all(report.retired == 1 for report in reports.values())
    assert _retired(settings)
    return settings, before, files


Parted = tuple[Settings, list[str], dict[str, int]]


def test_a_row_that_returns_finds_what_was_made_of_it(parted: Parted) -> None:
    """Back in the list, a clip has its old files in every stage: nothing is made again.

    The tree is the one of before to the byte, and nothing is left in `retired`.
    """
    settings, before, files = parted
    reports = _run(settings, BACK)
    assert all((report.returned, report.changed) == (1, 1) for report in reports.values())
    assert tree_lines(Layout.of(settings)) == before
    now = _inodes(settings, FIRST, _clip("goes"))
    media = {name for name in files if not name.endswith(".json")}
    assert {name: now[name] for name in media} == {name: files[name] for name in media}
    assert _retired(settings) == []


def test_packed_pictures_come_back_packed(parted: Parted) -> None:
    """An archive is a file like any other, and returns as it was."""
    packed = replace(parted[0], storage=StorageSettings(packing="zip"))
    _run(packed, BACK)
    before, files = tree_lines(Layout.of(packed)), _inodes(packed, FIRST, _clip("goes"))
    _run(packed, GONE)
    reports = _run(packed, BACK)
    assert all((report.returned, report.changed) == (1, 1) for report in reports.values())
    assert tree_lines(Layout.of(packed)) == before
    assert _inodes(packed, FIRST, _clip("goes")) == files


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
    reports = _run(settings, BACK)
    assert {stage: report.returned for (_, stage), report in reports.items()} == {
        Stage.VIDEOS: 1,
        Stage.RESIZED: 0,
        Stage.RAWFRAMES: 0,
        Stage.FLOW: 1,
    }
    assert tree_lines(Layout.of(settings)) == before
    assert _retired(settings) == []


def test_a_returned_output_of_another_recipe_is_made_anew(parted: Parted) -> None:
    """What came back is asked whether it is what would be made, as everything is."""
    settings, _, _ = parted
    finer = replace(settings, resized=replace(settings.resized, crf=30))
    _run(finer, BACK)
    rows = _rows(finer, FIRST, Stage.RESIZED)
    assert {row.status for row in rows.values()} == {Status.OK}
    assert len({row.digest.partition(".")[0] for row in rows.values()}) == 1


def test_a_crash_before_the_manifest_puts_back_once_more(
    parted: Parted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between putting back and the manifest, the next run ends where it would have."""
    settings, before, _ = parted
    retired = _retired(settings)

    def killed(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("kinetics_assets.stages.run.write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            _run(settings, BACK)
    assert _retired(settings) == retired
    _run(settings, BACK)
    assert tree_lines(Layout.of(settings)) == before
    assert _retired(settings) == []

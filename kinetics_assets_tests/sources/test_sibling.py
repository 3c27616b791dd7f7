"""Clips that another dataset, or another class, has already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import NotAtSource
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import ManifestRow, Status, encode_manifest
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import (
    AnnotationSettings,
    Limits,
    Settings,
    SourceSettings,
    VideoRecipe,
)
from kinetics_assets.core.stages import Stage
from kinetics_assets.io import clip_labels
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.sources import sibling
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.sibling import SiblingSource
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.report import StageReport
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.servers import FaultServer

OLD, NEW = "abseiling", "zumba"
SHARED = ("-aaaaaaaaaa", "bbbbbbbbbbb")
FRESH = "ccccccccccc"
LONG = "ddddddddddd"
Rows = list[tuple[str, str, int]]
"""(label, youtube id, start second); every clip lasts two seconds."""


@dataclass(frozen=True)
class World:
    """A root, a server that has every video, and a way to run one class of a dataset."""

    root: Path
    server: FaultServer

    def settings(self, dataset: str, trim_crf: int = 23) -> Settings:
        """Return settings under which clips come from siblings, then from the server."""
        return Settings(
            root=self.root,
            dataset=dataset,
            annotations=AnnotationSettings(source=str(self.root / f"{dataset}.lists")),
            videos=VideoRecipe(trim_crf=trim_crf),
            sources=SourceSettings(
                order=("siblings", "youtube"),
                youtube_url=self.server.url("/{id}.mp4"),
                youtube_extractors=("generic",),
                youtube_canaries=(),
                youtube_interval_seconds=0,
                loopback_hosts=(self.server.host,),
                connections=2,
            ),
            limits=Limits(min_free_bytes=0, workers=1),
        )

    def annotate(self, dataset: str, rows: Rows, *, split: Split = Split.TRAIN) -> None:
        """Make `rows` the current list of a split."""
        folder = self.root / f"{dataset}.lists"
        folder.mkdir(exist_ok=True)
        lines = [f"{label},{video},{at},{at + 2},{split}\n" for label, video, at in rows]
        for other in (Split.TRAIN, Split.VAL):
            path = folder / f"{other}.csv"
            if other is split or not path.exists():
                text = "".join(lines) if other is split else f"zumba,zzzzzzzzzzz,0,2,{other}\n"
                path.write_text(f"label,youtube_id,time_start,time_end,split\n{text}")
        run_annotations(self.settings(dataset))

    def run(
        self, dataset: str, label: str = OLD, *, split: Split = Split.TRAIN, trim_crf: int = 23
    ) -> StageReport:
        """Return the report of the videos of one class."""
        order = ClassOrder(self.settings(dataset, trim_crf=trim_crf), split, label)
        return run_stage(Stage.VIDEOS, order)

    def asked(self) -> set[str]:
        """Return the videos that the server was asked for, and forget them."""
        paths = {request.path.strip("/").removesuffix(".mp4") for request in self.server.requests}
        self.server.requests.clear()
        return paths

    def inode(self, dataset: str, row: ManifestRow) -> int:
        """Return which file on the disk an ok row has."""
        return (Layout(self.root, dataset, "").base / row.path).stat().st_ino


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Three videos of two seconds, and one of five."""
    folder = tmp_path_factory.mktemp("videos")
    files = {}
    for number, name in enumerate((*SHARED, FRESH, LONG)):
        frames = 125 if name == LONG else 50 + number
        path = media.plain(folder / f"{number}.mp4", frames=frames, width_px=64)
        files[f"/{name}.mp4"] = path.read_bytes()
    return files


@pytest.fixture
def world(tmp_path: Path, videos: dict[str, bytes]) -> Iterator[World]:
    """An empty root, and a server."""
    root = tmp_path / "root"
    root.mkdir()
    with FaultServer(files=dict(videos)) as server:
        yield World(root, server)


def _rows(report: StageReport) -> dict[str, ManifestRow]:
    """Return youtube id -> row."""
    return {row.clip.youtube_id: row for row in report.rows}


def test_600_and_700_download_nothing_that_400_has(world: World) -> None:
    """Shared clips are the same inode and cost no request; only the new clip is asked for."""
    world.annotate("kinetics400", [(OLD, video, 0) for video in SHARED])
    first = _rows(world.run("kinetics400"))
    assert world.asked() == set(SHARED)
    for dataset, label, split in (
        ("kinetics600", OLD, Split.TRAIN),
        ("kinetics700", NEW, Split.VAL),
    ):
        world.annotate(dataset, [(label, v, 0) for v in (*SHARED, FRESH)], split=split)
        rows = _rows(world.run(dataset, label, split=split))
        assert {row.status for row in rows.values()} == {Status.OK}
        for video in SHARED:
            assert rows[video].source == "siblings"
            assert rows[video].sha256 == first[video].sha256
            assert world.inode(dataset, rows[video]) == world.inode("kinetics400", first[video])
        assert world.asked() == ({FRESH} if dataset == "kinetics600" else set())


def test_a_cut_clip_is_taken_under_its_recipe_only(world: World) -> None:
    """A clip that 400 cut is linked if 600 would cut it alike, and asked for anew if not."""
    world.annotate("kinetics400", [(OLD, LONG, 1)])
    world.run("kinetics400")
    world.annotate("kinetics600", [(OLD, LONG, 1)])
    world.annotate("kinetics700", [(OLD, LONG, 1)])
    world.asked()
    (other,) = world.run("kinetics600", trim_crf=40).rows
    assert (other.source, world.asked()) == ("youtube", {LONG})
    assert any("another recipe" in trial.text for trial in other.tried)
    (alike,) = world.run("kinetics700").rows
    (cut,) = read_manifest(Layout(world.root, "kinetics400", ""), Split.TRAIN, Stage.VIDEOS, OLD)
    assert (alike.source, world.asked()) == ("siblings", set())
    assert alike.digest == cut.digest
    assert world.inode("kinetics700", alike) == world.inode("kinetics400", cut)


def test_another_span_of_the_video_is_no_sibling(world: World) -> None:
    """Only the same start and end are the same clip."""
    world.annotate("kinetics400", [(OLD, LONG, 1)])
    world.run("kinetics400")
    world.annotate("kinetics600", [(OLD, LONG, 2)])
    world.asked()
    (row,) = world.run("kinetics600").rows
    assert (row.source, world.asked()) == ("youtube", {LONG})


@pytest.mark.parametrize("retired_first", [True, False])
def test_a_relabelled_clip_goes_to_its_new_class(world: World, *, retired_first: bool) -> None:
    """Whether the old class has retired it or not, the new one takes it without a request.

    It is said to be from where it came in the first place, as if the new list had been the first.
    """
    video = SHARED[0]
    world.annotate("kinetics400", [(OLD, video, 0), (OLD, FRESH, 0)])
    before = world.inode("kinetics400", _rows(world.run("kinetics400"))[video])
    world.annotate("kinetics400", [(NEW, video, 0), (OLD, FRESH, 0)])
    world.asked()
    labels = (OLD, NEW) if retired_first else (NEW, OLD)
    reports = {label: world.run("kinetics400", label) for label in labels}
    assert reports[OLD].retired == 1
    (row,) = reports[NEW].rows
    assert (row.status, row.source, world.asked()) == (Status.OK, "youtube", set())
    assert world.inode("kinetics400", row) == before
    retired = Layout(world.root, "kinetics400", "").retired_class(Split.TRAIN, Stage.VIDEOS, OLD)
    assert [path.stat().st_ino for path in retired.iterdir()] == [before]


def test_a_row_that_comes_back_is_taken_from_the_retired(world: World) -> None:
    """An edition without a clip, then one with it again: the file was kept."""
    both = [(OLD, SHARED[0], 0), (OLD, FRESH, 0)]
    for rows in (both, both[:1], both):
        world.annotate("kinetics400", rows)
        report = world.run("kinetics400")
    assert (_rows(report)[FRESH].source, report.returned) == ("youtube", 1)


@pytest.mark.parametrize("damage", ["changed", "gone", "manifest"])
def test_a_damaged_sibling_is_passed_over(world: World, damage: str) -> None:
    """Other bytes than recorded, no file, no readable manifest: the clip is got elsewhere."""
    world.annotate("kinetics400", [(OLD, FRESH, 0)])
    (had,) = world.run("kinetics400").rows
    layout = Layout(world.root, "kinetics400", "")
    path = layout.base / had.path
    if damage == "changed":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "gone":
        path.unlink()
    else:
        layout.manifest(Split.TRAIN, Stage.VIDEOS, OLD).write_bytes(b"PAR1 no more")
    world.annotate("kinetics600", [(OLD, FRESH, 0)])
    world.asked()
    (row,) = world.run("kinetics600").rows
    assert (row.status, row.source, world.asked()) == (Status.OK, "youtube", {FRESH})
    assert row.sha256 == had.sha256
    assert [trial.reason for trial in row.tried] == [Reason.NOT_AT_SOURCE]


def test_only_ok_rows_are_offered(world: World, tmp_path: Path) -> None:
    """A row that is not ok, and one's own row, are no sibling."""
    world.annotate("kinetics400", [(OLD, FRESH, 0)])
    (row,) = world.run("kinetics400").rows
    layout = Layout(world.root, "kinetics400", "")
    own = SiblingSource(layout, Split.TRAIN)
    assert isinstance(_fetch(own, row.clip, tmp_path), NotAtSource)
    other = Layout(world.root, "kinetics700", "")
    assert isinstance(_fetch(SiblingSource(other, Split.TRAIN), row.clip, tmp_path), Found)
    pending = replace(row, status=Status.PENDING)
    path = layout.manifest(Split.TRAIN, Stage.VIDEOS, OLD)
    path.write_bytes(encode_manifest([pending]))
    assert isinstance(_fetch(SiblingSource(other, Split.TRAIN), row.clip, tmp_path), NotAtSource)


def test_a_file_that_is_retired_while_it_is_looked_for_is_found(
    world: World, tmp_path: Path
) -> None:
    """A step that knew the old place looks at the new one, and what it got stays its own."""
    world.annotate("kinetics400", [(OLD, FRESH, 0), (OLD, SHARED[0], 0)])
    row = _rows(world.run("kinetics400"))[FRESH]
    source = SiblingSource(Layout(world.root, "kinetics600", ""), Split.TRAIN)
    first = _fetch(source, row.clip, tmp_path)
    world.annotate("kinetics400", [(OLD, SHARED[0], 0)])
    world.run("kinetics400")
    second = _fetch(source, row.clip, tmp_path)
    assert isinstance(first, Found)
    assert isinstance(second, Found)
    assert (first.address.split("/")[1], second.address.split("/")[1]) == (
        "videos_train",
        "retired",
    )
    assert first.path.samefile(second.path)


def test_lists_and_manifests_are_read_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class of any size costs one look at the lists and one reading of each manifest."""
    world.annotate("kinetics400", [(OLD, video, 0) for video in SHARED])
    rows = world.run("kinetics400").rows
    world.annotate("kinetics600", [(OLD, video, 0) for video in SHARED])
    looks: list[object] = []
    readings: list[object] = []

    def counted_look(root: Path, ids: set[str]) -> object:
        looks.append(ids)
        return clip_labels.labels_of(root, ids)

    def counted_reading(*arguments: object) -> list[ManifestRow]:
        readings.append(arguments)
        return read_manifest(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(sibling, "labels_of", counted_look)
    monkeypatch.setattr(sibling, "read_known", counted_reading)
    source = SiblingSource(Layout(world.root, "kinetics600", ""), Split.TRAIN)
    for _ in range(3):
        for row in rows:
            assert isinstance(_fetch(source, row.clip, tmp_path), Found)
    assert (len(looks), len(readings)) == (1, 1)


def _fetch(source: SiblingSource, clip: ClipId, scratch: Path) -> object:
    """Return the answer for one clip of the old class."""
    return source.fetch([clip], label=OLD, scratch=scratch)[clip]

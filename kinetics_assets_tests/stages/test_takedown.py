"""Tests of taking clips down: no byte stays, the rows do, and nothing brings it back unasked."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import InputError, SettingsError
from kinetics_assets.core.filelists import ListKind
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import (
    AnnotationSettings,
    FrameRecipe,
    Limits,
    ListSettings,
    ResizeRecipe,
    Settings,
    SourceSettings,
    StorageSettings,
)
from kinetics_assets.core.stages import CLASS_STAGES, Stage
from kinetics_assets.demo.clips import DemoClip, annotation_lists
from kinetics_assets.io.journal import Journal
from kinetics_assets.io.locks import exclusive
from kinetics_assets.io.manifests import read_known, read_manifest
from kinetics_assets.io.takedowns import FILE_NAME, read_takedowns
from kinetics_assets.stages import takedown as takedown_module
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.filelists import run_filelists
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.retire import read_retired
from kinetics_assets.stages.run import run_stage
from kinetics_assets.stages.takedown import Outcome, Scope, restore, take_down
from kinetics_assets.verify import verify_dataset
from kinetics_assets_tests.processes import until
from kinetics_assets_tests.trees import files_and_times, public_files

OTHER = "kinetics400"
LABEL = "abseiling"


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


@pytest.fixture
def frames_elsewhere(datasets: list[Settings]) -> Path:
    """The folder that stands for another disk."""
    folder = datasets[1].storage.rawframes_folder
    assert folder is not None
    return folder


def settings_in(folder: Path, local: Path) -> list[Settings]:
    """Return the settings of the two datasets in a folder."""
    first = Settings(
        root=folder / "root",
        dataset="demo",
        annotations=AnnotationSettings(source=str(folder / "demo lists")),
        sources=SourceSettings(order=("local",), local_folders=(local,), connections=2),
        resized=ResizeRecipe(short_side_px=64),
        rawframes=FrameRecipe(size="64"),
        filelists=ListSettings(min_share=0.0),
        limits=Limits(workers=2, min_free_bytes=0),
    )
    second = replace(
        first,
        dataset=OTHER,
        annotations=AnnotationSettings(source=str(folder / "train.csv")),
        sources=SourceSettings(order=("siblings",)),
        storage=StorageSettings(rawframes_folder=folder / "other disk"),
    )
    return [first, second]


def order_of(settings: Settings) -> ClassOrder:
    """Return the class that the tests work on."""
    return ClassOrder(settings, Split.TRAIN, LABEL)


def rows_of(settings: Settings, stage: Stage) -> dict[ClipId, ManifestRow]:
    """Return the rows of a manifest."""
    return {r.clip: r for r in read_manifest(Layout.of(settings), Split.TRAIN, stage, LABEL)}


def ok_clip(settings: Settings) -> ClipId:
    """Return a clip that is there."""
    rows = rows_of(settings, Stage.VIDEOS)
    return next(clip for clip, row in rows.items() if row.status is Status.OK)


def taken(datasets: list[Settings], *what: str, dataset: str = "") -> Outcome:
    """Take clips down."""
    concerned = [one for one in datasets if dataset in {"", one.dataset}]
    scope = Scope(datasets[0].root, concerned, frozenset(what), dataset)
    return take_down(scope, reason="asked", tell=lambda _: None)


def left_of(folder: Path, clip: ClipId) -> list[Path]:
    """Return what is called like the clip below `folder`."""
    return sorted(folder.rglob(f"{clip.name}*"))


def test_no_name_of_the_bytes_stays_in_any_dataset(
    datasets: list[Settings], frames_elsewhere: Path
) -> None:
    """Videos, resized, frames on another disk, store, torrent, temporary and odd names all go."""
    first, second = (Layout.of(one) for one in datasets)
    clip = ok_clip(datasets[0])
    video = first.base / rows_of(datasets[0], Stage.VIDEOS)[clip].path
    assert video.samefile(second.base / rows_of(datasets[1], Stage.VIDEOS)[clip].path)
    assert left_of(frames_elsewhere, clip), "the fixture put no frames on the other disk"
    (first.base / "mirror/files/train/part_0").mkdir(parents=True)
    (second.base / ".torrents/abc").mkdir(parents=True)
    (first.base / "videos_train_320p_cache" / LABEL).mkdir(parents=True)
    (video.parent / ".tmp-videos-999999999-ab.mp4").hardlink_to(video)
    (first.base / "mirror/files/train/.tmp-unpack-999999999-ab").mkdir()
    for name in (
        first.base / f"mirror/files/train/part_0/{clip.name}.mp4",
        first.base / "mirror/files/train/part_0/000123.bin",
        first.base / f"mirror/files/train/.tmp-unpack-999999999-ab/{clip.name}.mp4",
        first.base / f"videos_train_320p_cache/{LABEL}/{clip.name}.mkv",
        second.base / f".torrents/abc/{clip.youtube_id}.webm",
        first.root / "my copy.mp4",
    ):
        name.hardlink_to(video)
    data = video.read_bytes()
    others = {
        name: content
        for name, content in public_files(first.base).items()
        if clip.name not in name and name.startswith(("videos_train/", "rawframes"))
    }
    outcome = taken(datasets, clip.name)
    assert not outcome.left.found
    assert not left_of(first.root, clip)
    assert not left_of(frames_elsewhere, clip)
    assert not [p for p in first.root.rglob("*") if p.is_file() and p.read_bytes() == data]
    now = public_files(first.base)
    assert others
    assert {name: now.get(name) for name in others} == others


def test_rows_stay_and_everything_agrees(datasets: list[Settings]) -> None:
    """Each manifest keeps the row as skipped, the retired one what it was; lists are shorter."""
    clip = ok_clip(datasets[0])
    before = {one.dataset: {s: rows_of(one, s) for s in CLASS_STAGES} for one in datasets}
    lines = {one.dataset: _list_lines(one) for one in datasets}
    outcome = taken(datasets, clip.name)
    assert outcome.rows == len(datasets) * len(CLASS_STAGES)
    assert outcome.lines == len(datasets) * len(ListKind)
    for one in datasets:
        layout = Layout.of(one)
        for stage in CLASS_STAGES:
            after = rows_of(one, stage)
            assert after.keys() == before[one.dataset][stage].keys()
            row = after[clip]
            assert (row.status, row.reason) == (Status.SKIPPED, Reason.TAKEN_DOWN)
            assert row.reason_text.endswith(": asked")
            path = layout.retired_manifest(Split.TRAIN, stage, LABEL)
            (kept,) = [row for row in read_retired(path) if row.clip == clip]
            assert kept.status is Status.SKIPPED
            assert kept.sha256 == before[one.dataset][stage][clip].sha256 != ""
            assert {c: r for c, r in after.items() if c != clip} == {
                c: r for c, r in before[one.dataset][stage].items() if c != clip
            }
        assert _list_lines(one) == {kind: n - 1 for kind, n in lines[one.dataset].items()}
        report = verify_dataset(one)
        assert report.is_clean, report.findings


def test_a_video_stands_for_all_its_clips(datasets: list[Settings]) -> None:
    """Taken down by its id, every clip of it goes, those of later lists included."""
    clip = ok_clip(datasets[0])
    taken(datasets, clip.youtube_id)
    assert not left_of(datasets[0].root, clip)
    known = read_takedowns(datasets[0].root)
    assert known.entry_of("kinetics700", replace(clip, end_seconds=99))
    assert not known.entry_of(OTHER, replace(clip, youtube_id="AAAAAAAAAAA"))


def test_no_later_run_brings_it_back(datasets: list[Settings]) -> None:
    """Its source still has it; steps skip it, change nothing else, and `retry_now` is no way in."""
    clip = ok_clip(datasets[0])
    taken(datasets, clip.name)
    before = files_and_times(datasets[0].root)
    for one in datasets:
        for stage in CLASS_STAGES:
            assert not run_stage(stage, order_of(one)).changed
            run_stage(stage, order_of(one), retry_now=True)
        run_filelists(one, Split.TRAIN)
    assert not left_of(datasets[0].root, clip)
    assert {n for n in files_and_times(datasets[0].root) if "manifests" not in n} == {
        n for n in before if "manifests" not in n
    }


def test_restored_clips_come_back_by_the_next_run(datasets: list[Settings]) -> None:
    """Without the record the rows are due again, and the tree is as it was."""
    clip = ok_clip(datasets[0])
    trees = [_public(one) for one in datasets]
    taken(datasets, clip.name)
    restore(datasets[0].root, [clip.name], dataset="")
    for one in datasets:
        for stage in CLASS_STAGES:
            run_stage(stage, order_of(one))
        run_filelists(one, Split.TRAIN)
    assert [_public(one) for one in datasets] == trees


def test_a_second_time_changes_no_byte(datasets: list[Settings]) -> None:
    """The same takedown again finds nothing to do."""
    clip = ok_clip(datasets[0])
    taken(datasets, clip.name)
    before = files_and_times(datasets[0].root)
    outcome = taken(datasets, clip.name)
    assert (outcome.deleted, outcome.rows, outcome.lines) == ([], 0, 0)
    assert files_and_times(datasets[0].root) == before


@pytest.mark.parametrize("after", [0, 1, 2, 4, 6])
def test_the_same_command_finishes_after_a_crash(
    datasets: list[Settings], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Killed before its n-th deletion, it ends in the state of an undisturbed takedown."""
    clip = ok_clip(datasets[0])
    odd = datasets[0].root / "odd name.mp4"
    odd.hardlink_to(Layout.of(datasets[0]).base / rows_of(datasets[0], Stage.VIDEOS)[clip].path)
    sha256 = rows_of(datasets[0], Stage.FLOW)[clip].sha256
    delete, count = takedown_module._delete, [0]

    def dies(*arguments: object) -> None:
        if count[0] == after:
            raise KeyboardInterrupt
        count[0] += 1
        delete(*arguments)  # type: ignore[arg-type]  # handed through

    with monkeypatch.context() as patch:
        patch.setattr(takedown_module, "_delete", dies)
        with pytest.raises(KeyboardInterrupt):
            taken(datasets, clip.name)
    assert read_takedowns(datasets[0].root).entries
    taken(datasets, clip.name)
    assert not left_of(datasets[0].root, clip)
    assert not odd.exists()
    for one in datasets:
        assert verify_dataset(one).is_clean
    path = Layout.of(datasets[0]).retired_manifest(Split.TRAIN, Stage.FLOW, LABEL)
    assert [row.sha256 for row in read_retired(path) if row.clip == clip] == [sha256]


def test_one_dataset_alone(datasets: list[Settings]) -> None:
    """The other one keeps its file, is told of, and the record holds for the one only."""
    clip = ok_clip(datasets[0])
    outcome = taken(datasets, clip.name, dataset=OTHER)
    first, second = (Layout.of(one) for one in datasets)
    assert left_of(first.base, clip)
    assert not left_of(second.base, clip)
    assert outcome.elsewhere
    known = read_takedowns(first.root)
    assert known.entry_of(OTHER, clip)
    assert not known.entry_of("demo", clip)
    assert all(verify_dataset(one).is_clean for one in datasets)


def test_links_out_of_the_root_are_not_followed(datasets: list[Settings], tmp_path: Path) -> None:
    """A folder behind a link of the user's own is left alone and told of; so are outer names."""
    clip = ok_clip(datasets[0])
    layout = Layout.of(datasets[0])
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / f"{clip.name}.mp4").write_bytes(b"theirs")
    (layout.base / "theirs").symlink_to(outside)
    video = layout.base / rows_of(datasets[0], Stage.VIDEOS)[clip].path
    (outside / "outer name.mp4").hardlink_to(video)
    outcome = taken(datasets, clip.name)
    assert (outside / f"{clip.name}.mp4").read_bytes() == b"theirs"
    assert (outside / "outer name.mp4").exists()
    assert outcome.left.not_followed == [layout.base / "theirs"]
    assert sum(outcome.elsewhere.values()) == 1


def test_a_killed_step_is_no_way_back(datasets: list[Settings]) -> None:
    """Its journal, newer than the manifest, says taken down too."""
    clip = ok_clip(datasets[0])
    layout = Layout.of(datasets[0])
    row = rows_of(datasets[0], Stage.VIDEOS)[clip]
    path = layout.journal(Split.TRAIN, Stage.VIDEOS, LABEL)
    with Journal(path) as journal:
        journal.append(row)
    taken(datasets, clip.name)
    known = read_known(layout, Split.TRAIN, Stage.VIDEOS, LABEL)
    assert [r.reason for r in known if r.clip == clip] == [Reason.TAKEN_DOWN]


def test_a_step_at_work_is_waited_for(
    datasets: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a step holds its class, no file of the class is touched; it is told who is waited for.

    Cause: deleting a file that a step is about to publish or read would be a crash of that step.
    """
    clip = ok_clip(datasets[0])
    layout = Layout.of(datasets[0])
    said: list[str] = []
    waits = threading.Event()
    scope = Scope(datasets[0].root, datasets, frozenset({clip.name}))

    @contextmanager
    def watched(path: Path, *, wait: bool, what: str = "") -> Iterator[None]:
        if wait:
            waits.set()  # from here on it cannot go on before the lock is free
        with exclusive(path, wait=wait, what=what):
            yield

    def work() -> None:
        take_down(scope, reason="", tell=said.append)

    monkeypatch.setattr(takedown_module, "exclusive", watched)
    thread = threading.Thread(target=work)
    with exclusive(layout.lock(Split.TRAIN, Stage.FLOW, LABEL), wait=True):
        thread.start()
        until(lambda: waits.is_set() or not thread.is_alive(), "the takedown to wait")
        assert thread.is_alive()
        assert left_of(layout.base, clip)
    thread.join()
    assert not left_of(layout.base, clip)
    assert str(os.getpid()) in said[0]


def test_an_archive_in_hand_is_told_of(datasets: list[Settings]) -> None:
    """It may hold the clip and its process may not know yet; that is said, not waited for."""
    layout = Layout.of(datasets[0])
    free, held = (layout.mirror_lock(Split.TRAIN, name) for name in ("part_0", "part_1"))
    with exclusive(free, wait=True):
        pass
    with exclusive(held, wait=True):
        (told,) = taken(datasets, ok_clip(datasets[0]).name).at_work
    assert "part_1" in told
    assert str(os.getpid()) in told


def test_a_damaged_record_stops_every_step(order: ClassOrder) -> None:
    """Nothing is fetched while it is not known what must not be."""
    (order.settings.root / FILE_NAME).write_text('{"version": 1, "takedowns": [{"what": "x"}]}')
    with pytest.raises(SettingsError, match="cannot be understood"):
        run_stage(Stage.VIDEOS, order)
    assert not list(order.layout.base.rglob("*.mp4"))


def test_only_what_was_recorded_can_be_restored(datasets: list[Settings]) -> None:
    """A clip of a video that was taken down as a whole is not restored alone."""
    clip = ok_clip(datasets[0])
    taken(datasets, clip.youtube_id)
    with pytest.raises(InputError, match="not recorded") as caught:
        restore(datasets[0].root, [clip.name], dataset="")
    assert clip.youtube_id in caught.value.remedy
    with pytest.raises(InputError, match="not recorded"):
        restore(datasets[0].root, [clip.youtube_id], dataset=OTHER)


def _public(settings: Settings) -> dict[str, bytes]:
    """Return what a trainer may read of a dataset."""
    files = public_files(Layout.of(settings).base)
    return {name: data for name, data in files.items() if not name.startswith("retired")}


def _list_lines(settings: Settings) -> dict[ListKind, int]:
    """Return the length of each list; both of its forms agree."""
    layout = Layout.of(settings)
    lines = {}
    for kind in ListKind:
        text = layout.filelist(Split.TRAIN, kind).read_text()
        records = json.loads(layout.filelist(Split.TRAIN, kind, suffix=".json").read_text())
        assert len(records) == text.count("\n")
        lines[kind] = len(records)
    return lines

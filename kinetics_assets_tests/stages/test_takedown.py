"""Tests of taking clips down: no byte stays, the rows do, and nothing brings it back unasked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InputError, SettingsError
from kinetics_assets.core.filelists import REQUIRED_KINDS, ListKind
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import CLASS_STAGES, Stage
from kinetics_assets.io.takedowns import FILE_NAME, read_takedowns
from kinetics_assets.stages.filelists import run_filelists
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.retire import read_retired
from kinetics_assets.stages.run import run_stage
from kinetics_assets.stages.takedown import restore
from kinetics_assets.verify import verify_dataset
from kinetics_assets_tests.stages.taken_down import (
    LABEL,
    OTHER,
    left_of,
    ok_clip,
    order_of,
    rows_of,
    taken,
)
from kinetics_assets_tests.trees import files_and_times, public_files


@pytest.fixture
def frames_elsewhere(datasets: list[Settings]) -> Path:
    """The folder that stands for another disk."""
    folder = datasets[1].storage.rawframes_folder
    assert folder is not None
    return folder


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
    assert outcome.lines == len(datasets) * len(REQUIRED_KINDS)
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
    for kind in REQUIRED_KINDS:
        text = layout.filelist(Split.TRAIN, kind).read_text()
        records = json.loads(layout.filelist(Split.TRAIN, kind, suffix=".json").read_text())
        assert len(records) == text.count("\n")
        lines[kind] = len(records)
    return lines

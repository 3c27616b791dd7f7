"""Tests of sound and its features: made where there is sound, and nothing held back where not."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import (
    AnnotationSettings,
    AudioRecipe,
    Limits,
    Settings,
    SourceSettings,
)
from kinetics_assets.core.stages import CLASS_STAGES, SOUND_STAGES, Stage
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.missing import select_classes
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.plan_runs import plan_class
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets.stages.selection import Choice
from kinetics_assets.stages.status import read_status
from kinetics_assets.verify import verify_dataset
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.trees import files_and_times

LABEL = "massaging person's head"
CHAIN = (Stage.VIDEOS, *SOUND_STAGES)
IDS = ("-tone_aac_1", "tone_flac_2", "no_sound__3", "truncated_4")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with two clips that have sound, one that has none, and one that is damaged."""
    folder = tmp_path_factory.mktemp("pool") / "clips"
    folder.mkdir()
    with_tone, with_flac, silent, damaged = (folder / f"{name}_000000_000001.mp4" for name in IDS)
    media.with_audio(with_tone, frames=25)
    media.with_audio(with_flac, codec="mp3", frames=25)
    media.plain(silent, frames=25)
    shutil.copy(media.truncated(folder.parent / "cut.mp4"), damaged)
    return folder


def order_in(folder: Path, pool: Path) -> ClassOrder:
    """Return the class of these clips, its list in place, on a root in `folder`."""
    listed = folder / "train.csv"
    rows = "".join(f"{LABEL},{name},0,1,train\n" for name in IDS)
    listed.write_text(f"label,youtube_id,time_start,time_end,split\n{rows}", encoding="utf-8")
    settings = Settings(
        root=folder / "root",
        dataset="kinetics400",
        annotations=AnnotationSettings(source=str(listed)),
        sources=SourceSettings(order=("local",), local_folders=(pool,)),
        limits=Limits(workers=1, min_free_bytes=0),
    )
    settings.root.mkdir()
    run_annotations(settings)
    return ClassOrder(settings, Split.TRAIN, LABEL)


@pytest.fixture
def fresh(tmp_path: Path, pool: Path) -> ClassOrder:
    """The class before anything of it was made."""
    return order_in(tmp_path, pool)


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory, pool: Path) -> ClassOrder:
    """The class after all was made; only to be copied."""
    order = order_in(tmp_path_factory.mktemp("pattern"), pool)
    for stage in CHAIN:
        run_stage(stage, order)
    return order


@pytest.fixture
def order(tmp_path: Path, pattern: ClassOrder) -> ClassOrder:
    """The class after all was made."""
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", str(pattern.settings.root), str(root)], check=True)
    return replace(pattern, settings=replace(pattern.settings, root=root))


Made = dict[Stage, dict[str, ManifestRow]]


@pytest.fixture
def made(order: ClassOrder) -> Made:
    """Rows of the class by stage and video."""
    return {
        stage: {
            row.clip.youtube_id: row
            for row in read_manifest(order.layout, order.split, stage, LABEL)
        }
        for stage in CHAIN
    }


def test_sound_and_features_stand_in_class_folders_and_say_what_they_are(
    order: ClassOrder, made: Made
) -> None:
    """Names are those of the video; rows know samples, rate and the frames of the clip."""
    folder = "massaging_person's_head"
    for name in IDS[:2]:
        video, sound, mel = (made[stage][name] for stage in CHAIN)
        assert sound.path == f"audio_train/{folder}/{name}_000000_000001.wav"
        assert mel.path == f"audio_features_train/{folder}/{name}_000000_000001.npy"
        assert (sound.source, mel.source) == (Stage.VIDEOS, Stage.AUDIO)
        assert video.frames_decoded == sound.frames_decoded == mel.frames_decoded == 25
        assert (sound.sample_rate_hz, mel.sample_rate_hz) == (48_000, 62.5)
        assert sound.samples == round(48_000 * (sound.duration_seconds or 0))
        steps = np.load(order.layout.base / mel.path)
        assert steps.shape == (mel.samples, 80)
        assert mel.samples == -(-(sound.samples or 0) // 3 // 256) + 1


def test_a_clip_without_sound_is_lost_for_good_and_holds_nothing_back(
    order: ClassOrder, made: Made
) -> None:
    """Neither it nor a lost video counts against the class, however far below they are felt."""
    silent, damaged = IDS[2:]
    rows = {stage: (made[stage][silent], made[stage][damaged]) for stage in CHAIN}
    told = {stage: [(row.status, row.reason) for row in pair] for stage, pair in rows.items()}
    blocked = (Status.BLOCKED, Reason.UPSTREAM)
    assert told == {
        Stage.VIDEOS: [(Status.OK, None), (Status.CORRUPT, Reason.TRUNCATED)],
        Stage.AUDIO: [(Status.UNAVAILABLE, Reason.NO_AUDIO), blocked],
        Stage.AUDIO_FEATURES: [blocked, blocked],
    }
    for total in read_status(order.settings, labels=[LABEL], stages=CHAIN).totals:
        assert total.completeness == 1
    for stage in CHAIN:
        report = run_stage(stage, order)
        assert (report.is_complete_enough, report.summary.completeness) == (True, 1)
        assert report.changed == 0


def test_a_second_run_changes_no_byte_and_is_not_needed(order: ClassOrder) -> None:
    """What is there is not made again, and verify finds nothing to object to."""
    before = files_and_times(order.layout.base)
    assert not any(needs_work(stage, order, now=now_utc()) for stage in CHAIN)
    assert [run_stage(stage, order).changed for stage in CHAIN] == [0, 0, 0]
    assert files_and_times(order.layout.base) == before
    assert verify_dataset(order.settings, splits=[Split.TRAIN]).findings == []


def test_another_format_takes_the_place_of_the_first(order: ClassOrder, made: Made) -> None:
    """A flac is made where a wav was, which goes; features follow, since their input is another."""
    settings = replace(order.settings, audio=AudioRecipe(format="flac"))
    other = replace(order, settings=settings)
    assert needs_work(Stage.AUDIO, other, now=now_utc())
    assert not needs_work(Stage.VIDEOS, other, now=now_utc())
    sound, mel = (run_stage(stage, other) for stage in SOUND_STAGES)
    folder = order.layout.class_folder(Split.TRAIN, Stage.AUDIO, LABEL)
    assert {path.suffix for path in folder.iterdir()} == {".flac"}
    assert (sound.summary.ok, mel.summary.ok) == (2, 2)
    of_wav = {row.sha256 for row in made[Stage.AUDIO_FEATURES].values() if row.sha256}
    assert {row.sha256 for row in mel.rows if row.sha256} == of_wav
    assert verify_dataset(settings, splits=[Split.TRAIN]).findings == []


def test_an_altered_file_is_found_and_made_again(order: ClassOrder, made: Made) -> None:
    """Both kinds of files have the sha256 of their rows; one that has not is no output."""
    for stage in SOUND_STAGES:
        path = order.layout.base / made[stage][IDS[0]].path
        data = path.read_bytes()
        path.write_bytes(data[:-1] + b"?")
        problems = verify_dataset(order.settings, splits=[Split.TRAIN]).findings
        assert [finding.where for finding in problems] == [order.layout.relative(path)]
        assert needs_work(stage, order, now=now_utc())
        run_stage(stage, order)
        assert path.read_bytes() == data


def test_what_is_optional_is_neither_planned_nor_shown_before_it_was_asked_for(
    fresh: ClassOrder,
) -> None:
    """Without a word of it, sound costs nothing: no plan, no backfill, no line in the status."""
    run_stage(Stage.VIDEOS, fresh)
    settings, now = fresh.settings, now_utc()
    assert {total.stage for total in read_status(settings).totals} == set(CLASS_STAGES)
    asked: list[Stage] = []

    def has_failed(label: str, split: Split, stage: Stage) -> bool:
        asked.append(stage)
        return False

    chosen = select_classes(settings, Choice(), now=now, has_failed=has_failed).chosen
    assert {found.stage for found in chosen} == set(CLASS_STAGES) - {Stage.VIDEOS}
    assert not set(asked) & set(SOUND_STAGES)
    run_stage(Stage.AUDIO, fresh)
    begun = {total.stage for total in read_status(settings).totals}
    assert begun == {*CLASS_STAGES, Stage.AUDIO}


def test_named_it_is_planned_with_what_it_reads(fresh: ClassOrder) -> None:
    """Features ask for sound and videos, and a backfill of them for the same."""
    settings, now = fresh.settings, now_utc()
    plan = plan_class(
        settings,
        LABEL,
        splits=[Split.TRAIN],
        stages=CHAIN,
        now=now,
        is_materialised=lambda *_: False,
    )
    assert plan.targets == tuple((Split.TRAIN, stage) for stage in CHAIN)
    choice = Choice(stages=(Stage.AUDIO_FEATURES,))
    chosen = select_classes(settings, choice, now=now, has_failed=lambda *_: False).chosen
    assert [found.stage for found in chosen] == list(CHAIN)

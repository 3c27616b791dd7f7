"""Tests of what outputs follow: the file they were made from, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.settings import Packing, Settings
from kinetics_assets.core.stages import CLASS_STAGES, SOUND_STAGES, Stage
from kinetics_assets.io.manifests import read_manifest, write_manifest
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.pictures_job import ADOPTED
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets.verify import Problem, verify_dataset
from kinetics_assets_tests.stages.taken_down import left_of, ok_clip, order_of, rows_of


def edit(order: ClassOrder, stage: Stage, row: ManifestRow) -> None:
    """Put `row` into a manifest in the place of that of the same clip."""
    rows = read_manifest(order.layout, order.split, stage, order.label)
    rows = [row if row.clip == one.clip else one for one in rows]
    write_manifest(order.layout, order.split, stage, order.label, rows=rows)


@pytest.mark.parametrize("packing", ["none", "tar"])
def test_what_is_outdated_does_not_outlive_its_input(
    datasets: list[Settings], packing: Packing
) -> None:
    """Outputs of another recipe whose videos are gone are taken away, whatever form they have.

    Cause: the rows became blocked and the files stayed, as names that no row accounts for.
    """
    first = replace(datasets[0], storage=replace(datasets[0].storage, packing=packing))
    made = CLASS_STAGES[1:]
    for stage in made:
        run_stage(stage, order_of(first))  # packs what is to be packed
    settings = replace(
        first,
        resized=replace(first.resized, crf=30),
        rawframes=replace(first.rawframes, jpeg_quality=90),
    )
    order = order_of(settings)
    videos = {r.path for r in rows_of(settings, Stage.VIDEOS).values() if r.status is Status.OK}
    for video in videos:
        (order.layout.base / video).unlink()
    for stage in made:
        assert run_stage(stage, order).summary.counts[Status.BLOCKED] >= len(videos) > 0
    found = verify_dataset(settings, splits=[order.split], labels=[order.label]).findings
    assert {(one.problem, one.where) for one in found} == {
        (Problem.FILE_MISSING, video) for video in videos
    }


def test_what_is_as_it_should_be_outlives_its_input(datasets: list[Settings]) -> None:
    """A video that is gone for a while costs nothing that was made of it by today's recipe."""
    settings = datasets[0]
    order, clip = order_of(settings), ok_clip(settings)
    video = order.layout.base / rows_of(settings, Stage.VIDEOS)[clip].path
    video.unlink()
    there = left_of(order.layout.base, clip)
    for stage in CLASS_STAGES[1:]:
        assert run_stage(stage, order).changed == 0
    assert left_of(order.layout.base, clip) == there


def test_pictures_that_were_taken_over_outlive_their_input(datasets: list[Settings]) -> None:
    """There may be no others of them, so that no recipe takes them away."""
    settings = replace(datasets[0], rawframes=replace(datasets[0].rawframes, jpeg_quality=90))
    order, clip = order_of(settings), ok_clip(settings)
    frames = rows_of(settings, Stage.RAWFRAMES)[clip]
    for row in rows_of(settings, Stage.VIDEOS).values():
        if row.path:
            (order.layout.base / row.path).unlink()
    for source, is_kept in ((ADOPTED, True), (frames.source, False)):
        edit(order, Stage.RAWFRAMES, replace(frames, source=source))
        run_stage(Stage.RAWFRAMES, order)
        assert rows_of(settings, Stage.RAWFRAMES)[clip].status is Status.BLOCKED
        assert any((order.layout.base / frames.path).glob("img_*.jpg")) is is_kept


def test_features_of_equal_sound_follow_the_frames_of_the_clip(datasets: list[Settings]) -> None:
    """Lists of sound name the frames of the video: they are those of today's.

    Cause: another video with the same sound gave the same .wav, so the features stood as they were.
    """
    order, clip = order_of(datasets[0]), ok_clip(datasets[0])
    for stage in SOUND_STAGES:
        run_stage(stage, order)
    sound = rows_of(datasets[0], Stage.AUDIO)[clip]
    edit(order, Stage.AUDIO, replace(sound, frames_decoded=(sound.frames_decoded or 0) + 1))
    before = rows_of(datasets[0], Stage.AUDIO_FEATURES)
    assert needs_work(Stage.AUDIO_FEATURES, order, now=now_utc())
    assert run_stage(Stage.AUDIO_FEATURES, order).changed == 1
    after = rows_of(datasets[0], Stage.AUDIO_FEATURES)
    assert after[clip].frames_decoded == (before[clip].frames_decoded or 0) + 1
    assert after[clip].sha256 == before[clip].sha256
    assert not needs_work(Stage.AUDIO_FEATURES, order, now=now_utc())

"""The sensor asks for lists when manifests changed, once, and says why it does not."""

from __future__ import annotations

import dagster as dg
import pytest
from sqlalchemy import Engine, event

from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.assets.sensors import filelists_sensor
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import ListSettings, Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import write_manifest


def tick(
    settings: Settings, instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[list[str], str | None, str]:
    """Return the splits that are asked for, the new cursor and the reason for asking nothing."""
    context = dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        definitions=dataset_definitions(settings),
    )
    told = filelists_sensor(settings).evaluate_tick(context)
    splits = [r.asset_selection[0].path[1] for r in told.run_requests or () if r.asset_selection]
    return splits, told.cursor, told.skip_message or ""


def touch(settings: Settings, split: Split) -> None:
    """Write a manifest of a split."""
    layout = Layout.of(settings)
    write_manifest(layout, split, Stage.VIDEOS, "zumba", rows=[])


def test_a_changed_split_is_asked_for_once(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """New manifests lead to one request for their split; the next tick asks for nothing."""
    touch(settings, Split.VAL)
    splits, cursor, _ = tick(settings, instance)
    assert splits == ["val"]
    splits, _, why = tick(settings, instance, cursor)
    assert splits == []
    assert "val: nothing that is listed changed since the last request" in why


def test_nothing_prepared_is_said_so(settings: Settings, instance: dg.DagsterInstance) -> None:
    """A fresh root explains itself in plain words."""
    splits, _, why = tick(settings, instance)
    assert splits == []
    assert why == "; ".join(f"{split}: nothing was prepared yet" for split in Split) + "."


def test_a_run_of_the_split_is_waited_for(settings: Settings, instance: dg.DagsterInstance) -> None:
    """While a run works on a split its lists wait; other splits do not."""
    touch(settings, Split.TRAIN)
    touch(settings, Split.TEST)
    job = dataset_definitions(settings).resolve_job_def("demo_prepare")
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    splits, _, _ = tick(settings, instance)
    assert splits == ["test"]
    instance.report_run_failed(run)
    splits, _, _ = tick(settings, instance)
    assert splits == ["train", "test"]


def test_runs_are_read_once_for_all_splits(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """A backfill of 700 classes is 2,100 runs; a tick that read them for each split took 2.4 s."""
    for split in Split:
        touch(settings, split)
    job = dataset_definitions(settings).resolve_job_def("demo_annotations")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    read = []

    def executed(_: object, __: object, statement: str, *___: object) -> None:
        if "FROM runs" in statement.replace("\n", ""):
            read.append(statement)

    event.listen(Engine, "before_cursor_execute", executed)
    try:
        assert tick(settings, instance)[0] == [split.value for split in Split]
    finally:
        event.remove(Engine, "before_cursor_execute", executed)
    assert len(read) == 1


def test_a_run_with_sound_is_waited_for_too(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """The job that also has the optional stages works on the same splits."""
    touch(settings, Split.VAL)
    job = dataset_definitions(settings).resolve_job_def("demo_prepare_whole")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert tick(settings, instance)[0] == []


def test_manifests_of_sound_count_as_any(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Sound that was made has lists of its own, which are asked for as soon as it is there."""
    touch(settings, Split.VAL)
    _, cursor, _ = tick(settings, instance)
    layout = Layout.of(settings)
    write_manifest(layout, Split.VAL, Stage.AUDIO_FEATURES, "zumba", rows=[])
    assert tick(settings, instance, cursor)[0] == ["val"]


def test_the_setting_decides_whether_it_runs(settings: Settings) -> None:
    """On by default, off by one line of the settings file."""
    from dataclasses import replace

    off = replace(settings, filelists=ListSettings(sensor=False))
    assert filelists_sensor(settings).default_status is dg.DefaultSensorStatus.RUNNING
    assert filelists_sensor(off).default_status is dg.DefaultSensorStatus.STOPPED


@pytest.mark.parametrize("cursor", ["nonsense", "[1]", "3"])
def test_a_cursor_that_the_user_wrote_does_no_harm(
    cursor: str, settings: Settings, instance: dg.DagsterInstance
) -> None:
    """The cursor is only a memory: the tick is that of a new sensor, and leaves a good one."""
    touch(settings, Split.TRAIN)
    splits, after, _ = tick(settings, instance, cursor)
    assert splits == ["train"]
    assert tick(settings, instance, after)[0] == []

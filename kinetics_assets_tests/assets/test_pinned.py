"""A run works with one edition of the lists, whatever becomes current while it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.assets.pinned import pinned_edition
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import current_edition
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.stages import run as stages_run
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets_tests.assets.conftest import Materialise
from kinetics_assets_tests.small_lists import ABSENT, EMPTY, write_lists


def _new_edition(settings: Settings, folder: Path, name: str) -> str:
    """Make a list with a row of another video current; return its sha256."""
    write_lists(folder / "lists", rows={EMPTY: [name * 11]})
    run_annotations(settings)
    return current_edition(Layout.of(settings), Split.TRAIN)


def test_steps_after_the_first_work_with_its_edition(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """The first step pins what is current; a run that has its tags pins anew, and so do videos."""
    first = _new_edition(settings, tmp_path, "c")
    job = dataset_definitions(settings).resolve_job_def("demo_prepare")
    run = instance.create_run_for_job(job)

    def asked(run_id: str, stage: Stage) -> str:
        return pinned_edition(instance, run_id, settings, Split.TRAIN, stage=stage)

    assert asked(run.run_id, Stage.RESIZED) == first
    second = _new_edition(settings, tmp_path, "d")
    assert asked(run.run_id, Stage.FLOW) == first
    kept = instance.get_run_by_id(run.run_id)
    assert kept is not None
    again = instance.create_run_for_job(job, tags=kept.tags)
    assert asked(again.run_id, Stage.RESIZED) == second
    assert asked(run.run_id, Stage.VIDEOS) == second
    assert asked(run.run_id, Stage.RESIZED) == second


def test_an_edition_that_is_no_longer_stored_is_refused(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """A step does not go on with other rows than the run began with, without a word."""
    first = _new_edition(settings, tmp_path, "c")
    job = dataset_definitions(settings).resolve_job_def("demo_prepare")
    run = instance.create_run_for_job(job)
    pinned_edition(instance, run.run_id, settings, Split.TRAIN, stage=Stage.RESIZED)
    _new_edition(settings, tmp_path, "d")
    Layout.of(settings).edition_classes(first).unlink()
    with pytest.raises(AnnotationError):
        pinned_edition(instance, run.run_id, settings, Split.TRAIN, stage=Stage.FLOW)


def test_a_list_that_changes_in_a_run_waits_for_the_next(
    settings: Settings,
    materialise: Materialise,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Between two steps the list changes: both have the rows of before, the next run the new."""
    materialise("annotations")
    layout = Layout.of(settings)
    first = current_edition(layout, Split.TRAIN)
    run_stage = stages_run.run_stage

    def then_a_new_list(stage: Stage, *args: object, **options: object) -> object:
        report = _called(run_stage, stage, *args, **options)
        if stage is Stage.VIDEOS:
            _new_edition(settings, tmp_path, "c")
        return report

    with monkeypatch.context() as patched:
        patched.setattr(stages_run, "run_stage", then_a_new_list)
        assert materialise("train/videos", "train/resized", partition=EMPTY).success
    second = current_edition(layout, Split.TRAIN)
    assert first != second
    for stage in (Stage.VIDEOS, Stage.RESIZED):
        assert read_manifest(layout, Split.TRAIN, stage, EMPTY) == []
    materialise("train/videos", partition=EMPTY)
    (row,) = read_manifest(layout, Split.TRAIN, Stage.VIDEOS, EMPTY)
    assert row.edition == second
    materialise("train/videos", partition=ABSENT)
    assert {r.edition for r in read_manifest(layout, Split.TRAIN, Stage.VIDEOS, ABSENT)} == {second}


def _called(function: Callable[..., object], *args: object, **options: object) -> object:
    """Return what `function` returns."""
    return function(*args, **options)

"""Checks see what the steps do not say."""

from __future__ import annotations

import dagster as dg

from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import read_manifest, write_manifest
from kinetics_assets_tests.assets.conftest import Materialise
from kinetics_assets_tests.small_lists import EMPTY


def test_complete_is_reported_for_the_class(materialise: Materialise) -> None:
    """The check belongs to the partition and passes when rows and manifest agree."""
    materialise("annotations")
    result = materialise("train/videos", partition=EMPTY)
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.partition) == ("complete", True, EMPTY)


def test_rows_lost_between_list_and_manifest_are_an_error(settings: Settings) -> None:
    """A manifest without a row of the list fails the check as an error, not as a warning."""
    from kinetics_assets.assets.checks import complete_result
    from kinetics_assets.stages.annotations import run_annotations
    from kinetics_assets.stages.order import ClassOrder
    from kinetics_assets.stages.run import run_stage

    run_annotations(settings)
    order = ClassOrder(settings, Split.TRAIN, "abseiling")
    report = run_stage(Stage.VIDEOS, order)
    warned = complete_result(report)
    assert (warned.passed, warned.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert len(read_manifest(order.layout, order.split, Stage.VIDEOS, order.label)) == 1
    write_manifest(order.layout, order.split, Stage.VIDEOS, order.label, rows=[])
    failed = complete_result(report)
    assert (failed.passed, failed.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert failed.metadata["lost"].value == "aaaaaaaaaaa_000000_000010"


def test_lists_agree_sees_a_line_too_many(
    settings: Settings, instance: dg.DagsterInstance, materialise: Materialise
) -> None:
    """A line that no manifest backs is found when the check is run alone."""
    from kinetics_assets.assets.datasets import dataset_definitions

    materialise("annotations")
    path = Layout.of(settings).filelist(Split.TRAIN, "videos")
    path.write_text("abseiling/aaaaaaaaaaa_000000_000010.mp4 0\n")
    key = dg.AssetCheckKey(dg.AssetKey(["demo", "train", "filelists"]), "lists_agree")
    selection = dg.AssetSelection.checks(key)
    checks = dataset_definitions(settings).asset_checks or ()
    job = dg.Definitions(
        asset_checks=checks, jobs=[dg.define_asset_job("look", selection)]
    ).resolve_job_def("look")
    (check,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert not check.passed
    assert "in the list, not in the manifests" in str(check.description)

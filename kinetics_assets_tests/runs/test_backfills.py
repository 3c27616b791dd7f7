"""How a backfill ended, class by class, from the runs that were its."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from kinetics_assets.assets.backfills import add_backfills
from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.core.clips import Split
from kinetics_assets.core.needs import Need
from kinetics_assets.core.stages import Stage
from kinetics_assets.runs.backfills import read_backfill
from kinetics_assets.stages.selection import Choice, Finding, Selection
from kinetics_assets_tests.small_lists import ABSENT, EMPTY, small_settings

TRAIN = Split.TRAIN
STAGES = (Stage.VIDEOS, Stage.RESIZED)


def test_classes_that_were_not_made_say_why(tmp_path: Path) -> None:
    """A class below the threshold is not made, with the step's words; the other one is."""
    settings = small_settings(tmp_path)
    findings = [
        Finding(TRAIN, stage, label, needs={Need.MISSING: 1})
        for label in (ABSENT, EMPTY)
        for stage in STAGES
    ]
    selection = Selection(Choice(), tuple(findings), ())
    job = dataset_definitions(settings).resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(["demo", "train", stage.value]) for stage in STAGES]
    with dg.DagsterInstance.ephemeral() as instance:
        (backfill_id,) = add_backfills(instance, settings, selection, asked_by="a test")
        before = read_backfill(instance, "demo", backfill_id)
        assert (before.status, before.has_ended, before.runs) == ("requested", False, {})
        assert {one.not_done for one in before.classes} == {STAGES}
        job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(["demo", "annotations"])]
        )
        for label in (ABSENT, EMPTY):
            job.execute_in_process(
                instance=instance,
                asset_selection=keys,
                partition_key=label,
                tags={"dagster/backfill": backfill_id},
                raise_on_error=False,
            )
        after = read_backfill(instance, "demo", backfill_id)
        with pytest.raises(KeyError):
            read_backfill(instance, "demo", "no such backfill")
    assert after.runs == {"failure": 1, "success": 1}
    absent, empty = after.classes
    assert (absent.label, absent.done, absent.not_done) == (ABSENT, (), STAGES)
    assert "0 of 1 clips" in absent.failure
    assert (empty.label, empty.done, empty.not_done, empty.failure) == (EMPTY, STAGES, (), "")
    assert not after.succeeded

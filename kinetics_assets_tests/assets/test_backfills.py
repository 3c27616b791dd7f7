"""A backfill as it is added: exact partitions, a connected chain, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from kinetics_assets.assets import backfills
from kinetics_assets.assets.backfills import (
    add_backfills,
    asked_for,
    run_config_of,
    targets_of,
    title_of,
    under_way,
)
from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.assets.recorded import materialised, without_success
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.needs import Need
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import FrameRecipe, Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.selection import Choice, Finding, Selection

TRAIN, VAL, TEST = Split
VIDEOS, RESIZED, FLOW = Stage.VIDEOS, Stage.RESIZED, Stage.FLOW


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    """Settings of a root without anything in it."""
    return Settings(root=tmp_path, dataset="demo")


def selection(
    *targets: tuple[Split, Stage, str], need: Need = Need.MISSING, **choice: object
) -> Selection:
    """Return a selection of these classes."""
    findings = [Finding(*target, needs={need: 1}) for target in targets]
    return Selection(Choice(**choice), tuple(findings), ())  # type: ignore[arg-type]  # any field


def test_the_private_names_are_there() -> None:
    """What Dagster does not export still is where we import it from, with what we call."""
    assert callable(backfills.PartitionBackfill.from_asset_graph_subset)
    assert {status.value for status in backfills.BulkActionStatus} >= {
        *("REQUESTED", "CANCELING", "FAILING", "CANCELED", "FAILED"),
        *("COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED"),
    }
    assert backfills.BulkActionsFilter(statuses=[]).statuses == []
    assert backfills.AssetGraphSubset({}).is_empty  # type: ignore[call-arg]  # as in the module
    assert backfills.make_new_backfill_id()


def test_partitions_are_exact_and_alike_in_all_assets(
    plain: Settings, instance: dg.DagsterInstance
) -> None:
    """Classes that need the same stages of a split share a backfill, which Dagster can name.

    Cause: of a backfill whose assets have unlike classes the UI names those of one asset only.
    """
    chosen = selection(
        (TRAIN, VIDEOS, "zumba"),
        (TRAIN, RESIZED, "zumba"),
        (TRAIN, VIDEOS, "abseiling"),
        (TRAIN, RESIZED, "abseiling"),
        (VAL, RESIZED, "massaging person's head"),
        (TEST, VIDEOS, ""),
    )
    ids = add_backfills(instance, plain, chosen, asked_by="a test")
    train, val, test = (instance.get_backfill(backfill_id) for backfill_id in ids)
    assert train is not None
    assert val is not None
    assert test is not None
    both = {"zumba", "abseiling"}
    assert targets_of(train, "demo") == {(TRAIN, VIDEOS): both, (TRAIN, RESIZED): both}
    assert targets_of(val, "demo") == {(VAL, RESIZED): {"massaging person's head"}}
    assert targets_of(test, "demo") == {(TEST, VIDEOS): {""}}
    assert targets_of(train, "kinetics400") == {}
    assert train.title == "Refill demo train: 2 classes (2 missing)"
    assert train.tags == {
        "kinetics/dataset": "demo",
        "kinetics/why": "missing",
        "kinetics/asked_by": "a test",
    }
    assert "- train zumba: videos: 1 missing; resized: 1 missing" in str(train.description)
    graph = dataset_definitions(plain).get_repository_def().asset_graph
    data = train.get_asset_backfill_data(graph)
    assert set(data.get_partition_names() or ()) == both


def test_a_chain_with_a_gap_is_refused(plain: Settings, instance: dg.DagsterInstance) -> None:
    """Videos and flow without what lies between never reach Dagster, which would skip flow."""
    deep = replace(plain, rawframes=FrameRecipe(frames_from="resized"))
    ends = ((TRAIN, VIDEOS, "zumba"), (TRAIN, FLOW, "zumba"))
    with pytest.raises(InternalError, match="without resized between"):
        add_backfills(instance, deep, selection(*ends), asked_by="a test")
    assert not instance.get_backfills()
    add_backfills(instance, plain, selection(*ends), asked_by="a test")  # flow reads videos
    other = ((TRAIN, VIDEOS, "abseiling"), (TRAIN, FLOW, "zumba"))
    add_backfills(instance, deep, selection(*other), asked_by="a test")  # of other classes
    with pytest.raises(InternalError, match="at least one class"):
        add_backfills(instance, plain, selection(), asked_by="a test")


def test_runs_are_told_what_was_asked(plain: Settings) -> None:
    """Options reach every stage of the runs, and runs without options have no config."""
    one = (TRAIN, VIDEOS, "zumba")
    assert run_config_of("demo", selection(one)) is None
    chosen = selection(one, retry_now=True, reasons=frozenset({Reason.NETWORK}), check_files=True)
    assert run_config_of("demo", chosen) == {
        "ops": {
            "demo__train__videos": {
                "config": {"retry_now": True, "retry_reasons": ["network"], "check_files": True}
            }
        }
    }
    damaged = selection((TRAIN, Stage.RAWFRAMES, "zumba"), need=Need.DAMAGED)
    assert run_config_of("demo", damaged) == {
        "ops": {"demo__train__rawframes": {"config": {"check_files": True}}}
    }


def test_a_title_fits_dagster() -> None:
    """However much is the matter, the title has at most a hundred characters."""
    findings = [
        Finding(TRAIN, VIDEOS, f"class {number}", needs=dict.fromkeys(Need, 1))
        for number in range(1000)
    ]
    title = title_of("kinetics700_2020", Selection(Choice(), tuple(findings), ()))
    assert len(title) <= 100
    assert title.startswith("Refill kinetics700_2020 train: 1000 classes (1000 missing")


def test_backfills_under_way_are_known_by_their_classes(
    plain: Settings, instance: dg.DagsterInstance
) -> None:
    """Until a backfill has ended, its classes count as asked for."""
    (first,) = add_backfills(
        instance, plain, selection((TRAIN, VIDEOS, "zumba")), asked_by="a test"
    )
    (second,) = add_backfills(
        instance, plain, selection((VAL, VIDEOS, "abseiling")), asked_by="a test"
    )
    assert asked_for(instance, "demo") == {(TRAIN, "zumba"), (VAL, "abseiling")}
    assert asked_for(instance, "kinetics400") == set()
    assert under_way(instance, "demo") == [first, second]
    ended = instance.get_backfill(first)
    assert ended is not None
    done = backfills.BulkActionStatus.COMPLETED_SUCCESS
    instance.update_backfill(ended.with_status(done))
    assert asked_for(instance, "demo") == {(VAL, "abseiling")}
    assert under_way(instance, "demo") == [second]


def test_a_class_under_way_is_no_failure(plain: Settings, instance: dg.DagsterInstance) -> None:
    """Never run and failed classes lack a success; a class that a run works on does not yet."""
    key = dg.AssetKey(["demo", "train", "videos"])
    for label in ("zumba", "abseiling"):
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=label))
    job = dataset_definitions(plain).resolve_job_def("demo_prepare")

    def plan(label: str) -> dg.DagsterRun:
        subset = job.get_subset(asset_selection={key})
        run = instance.create_run_for_job(
            subset, tags={"dagster/partition": label}, asset_selection=frozenset({key})
        )
        return instance.report_run_failed(run) and run if label == "abseiling" else run

    plan("abseiling")
    plan("air drumming")
    failed = without_success(instance, "demo")
    asked = {
        label: failed(label, TRAIN, VIDEOS)
        for label in ("zumba", "abseiling", "air drumming", "punching person (boxing)")
    }
    assert asked == {
        "zumba": False,
        "abseiling": True,
        "air drumming": False,
        "punching person (boxing)": True,
    }
    assert materialised(instance, "demo", TRAIN, VIDEOS) == {"zumba"}

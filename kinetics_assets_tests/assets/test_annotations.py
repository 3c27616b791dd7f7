"""The lists and the rows of each class: who turns stale when a list changes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import dagster as dg
import pytest

# no public name answers "is this partition stale", only the UI's query does
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.core.clips import Split
from kinetics_assets.core.settings import Settings, Thresholds
from kinetics_assets_tests.assets.conftest import Materialise
from kinetics_assets_tests.small_lists import ABSENT, EMPTY, write_lists

defined = cache(dataset_definitions)
"""Definitions by settings, which say where the test's own root is."""
VIDEOS = dg.AssetKey(["demo", "train", "videos"])
ROWS = dg.AssetKey(["demo", "train", "class_rows"])
LISTS = dg.AssetKey(["demo", "annotations"])
DONE = [EMPTY, "air drumming", "punching person (boxing)"]


def stale(instance: dg.DagsterInstance, settings: Settings, classes: list[str]) -> list[str]:
    """Return those of `classes` whose videos Dagster calls stale."""
    graph = defined(settings).get_repository_def().asset_graph
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return [c for c in classes if resolver.get_status(VIDEOS, c) is StaleStatus.STALE]


def test_edges_stay_visible_from_lists_to_videos(settings: Settings) -> None:
    """Lists lead to the rows of a class, rows to its videos; videos hang on nothing else."""
    graph = defined(settings).get_repository_def().asset_graph
    assert graph.get(ROWS).parent_keys == {LISTS}
    assert graph.get(VIDEOS).parent_keys == {ROWS}


def test_a_changed_class_is_the_only_one_that_turns_stale(
    settings: Settings, instance: dg.DagsterInstance, materialise: Materialise, tmp_path: Path
) -> None:
    """A new edition that changes one class makes that class of videos stale, and no other."""
    assert materialise("annotations").success
    for label in DONE:
        assert materialise("train/videos", partition=label).success
    assert stale(instance, settings, DONE) == []
    write_lists(tmp_path / "lists", rows={EMPTY: ["ccccccccccc"]})
    assert materialise("annotations").success
    assert stale(instance, settings, DONE) == [EMPTY]


def licensed(folder: Path, free: dict[str, int]) -> None:
    """Write a train list of two rows a class, of which only some of the first are free."""
    rows = [
        f"{label},{letter * 11},0,10,train,{is_free}\n{label},{letter * 11},10,20,train,{other}\n"
        for letter, other, (label, is_free) in zip("ABC", "101", free.items(), strict=True)
    ]
    header = "label,youtube_id,time_start,time_end,split,is_cc\n"
    (folder / "train.csv").write_text(header + "".join(rows))
    (folder / "val.csv").unlink()


@pytest.mark.parametrize("cc_only", [True, False])
def test_a_change_of_licences_counts_where_they_do(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path, *, cc_only: bool
) -> None:
    """Only with `cc_only`, and only classes with a row that comes or goes; other rows play no part.

    What the sensor of changed classes would launch is the same.
    """
    sources = replace(settings.sources, cc_only=cc_only)
    lists = replace(settings.annotations, source=str(tmp_path / "licensed"))
    thresholds = Thresholds(min_completeness=0)
    settings = replace(settings, sources=sources, annotations=lists, thresholds=thresholds)
    job = defined(settings).resolve_implicit_global_asset_job_def()

    def materialise(key: dg.AssetKey, partition: str | None = None) -> None:
        job.execute_in_process(instance=instance, asset_selection=[key], partition_key=partition)

    def shown() -> object:
        event = instance.get_latest_materialization_event(LISTS)
        assert event is not None
        assert event.asset_materialization is not None
        told = event.asset_materialization.metadata.get("rows_relicensed")
        return told.value if told else None

    def listed(**free: int) -> None:
        (tmp_path / "licensed").mkdir(exist_ok=True)
        (tmp_path / "licensed" / "val.csv").touch()
        licensed(tmp_path / "licensed", dict(zip(DONE, free.values(), strict=True)))
        materialise(LISTS)

    listed(first=1, second=1, third=0)
    for label in DONE[:2]:
        materialise(VIDEOS, label)
    assert stale(instance, settings, DONE[:2]) == []
    assert shown() is None
    listed(first=1, second=0, third=0)
    assert shown() == 1
    wanted = DONE[1:2] if cc_only else []
    assert stale(instance, settings, DONE[:2]) == wanted
    assert launched(instance, settings) == wanted
    for label in wanted:
        materialise(VIDEOS, label)
    assert stale(instance, settings, DONE[:2]) == []
    assert launched(instance, settings) == []


def launched(instance: dg.DagsterInstance, settings: Settings) -> list[str | None]:
    """Return the classes that the sensor of changed classes launches."""
    definitions = defined(settings)
    context = dg.build_sensor_context(instance=instance, definitions=definitions)
    sensor = definitions.get_repository_def().get_sensor_def("demo_changed_classes")
    return [request.partition_key for request in sensor.evaluate_tick(context).run_requests or ()]


def test_all_classes_with_rows_are_observed_once(
    instance: dg.DagsterInstance, materialise: Materialise, tmp_path: Path
) -> None:
    """The first lists give each class in them a version, the same lists again write no event.

    So a class without rows has none until it gets rows, and another when it loses them.
    """

    def observed() -> list[str]:
        records = instance.fetch_observations(ROWS, limit=100).records
        return sorted(str(record.partition_key) for record in records)

    for _ in range(2):
        materialise("annotations")
        assert observed() == [ABSENT]
    write_lists(tmp_path / "lists", rows={EMPTY: ["ccccccccccc"]})
    materialise("annotations")
    assert observed() == [ABSENT, EMPTY]
    write_lists(tmp_path / "lists")
    materialise("annotations")
    assert observed() == [ABSENT, EMPTY, EMPTY]


def test_rows_can_be_observed_without_fetching(
    settings: Settings, instance: dg.DagsterInstance, materialise: Materialise
) -> None:
    """The button Observe works: versions come from the stored lists."""
    materialise("annotations")
    instance.wipe_assets([ROWS])
    assert materialise("train/class_rows").success
    assert instance.fetch_observations(ROWS, limit=1).records


def test_lists_that_are_not_there_fail_in_plain_words(
    materialise: Materialise, tmp_path: Path
) -> None:
    """A missing list is one paragraph for the user, and is not tried again."""
    for path in (tmp_path / "lists").iterdir():
        path.unlink()
    result = materialise("annotations")
    (failure,) = result.get_step_failure_events()
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert "lists" in str(told.description)
    assert not [event for event in result.all_events if event.is_step_up_for_retry]


def test_splits_are_the_three_of_the_datasets(settings: Settings) -> None:
    """Every split has its rows, so that none is forgotten in the graph."""
    keys = defined(settings).get_repository_def().asset_graph.get_all_asset_keys()
    assert {key.path[1] for key in keys if key.path[-1] == "class_rows"} == {*Split}

"""What is made again by itself: nothing, the file lists, or what was made before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import dagster as dg
import pytest

from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import ALL_CLASS_STAGES
from kinetics_assets_tests.assets.conftest import Materialise
from kinetics_assets_tests.small_lists import EMPTY, write_lists

Preset = Literal["off", "filelists", "all"]
DONE = [EMPTY, "air drumming"]


def _preset(settings: Settings, preset: Preset) -> Settings:
    """Return settings with a preset."""
    return replace(settings, annotations=replace(settings.annotations, automate=preset))


@pytest.mark.parametrize(
    ("preset", "has_conditions"),
    [
        ("off", set()),
        ("filelists", {"filelists"}),
        (
            "all",
            {"filelists", *ALL_CLASS_STAGES},
        ),
    ],
)
def test_a_preset_says_which_assets_have_conditions(
    settings: Settings, preset: Preset, has_conditions: set[str]
) -> None:
    """Off means no condition and no sensor for them; the others only what they say."""
    repository = dataset_definitions(_preset(settings, preset)).get_repository_def()
    graph = repository.asset_graph
    found = {
        key.path[-1]
        for key in graph.get_all_asset_keys()
        if graph.get(key).automation_condition is not None
    }
    assert found == has_conditions
    sensors = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    assert ("demo_automation" in sensors) is bool(has_conditions)
    running = dg.DefaultSensorStatus.RUNNING
    assert sensors.get("demo_automation", running) is running


def test_only_what_was_made_and_changed_is_made_again(
    settings: Settings, instance: dg.DagsterInstance, materialise: Materialise, tmp_path: Path
) -> None:
    """Of a new edition with two changed classes, one was made and one was not."""
    defs = dataset_definitions(_preset(settings, "all"))
    materialise("annotations")
    for label in DONE:
        assert materialise("train/videos", partition=label).success
    first = dg.evaluate_automation_conditions(defs, instance)
    rows = {EMPTY: ["ccccccccccc"], "massaging person's head": ["ddddddddddd"]}
    write_lists(tmp_path / "lists", rows=rows)
    materialise("annotations")
    second = dg.evaluate_automation_conditions(defs, instance, cursor=first.cursor)
    found = {
        ("/".join(result.key.path[1:]), partition)
        for result in second.results
        if isinstance(result.key, dg.AssetKey)
        for partition in second.get_requested_partitions(result.key)
    }
    assert found == {("train/videos", EMPTY)}


def test_a_class_that_no_archive_has_is_made_again(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Videos depend on what the mirror's archives hold, which most roots never have a note of."""
    settings = _preset(Settings(root=tmp_path, dataset="kinetics600"), "all")
    defs = dataset_definitions(settings)
    rows, videos = (dg.AssetKey(["kinetics600", "test", x]) for x in ("class_rows", "videos"))
    members = dg.AssetKey(["kinetics600", "test", "archive_members"])
    assert members in defs.get_repository_def().asset_graph.get(videos).parent_keys

    def observe(label: str, version: str) -> None:
        tags = {"dagster/data_version": version}
        seen = dg.AssetObservation(rows, partition=label, tags=tags)
        instance.report_runless_asset_event(seen)

    for label in DONE:
        observe(label, "old")
        instance.report_runless_asset_event(dg.AssetMaterialization(videos, partition=label))
    first = dg.evaluate_automation_conditions(defs, instance)
    observe(DONE[0], "new")
    second = dg.evaluate_automation_conditions(defs, instance, cursor=first.cursor)
    assert second.get_requested_partitions(videos) == {DONE[0]}

"""Lists of clips to leave out, in the graph: what turns stale, what is asked for, what is shown."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import dagster as dg
import pytest

# no public name answers "is this asset stale", only the UI's query does
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.assets.exclusions import changed_exclusions
from kinetics_assets.assets.partitions import asset_key
from kinetics_assets.assets.sensors import filelists_sensor
from kinetics_assets.core.clips import Split
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets_tests.excluded import OWN, fill, leaking

EXCLUSIONS = dg.AssetKey(["demo", "exclusions"])
ROW = "AAAAAAAAAAA,1,11\n"
defined = cache(dataset_definitions)
"""Definitions by settings, which say where the test's own root is."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a demo that leaves out a list's clips, all of it there."""
    made = leaking(tmp_path, dataset="demo", exclude=("out.csv",))
    fill(made, Split.VAL, (OWN[1],))
    write(made, ROW)
    return made


def write(settings: Settings, rows: str) -> None:
    """Write the list of clips to leave out."""
    (settings.root / "out.csv").write_text(f"youtube_id,time_start,time_end\n{rows}")


def lists_of(split: Split) -> dg.AssetKey:
    """Return the key of the file lists of a split."""
    return asset_key("demo", split, Stage.FILELISTS)


def materialise(
    settings: Settings, instance: dg.DagsterInstance, key: dg.AssetKey
) -> dg.ExecuteInProcessResult:
    """Materialise an asset in this process."""
    job = defined(settings).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, asset_selection=[key], raise_on_error=False)


def stale(settings: Settings, instance: dg.DagsterInstance) -> list[str]:
    """Return the assets without partitions that Dagster calls stale."""
    graph = defined(settings).get_repository_def().asset_graph
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return [
        "/".join(key.path[1:])
        for key in sorted(graph.get_all_asset_keys())
        if graph.get(key).partitions_def is None and resolver.get_status(key) is StaleStatus.STALE
    ]


def test_a_changed_list_makes_the_file_lists_stale_and_nothing_else(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """The sensor tells Dagster, asks for the lists of train alone, and they are fresh again."""
    cursor = None
    for rows, asked in ((ROW, ["train", "val"]), (f"{ROW}BBBBBBBBBBB,1,11\n", ["train"])):
        write(settings, rows)
        splits, cursor, _ = watch(settings, instance, cursor)
        assert splits == asked
        assert stale(settings, instance) == ([] if rows == ROW else ["train/filelists"])
        for split in (Split.TRAIN, Split.VAL):
            assert materialise(settings, instance, lists_of(split)).success
        assert stale(settings, instance) == []
        assert watch(settings, instance, cursor)[0] == []


def test_a_list_that_is_gone_holds_back_the_splits_that_use_it_alone(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """Those of the others are asked for; the reason names the split, the file and the remedy."""
    (settings.root / "out.csv").unlink()
    splits, cursor, _ = watch(settings, instance, None)
    assert splits == ["val"]
    why = watch(settings, instance, cursor)[2]
    assert why.startswith("train: ")
    assert why.count(str(settings.root / "out.csv")) == 1
    assert "filelists.exclude" in why
    write(settings, ROW)
    assert watch(settings, instance, cursor)[0] == ["train"]


def watch(
    settings: Settings, instance: dg.DagsterInstance, cursor: str | None
) -> tuple[list[str], str | None, str]:
    """Return the splits that a tick asks for, its cursor and why it asks for nothing.

    What the tick observed is stored, as the daemon does; it is nothing that was known.
    """
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=defined(settings)
    )
    told = filelists_sensor(settings).evaluate_tick(context)
    for event in told.asset_events:
        assert isinstance(event, dg.AssetObservation)
        instance.report_runless_asset_event(event)
    if not told.skip_message and (settings.root / "out.csv").exists():
        assert list(changed_exclusions(instance, settings)) == []
    splits = [r.asset_selection[0].path[1] for r in told.run_requests or () if r.asset_selection]
    return splits, told.cursor or cursor, told.skip_message or ""


def test_what_was_left_out_is_shown(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Rows by class, and each list with its hash, are metadata; an observation by hand works."""
    result = materialise(settings, instance, lists_of(Split.TRAIN))
    (event,) = result.get_asset_materialization_events()
    shown = event.materialization.metadata
    assert shown["excluded_rows"].value == 1
    classes, lists = shown["excluded_classes"], shown["exclusion_lists"]
    assert isinstance(classes, dg.TableMetadataValue)
    assert isinstance(lists, dg.TableMetadataValue)
    assert [record.data for record in classes.records] == [{"class": "zumba", "rows": 1}]
    assert [(record.data["list"], record.data["clips"]) for record in lists.records] == [
        ("out.csv", 1)
    ]
    assert materialise(settings, instance, EXCLUSIONS).success
    assert list(changed_exclusions(instance, settings)) == []


def test_a_list_that_is_gone_fails_in_plain_words(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """The step names the file and the setting, and is not tried again."""
    (settings.root / "out.csv").unlink()
    result = materialise(settings, instance, lists_of(Split.TRAIN))
    (failure,) = result.get_step_failure_events()
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert "out.csv" in str(told.description)
    assert "filelists.exclude" in str(told.description)
    assert not [event for event in result.all_events if event.is_step_up_for_retry]


def test_without_the_setting_the_graph_is_as_it_was(tmp_path: Path) -> None:
    """No asset, no other code version of any list; with it, of the lists of its splits alone."""
    plain = defined(leaking(tmp_path, dataset="demo")).resolve_asset_graph()
    other = defined(leaking(tmp_path, dataset="demo", exclude=("x.csv",))).resolve_asset_graph()
    assert other.get_all_asset_keys() - plain.get_all_asset_keys() == {EXCLUSIONS}
    changed = {
        key.path[1]
        for key in plain.get_all_asset_keys()
        if plain.get(key).code_version != other.get(key).code_version
    }
    assert changed == {"train"}
    assert other.get(EXCLUSIONS).child_keys == {lists_of(Split.TRAIN)}

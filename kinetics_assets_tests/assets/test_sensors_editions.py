"""The sensors of new editions: what a tick asks, what it launches, and what it says it does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from kinetics_assets.assets import sensors_changed
from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.assets.edition_metadata import KINDS, MAX_ROWS, changes_metadata
from kinetics_assets.assets.jobs import dataset_jobs
from kinetics_assets.assets.sensors_changed import MOST_AT_ONCE, changed_classes_sensor
from kinetics_assets.assets.sensors_editions import editions_sensor
from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import reconcile
from kinetics_assets.core.settings import AnnotationSettings, Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import load_class_rows, read_current
from kinetics_assets.io.manifests import read_manifest, write_manifest
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets_tests.assets.conftest import Materialise
from kinetics_assets_tests.list_server import ListServer
from kinetics_assets_tests.small_lists import ABSENT, EMPTY, HEADER, write_lists

LIST = HEADER + "abseiling,aaaaaaaaaaa,0,10,train\nabseiling,bbbbbbbbbbb,0,10,train\n"
OTHER = HEADER + "abseiling,aaaaaaaaaaa,0,10,train\nzumba,bbbbbbbbbbb,0,10,train\n"


@pytest.fixture
def server() -> Iterator[ListServer]:
    """A server with a list that it knows the ETag of."""
    with ListServer(files={"/train.csv": LIST.encode()}) as running:
        yield running


@pytest.fixture
def watched(settings: Settings, server: ListServer) -> Settings:
    """Settings whose list is at the server."""
    sources = replace(settings.sources, loopback_hosts=(server.host,), timeout_seconds=120)
    own = AnnotationSettings(source=server.url("/train.csv"))
    return replace(settings, annotations=own, sources=sources)


def look(
    settings: Settings, instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[list[dg.RunRequest], str | None, str]:
    """Return what a tick asks for, its cursor, and why it asks for nothing."""
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=dataset_definitions(settings)
    )
    told = editions_sensor(settings).evaluate_tick(context)
    return list(told.run_requests or ()), told.cursor, told.skip_message or ""


def launch(
    settings: Settings, instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[list[dg.RunRequest], str | None, str]:
    """Return the same of a tick of the launching sensor."""
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, definitions=dataset_definitions(settings)
    )
    sensor = changed_classes_sensor(settings, dataset_jobs(settings.dataset))
    told = sensor.evaluate_tick(context)
    return list(told.run_requests or ()), told.cursor, told.skip_message or ""


def test_a_304_costs_one_request_and_no_run(
    watched: Settings, instance: dg.DagsterInstance, server: ListServer
) -> None:
    """A list that did not change is not sent, and nothing is launched."""
    run_annotations(watched)
    server.answered.clear()
    requests, _, why = look(watched, instance)
    assert (requests, server.statuses()) == ([], [304])
    assert "No new edition" in why


def test_a_new_edition_is_asked_for_once(
    watched: Settings, instance: dg.DagsterInstance, server: ListServer
) -> None:
    """One run, for the lists alone; the tick itself changes nothing; the next one says so."""
    run_annotations(watched)
    before = read_current(Layout.of(watched))
    server.files["/train.csv"] = OTHER.encode()
    (request,), cursor, _ = look(watched, instance)
    assert request.asset_selection == [dg.AssetKey(["demo", "annotations"])]
    assert read_current(Layout.of(watched)) == before
    requests, _, why = look(watched, instance, cursor)
    assert requests == []
    assert "asked for already" in why
    run_annotations(watched)
    assert "No new edition" in look(watched, instance, cursor)[2]


def test_an_edition_that_comes_back_is_asked_for_again(
    watched: Settings, instance: dg.DagsterInstance, server: ListServer
) -> None:
    """A source that goes back and forth is followed: Dagster runs each run key only once."""
    run_annotations(watched)
    keys, cursor = set(), None
    for text in (OTHER, LIST, OTHER):
        server.files["/train.csv"] = text.encode()
        (request,), cursor, _ = look(watched, instance, cursor)
        keys.add(request.run_key)
        run_annotations(watched)
    assert len(keys) == 3


def test_a_fresh_root_asks_nobody(
    watched: Settings, instance: dg.DagsterInstance, server: ListServer
) -> None:
    """Before anything was prepared no server is asked."""
    requests, _, why = look(watched, instance)
    assert (requests, server.answered) == ([], [])
    assert "materialise demo/annotations first" in why


@pytest.mark.parametrize("fault", ["down", "cut", "half", "away"])
def test_outages_and_half_uploads_are_reasons_to_skip(
    watched: Settings, instance: dg.DagsterInstance, server: ListServer, fault: str
) -> None:
    """The tick does not fail: it says in words what is wrong, and the dataset stays."""
    run_annotations(watched)
    before = read_current(Layout.of(watched))
    server.files["/train.csv"] = OTHER.encode()
    if fault == "down":
        server.down = 503
    elif fault == "cut":
        server.cut["/train.csv"] = 50
    elif fault == "half":
        server.files["/train.csv"] = OTHER.encode()[:-20]
    else:
        del server.files["/train.csv"]
    requests, cursor, why = look(watched, instance)
    assert (requests, cursor) == ([], None)
    said = {"down": "503", "cut": "sent", "half": "half uploaded", "away": "404"}[fault]
    assert why.startswith(f"The lists cannot be had: {server.url('/train.csv')}")
    assert why.count(server.url("/train.csv")) == 1
    assert said in why
    assert "next look is in" in why
    assert ("annotations.source is" in why) == (fault == "away")
    assert "gain later" not in why or fault == "half"
    assert read_current(Layout.of(watched)) == before


def test_no_tick_while_the_lists_are_being_fetched(
    watched: Settings, instance: dg.DagsterInstance, server: ListServer
) -> None:
    """A run that fetches them is waited for, and the server is not asked beside it."""
    run_annotations(watched)
    server.answered.clear()
    job = dataset_definitions(watched).resolve_job_def("demo_annotations")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert "Waiting for run" in look(watched, instance)[2]
    assert server.answered == []


def test_both_sensors_are_off_until_somebody_wants_them(settings: Settings) -> None:
    """No program asks servers, or launches downloads, by itself; watching is one setting away."""
    on = replace(settings, annotations=AnnotationSettings(watch=True, watch_hours=24))
    launching = changed_classes_sensor(settings, dataset_jobs(settings.dataset))
    assert editions_sensor(settings).default_status is dg.DefaultSensorStatus.STOPPED
    assert launching.default_status is dg.DefaultSensorStatus.STOPPED
    assert editions_sensor(on).default_status is dg.DefaultSensorStatus.RUNNING
    assert editions_sensor(on).minimum_interval_seconds == 24 * 3600


DONE = [name for name in class_names("demo") if name != ABSENT]


def make(settings: Settings, label: str, *stages: Stage) -> None:
    """Write the manifests that runs of a class would write, as if no clip could be had."""
    layout = Layout.of(settings)
    annotated = load_class_rows(layout, Split.TRAIN, label)
    for stage in stages:
        rows = reconcile(annotated.clips, [], edition=annotated.edition).values()
        write_manifest(layout, Split.TRAIN, stage, label, rows=rows)


def test_changed_classes_are_launched_once_and_a_few_at_a_time(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """Exactly the classes that were made and have other rows now, by keys of class and hash."""
    run_annotations(settings)
    assert launch(settings, instance)[2] == "No class that was made has other rows now."
    for label in DONE:
        make(settings, label, Stage.VIDEOS)
    make(settings, DONE[0], Stage.RESIZED)
    assert len(DONE) == MOST_AT_ONCE + 1
    rows = {label: [f"{number:011}"] for number, label in enumerate([*DONE, ABSENT])}
    write_lists(tmp_path / "lists", rows=rows)
    run_annotations(settings)
    first, cursor, _ = launch(settings, instance)
    second, cursor, _ = launch(settings, instance, cursor)
    assert [r.partition_key for r in (*first, *second)] == DONE
    assert len(first) == MOST_AT_ONCE
    assert len({r.run_key for r in (*first, *second)}) == len(DONE)
    assert all(f"train-{r.partition_key}-" in (r.run_key or "") for r in first)
    assert [key.path[-1] for key in first[0].asset_selection or ()] == ["videos", "resized"]
    assert [key.path[-1] for key in first[1].asset_selection or ()] == ["videos"]
    assert "launched already" in launch(settings, instance, cursor)[2]
    assert sorted(json.loads(cursor or "")["asked"]) == sorted(f"train/{c}" for c in DONE)
    for label in DONE:
        make(settings, label, Stage.VIDEOS)
    requests, cursor, why = launch(settings, instance, cursor)
    assert (requests, json.loads(cursor or "")["asked"]) == ([], {})
    assert why == "No class that was made has other rows now."


@pytest.mark.parametrize("is_stored", [True, False])
def test_manifests_are_read_only_where_their_edition_is_not_stored(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path, *, is_stored: bool
) -> None:
    """A tick that read all manifests of 700 classes and 3 splits took 4 s of CPU."""
    changed, same = DONE[:2]
    layout, rows = Layout.of(settings), {changed: ["ccccccccccc"], same: ["ddddddddddd"]}
    write_lists(tmp_path / "lists", rows=rows)
    report = run_annotations(settings)
    for label in (changed, same, EMPTY):
        make(settings, label, Stage.VIDEOS)
    write_lists(tmp_path / "lists", rows={**rows, changed: ["eeeeeeeeeee"], EMPTY: ["fffffffffff"]})
    run_annotations(settings)
    if is_stored:
        for label in (changed, same):
            _damage_rows(layout, label)
    else:
        shutil.rmtree(layout.edition(report.editions[Split.TRAIN].sha256))
    requests, _, _ = launch(settings, instance)
    assert {request.partition_key for request in requests} == {changed, EMPTY}


def test_a_tick_opens_so_many_manifests_and_the_next_goes_on(
    settings: Settings,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a tick costs has a bound; nothing is left out or launched twice for it."""
    monkeypatch.setattr(sensors_changed, "MOST_OPENED", 2)
    run_annotations(settings)
    for label in DONE:
        make(settings, label, Stage.VIDEOS)
    write_lists(tmp_path / "lists", rows={DONE[0]: ["ccccccccccc"], DONE[-1]: ["ddddddddddd"]})
    run_annotations(settings)
    ticks, cursor = [], None
    for _ in range(4):
        requests, cursor, why = launch(settings, instance, cursor)
        ticks.append([request.partition_key for request in requests] or why)
    assert ticks[0] == [DONE[0]]
    assert ticks[1] == "Opened 2 manifests; the next tick goes on."
    assert ticks[2] == [DONE[-1]]
    assert "launched already" in ticks[3]


def _damage_rows(layout: Layout, label: str) -> None:
    """Make the rows of a manifest unreadable, but not its footer."""
    path = layout.manifest(Split.TRAIN, Stage.VIDEOS, label)
    data = path.read_bytes()
    rows_end = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    path.write_bytes(data[:4] + bytes(rows_end - 4) + data[rows_end:])
    with pytest.raises(InternalError):
        read_manifest(layout, Split.TRAIN, Stage.VIDEOS, label)


def test_runs_under_way_are_waited_for(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """The rate limit counts runs of this sensor that are queued or at work."""
    run_annotations(settings)
    make(settings, EMPTY, Stage.VIDEOS)
    write_lists(tmp_path / "lists", rows={EMPTY: ["ccccccccccc"]})
    run_annotations(settings)
    job = dataset_definitions(settings).resolve_job_def("demo_prepare")
    tags = {"dagster/sensor_name": "demo_changed_classes"}
    for _ in range(MOST_AT_ONCE):
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    assert launch(settings, instance)[2] == "4 runs are under way, 1 classes wait for them."


def test_the_run_of_a_new_edition_shows_what_changed(
    settings: Settings, instance: dg.DagsterInstance, materialise: Materialise, tmp_path: Path
) -> None:
    """Counts for plots over time, the rows, the classes, a picture, and a check that may warn."""
    materialise("annotations")
    write_lists(tmp_path / "lists", rows={EMPTY: ["ccccccccccc"]})
    result = materialise("annotations")
    (event,) = result.asset_materializations_for_node("demo__annotations")
    shown = {name: value.value for name, value in event.metadata.items()}
    assert (shown["rows_added"], shown["rows_removed"], shown["classes_changed"]) == (1, 0, 1)
    changes = event.metadata["changes"]
    assert isinstance(changes, dg.TableMetadataValue)
    assert changes.records[0].data == {
        "split": "train",
        "change": "added",
        "clip": "ccccccccccc_000000_000010",
        "label": EMPTY,
        "was": "",
    }
    assert str(shown["changes_by_class"]).startswith("![changed rows by class](data:image/svg+xml")
    assert "changes_not_shown" not in shown
    checks = result.get_asset_check_evaluations()
    assert [(check.check_name, check.passed) for check in checks] == [("plausible", True)]
    assert {split for split in Split if split in read_current(Layout.of(settings))} == {
        Split.TRAIN,
        Split.VAL,
    }


def test_a_long_table_of_changed_rows_says_how_many_it_leaves_out(
    settings: Settings, tmp_path: Path
) -> None:
    """The UI shows tables whole, so the rows beyond a limit are counted instead."""
    run_annotations(settings)
    before = sum(info.rows for info in read_current(Layout.of(settings)).values())
    write_lists(tmp_path / "lists", rows={EMPTY: [f"{number:011}" for number in range(250)]})
    report = run_annotations(settings)
    shown = {name: value.value for name, value in changes_metadata(report).items()}
    changed = sum(int(str(shown[f"rows_{kind}"])) for kind in KINDS)
    assert 250 <= changed <= 250 + before
    assert shown["changes_not_shown"] == changed - MAX_ROWS
    table = changes_metadata(report)["changes"]
    assert isinstance(table, dg.TableMetadataValue)
    assert len(table.records) == MAX_ROWS


def test_damaged_annotations_are_a_reason_to_skip(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """No tick ends in a traceback: the file is named, and the command that gets it anew."""
    run_annotations(settings)
    path = Layout.of(settings).current_edition
    path.write_text("{")
    for why in (launch(settings, instance)[2], look(settings, instance)[2]):
        assert str(path) in why
        assert "kinetics prepare demo" in why

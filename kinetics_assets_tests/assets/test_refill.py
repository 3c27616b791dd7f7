"""The refill job as the UI launches it: through GraphQL, with the launchpad's own config."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml  # type: ignore[import-untyped]  # comes with dagster, without stubs
from dagster._core.instance.ref import InstanceRef
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster_graphql.test.utils import execute_dagster_graphql

from kinetics_assets.assets.backfills import targets_of
from kinetics_assets.assets.refill import RefillConfig, choice_of, refill_job, refill_schedule
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import KineticsError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.needs import USUAL_NEEDS, Need
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import CLASS_STAGES, Stage
from kinetics_assets_tests.stages.prepared import AGES_HOURS, CLASSES, fail, output, prepared

TRAIN, VAL = Split.TRAIN, Split.VAL
A, B, C, D, E = CLASSES
_PATIENCE_SECONDS = 300.0
_SELECTOR = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "kinetics_assets",
    "pipelineName": "demo_refill",
}
_LAUNCHPAD = """
query($selector: PipelineSelector!) {
  runConfigSchemaOrError(selector: $selector) { ... on RunConfigSchema { rootDefaultYaml } }
}
"""
_LAUNCH = """
mutation($selector: JobOrPipelineSelector!, $config: RunConfigData) {
  launchRun(executionParams: {selector: $selector, runConfigData: $config}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a complete tree of which Dagster has recorded everything in two stages."""
    made = prepared(tmp_path)
    (made.root / "kinetics.toml").write_text(
        f'[sources]\norder = ["local"]\nlocal_folders = ["{tmp_path / "local"}"]\n'
        "[thresholds]\nmin_completeness = 0.5\n"
    )
    return made


def record(instance: dg.DagsterInstance) -> None:
    """Let Dagster have a success of videos and resized of all classes."""
    for split in (TRAIN, VAL):
        for stage in (Stage.VIDEOS, Stage.RESIZED):
            for label in CLASSES:
                key = dg.AssetKey(["demo", split.value, stage.value])
                instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=label))


@pytest.fixture
def workspace(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WorkspaceProcessContext]:
    """A workspace as `dagster-webserver` has it: a code server of ours, runs in processes."""
    monkeypatch.setenv("KINETICS_ROOT", str(settings.root))
    monkeypatch.setenv("KINETICS_DATASETS", "demo")
    home = tmp_path / "home"
    home.mkdir()
    ref = InstanceRef.from_dir(
        str(home),
        overrides={
            "telemetry": {"enabled": False},
            "run_coordinator": {  # runs start at once, without a daemon
                "module": "dagster._core.run_coordinator",
                "class": "DefaultRunCoordinator",
            },
        },
    )
    target = ModuleTarget("kinetics_assets.definitions", None, None, "kinetics_assets")
    with (
        dg.DagsterInstance.from_ref(ref) as instance,
        WorkspaceProcessContext(instance, target) as context,
    ):
        record(instance)
        yield context


def ask(workspace: WorkspaceProcessContext, query: str, **variables: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the data that GraphQL answers with."""
    answer = execute_dagster_graphql(workspace.create_request_context(), query, variables)
    assert not answer.errors, answer.errors
    return answer.data


def launchpad(workspace: WorkspaceProcessContext) -> dict[str, Any]:
    """Return the config that the launchpad comes with."""
    found = ask(workspace, _LAUNCHPAD, selector=_SELECTOR)["runConfigSchemaOrError"]
    config: dict[str, Any] = yaml.safe_load(found["rootDefaultYaml"])
    return config


def launch(workspace: WorkspaceProcessContext, config: dict[str, Any]) -> str:
    """Return the id of a run of the job with this config, after it has ended well."""
    started = ask(workspace, _LAUNCH, selector=_SELECTOR, config=config)["launchRun"]
    assert started["__typename"] == "LaunchRunSuccess", started
    run_id: str = started["run"]["runId"]
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        run = workspace.instance.get_run_by_id(run_id)
        assert run is not None
        if run.is_finished:
            break
        assert time.monotonic() < deadline, "waited in vain for the run to end"
        time.sleep(0.2)
    assert run.is_success, workspace.instance.all_logs(run_id)
    return run_id


def shown(instance: dg.DagsterInstance, run_id: str) -> dict[str, Any]:
    """Return the metadata that the run's op shows."""
    (record,) = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.STEP_OUTPUT
    ).records
    event = record.event_log_entry.dagster_event
    assert event is not None
    metadata = event.step_output_data.metadata
    return {name: getattr(value, "value", value) for name, value in metadata.items()}


@pytest.mark.slow
def test_the_launchpads_own_config_refills_exactly_the_classes_in_need(
    settings: Settings, workspace: WorkspaceProcessContext
) -> None:
    """Launched as it comes, the job adds backfills with the exact partitions of each asset.

    With `dry_run` it adds none, and launched again it leaves out what is asked for already.
    """
    layout, instance = Layout.of(settings), workspace.instance
    layout.manifest(TRAIN, Stage.VIDEOS, A).unlink()
    output(settings, VAL, Stage.RESIZED, B).unlink()
    fail(settings, TRAIN, C, Reason.NETWORK, hours=-AGES_HOURS)
    fail(settings, TRAIN, D, Reason.NETWORK, hours=AGES_HOURS)
    config = launchpad(workspace)
    options = config["ops"]["refill"]["config"]
    assert options["states"] == list(USUAL_NEEDS)
    options["stages"] = ["videos", "resized"]  # the tree has no more

    options["dry_run"] = True
    told = shown(instance, launch(workspace, config))
    assert (told["backfills"], told["classes"]) == ("none", 3)
    assert not instance.get_backfills()

    options["dry_run"] = False
    told = shown(instance, launch(workspace, config))
    found = {backfill.backfill_id: backfill for backfill in instance.get_backfills()}
    train, val = told["backfills"].split(", ")
    assert set(found) == {train, val}
    assert targets_of(found[train], "demo") == {
        (TRAIN, Stage.VIDEOS): {A, C},
        (TRAIN, Stage.RESIZED): {A, C},
    }
    assert targets_of(found[val], "demo") == {(VAL, Stage.RESIZED): {B}}
    assert found[val].tags["kinetics/asked_by"] == "demo_refill"

    told = shown(instance, launch(workspace, config))
    assert (told["backfills"], told["classes"]) == ("none", 0)
    assert len(instance.get_backfills()) == 2


def test_the_launchpad_is_filled_with_every_option(settings: Settings) -> None:
    """All options are there to be edited, with values that mean the usual refill."""
    default = RefillConfig()
    choice = choice_of("demo", default)
    assert choice.needs == set(USUAL_NEEDS)
    assert (choice.splits, choice.stages, choice.labels) == (tuple(Split), CLASS_STAGES, None)
    assert (choice.retry_now, choice.check_files, default.dry_run) == (False, False, False)
    filled = refill_job(settings).run_config
    assert filled is not None
    assert set(filled["ops"]["refill"]["config"]) == set(RefillConfig.model_fields)
    assert all(field.description for field in RefillConfig.model_fields.values())


def test_the_schedule_is_off_and_takes_only_what_may_have_changed(settings: Settings) -> None:
    """Nobody is surprised at night, and who switches it on asks for due clips only."""
    schedule = refill_schedule(settings, refill_job(settings))
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    (request,) = schedule.evaluate_tick(dg.build_schedule_context()).run_requests or ()
    options = request.run_config["ops"]["refill"]["config"]
    assert options["states"] == [Need.RETRYABLE]
    assert options["retry_now"] is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"splits": ["trian"]},
        {"classes": ["zumbaa"]},
        {"stages": ["frames"]},
        {"states": ["gone"]},
        {"reasons": ["disk_full"]},
    ],
)
def test_a_typing_slip_is_told(wrong: dict[str, list[str]]) -> None:
    """A name that does not exist never becomes an empty refill."""
    with pytest.raises(KineticsError, match=r"Use|mean"):
        choice_of("demo", RefillConfig(**wrong))  # type: ignore[arg-type]  # the case's own field

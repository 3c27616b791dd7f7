"""One class of one stage as a step: success, too few clips, faults."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg
import pytest

from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Limits, Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.executors.devices import FAULT_VARIABLE
from kinetics_assets.io.leases import hold_device
from kinetics_assets_tests.assets.conftest import Materialise
from kinetics_assets_tests.small_lists import ABSENT, EMPTY

VIDEOS = dg.AssetKey(["demo", "train", "videos"])


def test_a_class_without_rows_is_materialised_with_none(
    instance: dg.DagsterInstance, materialise: Materialise
) -> None:
    """An empty class is complete, through all stages, and says so."""
    materialise("annotations")
    result = materialise(
        "train/videos", "train/resized", "train/rawframes", "train/flow", partition=EMPTY
    )
    assert result.success
    event = instance.get_latest_materialization_event(VIDEOS)
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["rows"].value == 0
    assert metadata["completeness"].value == 1.0
    assert event.asset_materialization.partition == EMPTY


def test_too_few_clips_fail_without_a_materialisation(
    instance: dg.DagsterInstance, materialise: Materialise
) -> None:
    """Below the threshold the class is failed, not materialised, and is not retried at once."""
    materialise("annotations")
    result = materialise("train/videos", partition=ABSENT)
    (failure,) = result.get_step_failure_events()
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert "0 of 1 clips" in str(told.description)
    assert "not_at_source" in str(told.description)
    assert told.metadata["completeness"].value == 0.0
    failures = told.metadata["failures"]
    assert isinstance(failures, dg.TableMetadataValue)
    assert [record.data["reason"] for record in failures.records] == ["not_at_source"]
    assert instance.get_materialized_partitions(VIDEOS) == set()
    assert not [e for e in result.all_events if e.is_step_up_for_retry]


def test_a_class_of_unknown_lists_fails_as_input(materialise: Materialise) -> None:
    """Videos before annotations: one paragraph that names the command, no traceback to read."""
    result = materialise("train/videos", partition=EMPTY)
    (failure,) = result.get_step_failure_events()
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert "no annotations yet" in str(told.description)
    assert told.metadata["kind"].value == "AnnotationError"


def test_an_environment_fault_is_not_retried_at_once(
    settings: Settings, instance: dg.DagsterInstance, materialise: Materialise
) -> None:
    """A full disk fails the step without a verdict on any clip; seconds later it is full still."""
    materialise("annotations")
    full = replace(settings, limits=Limits(min_free_bytes=2**62))
    job = dataset_definitions(full).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance, asset_selection=[VIDEOS], partition_key=ABSENT, raise_on_error=False
    )
    (failure,) = result.get_step_failure_events()
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert told.metadata["kind"].value == "DiskFull"
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert not Layout.of(settings).manifest(Split.TRAIN, Stage.VIDEOS, ABSENT).exists()


def test_flow_without_the_device_it_was_to_have_fails_once(
    materialise: Materialise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause that the executor met is the failure; no engine is chosen, nothing is retried."""
    materialise("annotations")
    monkeypatch.setenv(FAULT_VARIABLE, "The NVIDIA driver is not loaded. Load it.")
    result = materialise("train/flow", partition=EMPTY)
    (failure,) = result.get_step_failure_events()
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert told.description == "The NVIDIA driver is not loaded. Load it."
    assert told.metadata["kind"].value == "DeviceLost"
    assert not [e for e in result.all_events if e.is_step_up_for_retry]


def test_a_materialisation_names_the_gpu_that_made_it(
    instance: dg.DagsterInstance, materialise: Materialise
) -> None:
    """The leased device is in the metadata, and only where there was one."""
    materialise("annotations")
    assert _gpu_of_flow(instance, materialise) is None
    lease = hold_device(["left"], slots=1, holder="the test")
    assert _gpu_of_flow(instance, materialise) == dg.MetadataValue.text("left")
    lease.release()


def _gpu_of_flow(instance: dg.DagsterInstance, materialise: Materialise) -> dg.MetadataValue | None:
    """Return what the materialisation of a class without rows says of its GPU."""
    assert materialise("train/flow", partition=EMPTY).success
    event = instance.get_latest_materialization_event(dg.AssetKey(["demo", "train", "flow"]))
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization.metadata.get("gpu")

"""A materialisation of flow says which engine, profile and tools made it, and who chose them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import dagster as dg
import pytest

from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.core.settings import FlowRecipe
from kinetics_assets.core.stages import Stage
from kinetics_assets.engines.cpu import CpuEngine
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.stages.flow_classes import by_id, class_of

FLOW = dg.AssetKey(["demo", "train", "flow"])
FIRST, SECOND = "AAAAAAAAAAA", "BBBBBBBBBBB"


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClassOrder:
    """A class of two clips, three pairs together, on a machine that shows no GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def write(path: Path) -> None:
        media.plain(path, frames=3 if SECOND in path.name else 2)

    return class_of(tmp_path, {FIRST: write, SECOND: write})


def metadata_of(
    instance: dg.DagsterInstance, order: ClassOrder, flow: FlowRecipe
) -> Mapping[str, dg.MetadataValue]:
    """Materialise the flow of the class and return what that says."""
    job = dataset_definitions(
        replace(order.settings, flow=flow)
    ).resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(
        instance=instance, asset_selection=[FLOW], partition_key=order.label
    ).success
    event = instance.get_latest_materialization_event(FLOW)
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization.metadata


def makers(metadata: Mapping[str, dg.MetadataValue]) -> list[dict[str, object]]:
    """Return the lines of the table of makers."""
    table = metadata["flow_makers"]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


def test_what_auto_became_is_told(instance: dg.DagsterInstance, order: ClassOrder) -> None:
    """Engine, profile and versions are those of the clips; auto is told apart from a choice."""
    metadata = metadata_of(instance, order, FlowRecipe(engine="auto"))
    assert metadata["engine"].value == "cpu"
    assert metadata["profile"].value == "opencv4-cuda"
    assert metadata["engine_now"].value == "cpu: what auto was resolved to, once for this split"
    assert "mixed_flow" not in metadata
    (line,) = makers(metadata)
    tools = line.pop("tools")
    assert line == {"engine": "cpu", "profile": "opencv4-cuda", "clips": 2, "pairs": 3}
    assert all(f"{name} {told}" in str(tools) for name, told in CpuEngine().versions().items())
    assert f"av {version('av')}" in str(tools)


def test_a_mixture_is_told_with_its_counts(instance: dg.DagsterInstance, order: ClassOrder) -> None:
    """Clips of two engines, made as asked, are counted by engine; so is the choice."""
    rows = by_id(run_stage(Stage.FLOW, order).rows)
    shutil.rmtree(order.layout.base / rows[SECOND].path)
    metadata = metadata_of(instance, order, FlowRecipe(engine="reference", mixed="engines"))
    assert metadata["engine_now"].value == "reference, as set"
    assert metadata["engine"].value == "cpu, reference"
    assert metadata["profile"].value == "opencv4-cuda"
    assert metadata["mixed_flow"].value == "1 by cpu (opencv4-cuda), 1 by reference (opencv4-cuda)"
    found = {line["engine"]: (line["clips"], line["pairs"]) for line in makers(metadata)}
    assert found == {"cpu": (1, 1), "reference": (1, 2)}


def test_a_refused_mixture_fails_the_step_once(
    instance: dg.DagsterInstance, order: ClassOrder
) -> None:
    """In the UI the failure says what to do, and is not retried."""
    rows = by_id(run_stage(Stage.FLOW, order).rows)
    shutil.rmtree(order.layout.base / rows[SECOND].path)
    settings = replace(order.settings, flow=FlowRecipe(engine="reference"))
    job = dataset_definitions(settings).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance, asset_selection=[FLOW], partition_key=order.label, raise_on_error=False
    )
    (failure,) = result.get_step_failure_events()
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert told.metadata["kind"].value == "MixedFlow"
    assert 'flow.mixed = "engines"' in str(told.description)
    assert not [event for event in result.all_events if event.is_step_up_for_retry]

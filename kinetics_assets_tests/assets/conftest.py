"""A small graph on a real instance, its steps executed in the test's own process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.core.settings import Settings
from kinetics_assets_tests.small_lists import small_settings

Materialise = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a root with small lists."""
    return small_settings(tmp_path)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance in memory, whose storages are Dagster's SQL ones."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def materialise(settings: Settings, instance: dg.DagsterInstance) -> Materialise:
    """Return a function that materialises assets by name ("annotations", "train/videos")."""
    job = dataset_definitions(settings).resolve_implicit_global_asset_job_def()

    def run(*names: str, partition: str | None = None) -> dg.ExecuteInProcessResult:
        keys = [dg.AssetKey(["demo", *name.split("/")]) for name in names]
        return job.execute_in_process(
            instance=instance, asset_selection=keys, partition_key=partition, raise_on_error=False
        )

    return run

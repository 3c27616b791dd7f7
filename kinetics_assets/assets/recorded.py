"""What Dagster has recorded of the classes: succeeded, failed, or never run."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import dagster as dg

from kinetics_assets.assets.partitions import asset_key, class_partitions, label_of
from kinetics_assets.core.clips import Split
from kinetics_assets.core.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def materialised(
    instance: dg.DagsterInstance, dataset: str, split: Split, stage: Stage
) -> set[str]:
    """Return the classes that show as materialised in a stage.

    A class whose latest run failed does not, even over an earlier success. Two queries, whatever
    the number of classes.
    """
    key = asset_key(dataset, split, stage)
    return {
        label_of(partition)
        for partition in instance.get_materialized_partitions(key) - _attempts(instance, key).keys()
    }


def without_success(
    instance: dg.DagsterInstance, dataset: str
) -> Callable[[str, Split, Stage], bool]:
    """Return a function that says whether Dagster has no success of a class in a stage.

    A class that a run works on, or will, is none of those: how it ends is not known yet.
    """
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_UNDER_WAY))
    live = {run.run_id for run in runs}

    @cache
    def lacking(split: Split, stage: Stage) -> set[str]:
        key = asset_key(dataset, split, stage)
        attempts = _attempts(instance, key)
        done = instance.get_materialized_partitions(key) - attempts.keys()
        begun = {partition for partition, run_id in attempts.items() if run_id in live}
        everything = set(class_partitions(dataset, split).get_partition_keys())
        return {label_of(name) for name in everything - done - begun}

    return lambda label, split, stage: label in lacking(split, stage)


def _attempts(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, str]:
    """Return partition -> run of the partitions whose latest run has not materialised them."""
    storage = instance.event_log_storage
    found = storage.get_latest_asset_partition_materialization_attempts_without_materializations(
        key
    )
    return {partition: run_id for partition, (run_id, _) in found.items()}

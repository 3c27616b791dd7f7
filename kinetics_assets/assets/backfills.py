"""Backfills of exactly the classes that were chosen, as the UI's own button would add them.

This file and `kinetics_assets.executors.gpu` are the only ones that import what Dagster does not
export; a test names each of these imports. Dagster walks through the chosen assets only, so a
backfill of a stage and of one further down, without the stages between, would silently make the
first alone: `add_backfills` refuses it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.execution.backfill import (
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
)
from dagster._core.utils import make_new_backfill_id

from kinetics_assets.assets.partitions import asset_key, class_partitions, label_of, partition_of
from kinetics_assets.core.classes import UNLABELLED
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import ALL_CLASS_STAGES

if TYPE_CHECKING:
    from kinetics_assets.stages.selection import Selection, Target

DATASET_TAG = "kinetics/dataset"
WHY_TAG = "kinetics/why"
ASKED_BY_TAG = "kinetics/asked_by"
_UNDER_WAY = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING]
_LONGEST_TITLE = 100
_DESCRIBED = 50
"""Classes whose why is in the description of a backfill."""


def add_backfills(
    instance: dg.DagsterInstance, settings: Settings, selection: Selection, *, asked_by: str
) -> list[str]:
    """Return the ids of new backfills of what was chosen; the daemon launches their runs.

    There is one for each split and chain of stages, so that in each all assets have the same
    classes: only then does the UI's page name exactly the classes that the backfill is for.

    Args:
        instance: Where they are added.
        settings: Of the dataset.
        selection: With at least one class.
        asked_by: Who asks, for the backfills' tags.

    Raises:
        InternalError: Nothing is chosen, or the stages of a class are no connected chain.
    """
    if not selection.chosen:
        raise InternalError("A backfill needs at least one class.")
    _check_chain(settings, selection.targets)
    return [
        _add(instance, settings.dataset, part, asked_by=asked_by)
        for part in selection.chains.values()
    ]


def asked_for(instance: dg.DagsterInstance, dataset: str) -> set[tuple[Split, str]]:
    """Return the classes (split, label) of `dataset` that backfills under way take care of."""
    asked: set[tuple[Split, str]] = set()
    for backfill in instance.get_backfills(filters=BulkActionsFilter(statuses=_UNDER_WAY)):
        for (split, _), labels in targets_of(backfill, dataset).items():
            asked |= {(split, label) for label in labels}
    return asked


def under_way(instance: dg.DagsterInstance, dataset: str) -> list[str]:
    """Return the ids of backfills of `dataset` that are under way, oldest first."""
    found = instance.get_backfills(filters=BulkActionsFilter(statuses=_UNDER_WAY))
    mine = [backfill for backfill in found if targets_of(backfill, dataset)]
    return [b.backfill_id for b in sorted(mine, key=lambda b: b.backfill_timestamp)]


def targets_of(backfill: PartitionBackfill, dataset: str) -> dict[Target, frozenset[str]]:
    """Return the classes that a backfill is for, by split and stage of `dataset`."""
    data = backfill.asset_backfill_data
    if data is None:
        return {}
    stages = {stage.value: stage for stage in ALL_CLASS_STAGES}
    targets = {}
    for key, subset in data.target_subset.partitions_subsets_by_asset_key.items():
        if len(key.path) == 3 and key.path[0] == dataset and key.path[2] in stages:
            labels = frozenset(map(label_of, subset.get_partition_keys()))
            targets[Split(key.path[1]), stages[key.path[2]]] = labels
    return targets


def title_of(dataset: str, selection: Selection) -> str:
    """Return what a backfill is called in the UI."""
    counts = ", ".join(f"{count} {need}" for need, count in selection.needs.most_common())
    classes = len(selection.classes)
    noun = "class" if classes == 1 else "classes"
    splits = " ".join(dict.fromkeys(found.split for found in selection.chosen))
    return f"Refill {dataset} {splits}: {classes} {noun} ({counts})"[:_LONGEST_TITLE]


def run_config_of(dataset: str, selection: Selection) -> Mapping[str, Any] | None:
    """Return the options of a backfill's runs, None when they have none."""
    options: dict[str, Any] = {}
    if selection.choice.retry_now:
        options["retry_now"] = True
        options["retry_reasons"] = sorted(r.value for r in selection.choice.retry_reasons)
    if selection.must_check_files:
        options["check_files"] = True
    if not options:
        return None
    keys = [asset_key(dataset, *target) for target in selection.targets]
    return {"ops": {key.to_python_identifier(): {"config": options} for key in keys}}


def _add(instance: dg.DagsterInstance, dataset: str, selection: Selection, *, asked_by: str) -> str:
    """Return the id of the new backfill of classes that need the same stages of one split."""
    partitions = {
        asset_key(dataset, split, stage): class_partitions(
            dataset, split
        ).subset_with_partition_keys(map(partition_of, labels))
        for (split, stage), labels in selection.targets.items()
    }
    backfill = PartitionBackfill.from_asset_graph_subset(
        backfill_id=make_new_backfill_id(),
        backfill_timestamp=time.time(),
        tags={
            DATASET_TAG: dataset,
            WHY_TAG: ", ".join(need.value for need in selection.needs),
            ASKED_BY_TAG: asked_by,
        },
        dynamic_partitions_store=instance,
        asset_graph_subset=AssetGraphSubset(partitions),  # type: ignore[call-arg]  # a decorator hides its defaults
        title=title_of(dataset, selection),
        description=_description(selection),
        run_config=run_config_of(dataset, selection),
    )
    instance.add_backfill(backfill)
    return backfill.backfill_id


def _check_chain(settings: Settings, targets: Mapping[Target, tuple[str, ...]]) -> None:
    """Raise `InternalError` for a class with a stage left out between two that are chosen."""
    from kinetics_assets.stages.lineage import input_of

    for (split, stage), labels in targets.items():
        above = input_of(settings, stage)
        while above is not None:
            higher = input_of(settings, above)
            skipped = set(labels) - set(targets.get((split, above), ()))
            broken = skipped & set(targets.get((split, higher), ())) if higher else set()
            if broken:
                raise InternalError(
                    f"{split}: {stage} and {higher} of {sorted(broken)} without {above} between."
                )
            above = higher


def _description(selection: Selection) -> str:
    """Return why each class is refilled, as Markdown."""
    lines = [
        f"- {split} {label or UNLABELLED}: "
        + "; ".join(f"{one.stage}: {one.why}" for one in findings)
        for (split, label), findings in selection.classes.items()
    ]
    rest = len(lines) - _DESCRIBED
    return "\n".join([*lines[:_DESCRIBED], *([f"- and {rest} more"] if rest > 0 else [])])

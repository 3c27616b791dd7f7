"""Backfills seen from the command line: is there a daemon, how far are they, how did they end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from kinetics_assets.assets.backfills import targets_of
from kinetics_assets.assets.partitions import asset_key, label_of
from kinetics_assets.core.stages import Stage
from kinetics_assets.runs.events import why_failed

if TYPE_CHECKING:
    from kinetics_assets.core.clips import Split

_HEARTBEAT_SECONDS = 90.0
"""A daemon writes a heartbeat each 30 s; one that missed three is taken for dead."""
_DAEMONS = ("BACKFILL", "QUEUED_RUN_COORDINATOR")
_ENDED = frozenset({"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"})
_SUCCEEDED = frozenset({"COMPLETED", "COMPLETED_SUCCESS"})
_PARTITION_TAG = "dagster/partition"
_BACKFILL_TAG = "dagster/backfill"


@dataclass(frozen=True, slots=True)
class ClassOutcome:
    """How one class of a backfill ended."""

    split: Split
    label: str
    done: tuple[Stage, ...]
    """Stages that were materialised."""
    not_done: tuple[Stage, ...]
    """Stages that were not: they failed, or wait for one that did."""
    failure: str = ""
    """Why, in the words of the step that failed."""

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as plain values."""
        return {
            "split": self.split,
            "class": self.label,
            "done": self.done,
            "not_done": self.not_done,
            "failure": self.failure,
        }


@dataclass(frozen=True, slots=True)
class BackfillOutcome:
    """How far a backfill is, or how it ended."""

    backfill_id: str
    status: str
    """As Dagster says it, in lower case."""
    classes: tuple[ClassOutcome, ...]
    has_ended: bool
    error: str = ""
    """Why the daemon gave it up, if it did."""
    runs: dict[str, int] = field(default_factory=dict)
    """Runs by status."""

    @property
    def succeeded(self) -> bool:
        """Whether every class was made."""
        return self.has_ended and self.status.upper() in _SUCCEEDED


def daemon_is_alive(instance: dg.DagsterInstance) -> bool:
    """Return whether a daemon of this home launches backfills and dequeues runs."""
    heartbeats = instance.get_daemon_heartbeats()
    least = time.time() - _HEARTBEAT_SECONDS
    needed = set(_DAEMONS) & set(instance.get_required_daemon_types())
    return all(name in heartbeats and heartbeats[name].timestamp >= least for name in needed)


def read_backfill(instance: dg.DagsterInstance, dataset: str, backfill_id: str) -> BackfillOutcome:
    """Return how far a backfill of `dataset` is, class by class.

    Raises:
        KeyError: There is none with this id.
    """
    backfill = instance.get_backfill(backfill_id)
    if backfill is None:
        raise KeyError(backfill_id)
    runs = instance.get_runs(filters=dg.RunsFilter(tags={_BACKFILL_TAG: backfill_id}))
    counts: dict[str, int] = {}
    failures: dict[str, str] = {}
    made: set[tuple[dg.AssetKey, str]] = set()
    for run in runs:
        counts[run.status.value.lower()] = counts.get(run.status.value.lower(), 0) + 1
        label = label_of(run.tags.get(_PARTITION_TAG, ""))
        made |= {(key, label) for key in _materialised(instance, run.run_id)}
        if run.status is dg.DagsterRunStatus.FAILURE:
            failures[label] = _failure(instance, run.run_id)
    classes: dict[tuple[Split, str], tuple[list[Stage], list[Stage]]] = {}
    for (split, stage), labels in targets_of(backfill, dataset).items():
        for label in labels:
            done, not_done = classes.setdefault((split, label), ([], []))
            key = asset_key(dataset, split, stage)
            (done if (key, label) in made else not_done).append(stage)
    status = backfill.status.value
    return BackfillOutcome(
        backfill_id,
        status.lower(),
        classes=tuple(
            ClassOutcome(
                split,
                label,
                tuple(sorted(done, key=list(Stage).index)),
                tuple(sorted(not_done, key=list(Stage).index)),
                failures.get(label, "") if not_done else "",
            )
            for (split, label), (done, not_done) in sorted(classes.items())
        ),
        has_ended=status in _ENDED,
        error=backfill.error.message.strip() if backfill.error else "",
        runs=counts,
    )


def _materialised(instance: dg.DagsterInstance, run_id: str) -> set[dg.AssetKey]:
    """Return the assets that a run has materialised."""
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    return {record.asset_key for record in found.records if record.asset_key is not None}


def _failure(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return why a run failed, in one paragraph."""
    found = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    for record in found.records:
        event = record.event_log_entry.dagster_event
        if event is not None:
            return f"{event.step_key}: {why_failed(event)}"
    return f"run {run_id} ended without a word; its log is in the UI"

"""The sensor that keeps the file lists of a dataset in step with its manifests."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg

from kinetics_assets.assets.exclusions import changed_exclusions
from kinetics_assets.assets.jobs import filelists_job_name, prepare_job_name, whole_job_name
from kinetics_assets.assets.metadata import MANIFESTS_DIGEST
from kinetics_assets.assets.partitions import asset_key
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import KineticsError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.exclusions import lists_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_INTERVAL_SECONDS = 60


def filelists_sensor(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor that asks for the file lists of each split whose manifests changed."""

    @dg.sensor(
        name=f"{settings.dataset}_filelists_fresh",
        job_name=filelists_job_name(settings.dataset),
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=(
            dg.DefaultSensorStatus.RUNNING
            if settings.filelists.sensor
            else dg.DefaultSensorStatus.STOPPED
        ),
        description=(
            f"Writes the file lists of a split of {settings.dataset} anew when its manifests, or"
            " the clips to leave out, changed and no run works on the split. Switch it off for good"
            " with `sensor = false` below [filelists] in kinetics.toml."
        ),
    )
    def fresh(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        asked = read_cursor(context)
        requests, waits, unknown = [], [], []

        @cache
        def under_way() -> Sequence[dg.DagsterRun]:
            # a backfill of all classes is thousands of runs: they are read once for all splits
            return context.instance.get_runs(filters=dg.RunsFilter(statuses=_UNDER_WAY))

        try:
            seen = list(changed_exclusions(context.instance, settings))
        except KineticsError:
            seen = []  # each split that leaves these clips out says why
        for split in Split:
            try:
                digest = lists_state(settings, Layout.of(settings), split)
            except KineticsError as error:
                unknown.append(f"{split}: {error}".rstrip("."))
                continue
            reason = _why_not(context.instance, settings, split, digest=digest, asked=asked)
            busy = None if reason else _run_of_split(under_way(), settings, split)
            if busy:
                reason = f"waiting for run {busy[:8]} to end"
            if reason:
                waits.append(f"{split}: {reason}")
                continue
            asked[split.value] = digest
            requests.append(
                dg.RunRequest(
                    run_key=f"{split}-{digest}",
                    asset_selection=[asset_key(settings.dataset, split, Stage.FILELISTS)],
                )
            )
        if not requests:
            why = dg.SkipReason("; ".join([*unknown, *waits]) + ".")
            return dg.SensorResult(skip_reason=why, asset_events=seen) if seen else why
        for told in unknown:  # a tick that asks for runs has no reason to skip
            context.log.warning("No lists are asked for of %s.", told)
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(asked), asset_events=seen)

    return fresh


def read_cursor(context: dg.SensorEvaluationContext) -> dict[str, Any]:
    """Return the table in a sensor's cursor; empty where the user has put something else there.

    It is no more than a memory: what was asked for has its run key, which Dagster runs only once.
    """
    try:
        cursor = json.loads(context.cursor or "{}")
    except ValueError:
        return {}
    return cursor if isinstance(cursor, dict) else {}


def _why_not(
    instance: dg.DagsterInstance,
    settings: Settings,
    split: Split,
    *,
    digest: str,
    asked: Mapping[str, str],
) -> str:
    """Return why no lists are asked for, empty when only a run under way could be a reason."""
    if not digest:
        return "nothing was prepared yet"
    if asked.get(split.value) == digest:
        return "nothing that is listed changed since the last request"
    if _listed_digest(instance, settings, split) == digest:
        return "the lists are up to date"
    return ""


def _listed_digest(instance: dg.DagsterInstance, settings: Settings, split: Split) -> str | None:
    """Return the state of what the split's lists were written from."""
    key = asset_key(settings.dataset, split, Stage.FILELISTS)
    event = instance.get_latest_materialization_event(key)
    if event is None or event.asset_materialization is None:
        return None
    value = event.asset_materialization.metadata.get(MANIFESTS_DIGEST)
    return str(value.value) if value is not None else None


def _run_of_split(
    under_way: Sequence[dg.DagsterRun], settings: Settings, split: Split
) -> str | None:
    """Return the id of one of the runs that works, or will work, on the split."""
    dataset = settings.dataset
    whole = {
        prepare_job_name(dataset, split),
        whole_job_name(dataset, split),
        filelists_job_name(dataset),
    }
    for run in under_way:
        chosen = run.asset_selection or ()
        if any(list(key.path[:2]) == [dataset, split.value] for key in chosen):
            return run.run_id
        if not chosen and run.job_name in whole:
            return run.run_id
    return None

"""The steps of one class that share a run, and so may share a decode.

Frames and flow of the original depend on the videos alone, so Dagster starts their steps together
with that of resized. Here they wait for it, since it makes what they want while it decodes. Dagster
launches steps in the order of their priority, so whoever looks into the log of its run finds there
all that was launched before it.
"""

# no `from __future__ import annotations`: Dagster compares the type of `context` itself
import time
from typing import Final

import dagster as dg

from kinetics_assets.assets.partitions import asset_key
from kinetics_assets.core.clips import Split
from kinetics_assets.core.stages import DECODERS, Stage, earlier_decoders, later_decoders

PRIORITY_TAG: Final = "dagster/priority"
_PAUSE_SECONDS: Final = 0.5
_UNDER_WAY: Final = {
    dg.DagsterEventType.STEP_WORKER_STARTING,
    dg.DagsterEventType.STEP_WORKER_STARTED,
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.STEP_RESTARTED,
}
_ENDED: Final = {
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SKIPPED,
}
_PAUSED: Final = {dg.DagsterEventType.STEP_UP_FOR_RETRY}


def launch_order(stage: Stage) -> dict[str, str]:
    """Return the tags with which steps are launched in the order in which they make things."""
    priority = len(DECODERS) - DECODERS.index(stage) if stage in DECODERS else 0
    return {PRIORITY_TAG: str(priority)}


def await_decoders(
    context: dg.AssetExecutionContext, dataset: str, split: Split, *, stage: Stage
) -> None:
    """Wait until no step of this run is under way that makes something for `stage`."""
    named = _named(context, dataset, split)
    earlier = {key for key, other in named.items() if other in earlier_decoders(stage)}
    names, has_said = ", ".join(sorted(earlier)), False
    while earlier & {key for key, last in _last_events(context).items() if last in _UNDER_WAY}:
        if not has_said:
            context.log.info("Waits for %s: what they decode for it is not decoded again.", names)
            has_said = True
        time.sleep(_PAUSE_SECONDS)


def stages_to_come(
    context: dg.AssetExecutionContext, dataset: str, split: Split, *, stage: Stage
) -> frozenset[Stage]:
    """Return the stages of this run that have not ended and may take what `stage` makes."""
    last = _last_events(context)
    later = {
        key: other
        for key, other in _named(context, dataset, split).items()
        if other in later_decoders(stage)
    }
    return frozenset(other for key, other in later.items() if last.get(key) not in _ENDED)


def _named(context: dg.AssetExecutionContext, dataset: str, split: Split) -> dict[str, Stage]:
    """Return the steps of this run that decode videos of the split, by step key."""
    keys = {stage: asset_key(dataset, split, stage) for stage in DECODERS}
    chosen = context.job_def.asset_layer.selected_asset_keys
    steps = context.run.step_keys_to_execute
    named = {key.to_python_identifier(): stage for stage, key in keys.items() if key in chosen}
    return {key: stage for key, stage in named.items() if steps is None or key in steps}


def _last_events(context: dg.AssetExecutionContext) -> dict[str, dg.DagsterEventType]:
    """Return the last of the events that matter here, by step key."""
    last = {}
    wanted = _UNDER_WAY | _ENDED | _PAUSED
    for entry in context.instance.all_logs(context.run.run_id, of_type=wanted):
        event = entry.dagster_event
        if event is not None and event.step_key is not None:
            last[event.step_key] = event.event_type
    return last

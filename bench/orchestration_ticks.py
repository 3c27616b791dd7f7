"""The ticks of orchestration.py: each evaluated as a code server or the daemon does it.

Sensors are asked by the function that Dagster's code server calls, an instance opened for each tick
included; conditions are evaluated as the daemon evaluates them. What the daemon does with an answer
(writing the tick down, launching runs) is not counted.
"""

# ruff: noqa: ANN401, SLF001 - Dagster's own types and functions are not exported

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

import dagster as dg
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.impl import get_external_sensor_execution
from orchestration_instance import LOCATION, new_rows, queue
from orchestration_lists import ARCHIVE, DATASET, Editions
from sql_count import Cost, counted

from kinetics_assets.assets import sensors_changed
from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.annotation_store import set_current

_ORIGIN: Final = InProcessCodeLocationOrigin(
    LoadableTargetOrigin(module_name="kinetics_assets.definitions"), location_name=LOCATION
)
Ticks = dict[str, dict[str, Any]]


def tick_costs(
    instance: dg.DagsterInstance,
    repository: Any,
    editions: Editions,
    *,
    settings: Settings,
    classes: int,
) -> Ticks:
    """Return tick -> CPU seconds, SQL statements, and what came of it.

    Args:
        instance: With `classes` classes made; what the ticks need is added to it.
        repository: Our definitions' repository.
        editions: The lists of `settings`, and the server's folder.
        settings: Of the dataset.
        classes: Of so many classes in each split new rows are observed.
    """
    found: Ticks = {}
    for name, cost, said in (
        *_sensor_ticks(instance, repository, editions, settings),
        *_automation_ticks(instance, settings, classes),
        *_ticks_beside_runs(instance, repository, settings),
    ):
        found[name] = {
            "cpu_s": cost.cpu_s,
            "sql": cost.sql,
            "most_repeated": cost.most_repeated,
            "said": said[:160],
        }
    return found


_Found = Iterator[tuple[str, Cost, str]]


def _sensor_ticks(
    instance: dg.DagsterInstance, repository: Any, editions: Editions, settings: Settings
) -> _Found:
    """Yield the ticks of the sensors, with no run under way."""
    layout = Layout.of(settings)

    def tick(name: str, cursor: str | None = None) -> tuple[Cost, str, str | None]:
        return _tick(instance, repository, f"{DATASET}_{name}", cursor)

    set_current(layout, editions.infos[0])
    shutil.copyfile(editions.archive(0), editions.served / ARCHIVE)
    tick("editions")  # what it imports is the load's cost
    yield "editions: the source answers 304", *tick("editions")[:2]
    shutil.copyfile(editions.archive(1), editions.served / ARCHIVE)
    yield "editions: new lists", *tick("editions")[:2]
    sensors_changed._edition_of.cache_clear()
    cost, said, cursor = tick("changed_classes")
    yield "changed_classes: none, after a start", cost, said
    while said.startswith("Opened"):
        _, said, cursor = tick("changed_classes", cursor)
    yield "changed_classes: none", *tick("changed_classes", cursor)[:2]
    set_current(layout, editions.infos[1])
    sensors_changed._edition_of.cache_clear()
    cost, said, cursor = tick("changed_classes", cursor)
    yield "changed_classes: all, after a start", cost, said
    for _ in range(3):
        tick("changed_classes", cursor)  # each opens manifests that the one before did not
    yield "changed_classes: all", *tick("changed_classes", cursor)[:2]
    cost, said, cursor = tick("filelists_fresh")
    yield "filelists_fresh: all splits changed", cost, said
    yield "filelists_fresh: nothing changed", *tick("filelists_fresh", cursor)[:2]
    schedule = repository.get_schedule_def(f"{DATASET}_refill_nightly")
    context = dg.build_schedule_context(instance, scheduled_execution_time=datetime.now(UTC))
    with counted() as cost:
        asked = schedule.evaluate_tick(context).run_requests
    yield "refill_nightly", cost, f"{len(asked or ())} runs"


def _automation_ticks(instance: dg.DagsterInstance, settings: Settings, classes: int) -> _Found:
    """Yield the ticks of the presets: at rest, and after new rows of many classes."""
    presets: tuple[Literal["filelists", "all"], ...] = ("filelists", "all")
    resting: dict[str, tuple[dg.Definitions, Any]] = {}
    for preset in presets:
        annotations = replace(settings.annotations, automate=preset)
        defs = dataset_definitions(replace(settings, annotations=annotations))
        _, cursor = _evaluated(defs, instance, None)
        cost, cursor = _evaluated(defs, instance, cursor.cursor)
        yield f"automation {preset}: nothing changed", cost, f"{cursor.total_requested} requested"
        resting[preset] = defs, cursor.cursor
    changed = new_rows(instance, settings, classes=classes)
    for preset, (defs, cursor) in resting.items():
        cost, result = _evaluated(defs, instance, cursor)
        said = f"{changed} classes observed anew, {result.total_requested} requested"
        yield f"automation {preset}: new rows of all that was made", cost, said


def _ticks_beside_runs(instance: dg.DagsterInstance, repository: Any, settings: Settings) -> _Found:
    """Yield ticks while the runs of a backfill of all classes wait."""
    count = queue(instance, repository, settings)
    for name in ("editions", "changed_classes", "filelists_fresh"):
        cost, said, _ = _tick(instance, repository, f"{DATASET}_{name}", None)
        yield f"{name}: {count} runs queued", cost, said


def _tick(
    instance: dg.DagsterInstance, repository: Any, name: str, cursor: str | None
) -> tuple[Cost, str, str | None]:
    """Return what a tick costs, what it says, and its cursor.

    Raises:
        RuntimeError: The tick failed.
    """
    with counted() as cost:
        told = get_external_sensor_execution(
            repository, _ORIGIN, instance.get_ref(), name, None, None, cursor, None, None
        )
    if not hasattr(told, "run_requests"):
        raise RuntimeError(f"{name}: {told}")
    said = told.skip_message or f"{len(told.run_requests or ())} runs"
    return cost, said, told.cursor


def _evaluated(
    defs: dg.Definitions, instance: dg.DagsterInstance, cursor: Any
) -> tuple[Cost, dg.EvaluateAutomationConditionsResult]:
    """Return what an evaluation of all conditions costs, and what it asks for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dagster's own use of what it calls beta
        with counted() as cost:
            result = dg.evaluate_automation_conditions(defs, instance, cursor=cursor)
    return cost, result

"""The Dagster instance of orchestration.py: all class stages of 700 classes and 3 splits, as run.

Runs and events are built as Dagster builds them (one run for each class and split, data versions
and their pointers to the inputs' events as tags, the stages' metadata, the checks' verdicts), and
put into the index of its SQLite storage with its own functions, many in a transaction. Left out are
the events that only the page of a single run shows, which lie in a database for each run.
"""

# ruff: noqa: ANN401, SLF001 - Dagster's own types and functions are not exported

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEvent,
    DagsterEventType,
    StepMaterializationData,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._serdes import serialize_value

from kinetics_assets.assets.checks import COMPLETE
from kinetics_assets.assets.jobs import whole_job_name
from kinetics_assets.assets.partitions import (
    CLASS_ROWS,
    asset_key,
    class_partitions,
    partition_of,
)
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import ALL_CLASS_STAGES
from kinetics_assets.io.annotation_store import class_versions

FAILURES_SHOWN: Final = 40
"""Rows in the table of lost clips: 5 % of a class."""
LOCATION: Final = "kinetics_assets"
_BATCH: Final = 5000


def fill(instance: dg.DagsterInstance, repository: Any, settings: Settings, *, classes: int) -> int:
    """Return the number of class stages that the instance now holds as materialised.

    Args:
        instance: Empty, with SQLite storage.
        repository: The definitions' repository.
        settings: Of the dataset.
        classes: So many classes of each split were run in all stages; the others never were.
    """
    writer, done = _Writer(instance), 0
    for split in Split:
        versions = class_versions(Layout.of(settings), split)
        key = asset_key(settings.dataset, split, CLASS_ROWS)
        pointers = {
            (CLASS_ROWS, partition): writer.observed(key, partition, version)
            for partition, version in ((partition_of(c), v) for c, v in versions.items())
        }
        chosen = class_partitions(settings.dataset, split).get_partition_keys()[:classes]
        keys = {stage: asset_key(settings.dataset, split, stage) for stage in ALL_CLASS_STAGES}
        job = repository.get_job(whole_job_name(settings.dataset, split))
        runs = _runs(instance, job, chosen, keys=frozenset(keys.values()))
        for partition, run_id in zip(chosen, runs, strict=True):
            versions_here = {CLASS_ROWS: versions.get(partition, "")}
            for stage, of_stage in keys.items():
                node = repository.asset_graph.get(of_stage)
                tags = _tags(node, partition, versions_here, pointers)
                versions_here[stage.value] = tags[DATA_VERSION_TAG]
                writer.planned(of_stage, partition, run_id)
                pointer = writer.materialised(of_stage, partition, run_id, tags)
                pointers[stage.value, partition] = pointer
                done += 1
            writer.flush(least=_BATCH)
    writer.flush()
    return done


def queue(instance: dg.DagsterInstance, repository: Any, settings: Settings) -> int:
    """Return the number of runs that now wait: those of a backfill of all classes and splits."""
    count = 0
    for split in Split:
        job = repository.get_job(whole_job_name(settings.dataset, split))
        keys = frozenset(asset_key(settings.dataset, split, stage) for stage in ALL_CLASS_STAGES)
        names = class_partitions(settings.dataset, split).get_partition_keys()
        queued = dg.DagsterRunStatus.QUEUED
        count += len(_runs(instance, job, names, keys=keys, status=queued))
    return count


def new_rows(instance: dg.DagsterInstance, settings: Settings, *, classes: int) -> int:
    """Return the number of classes of which other rows are now observed, as of a new edition."""
    writer, count = _Writer(instance), 0
    writer.number = instance.event_log_storage.get_maximum_record_id() or 0
    writer.now = time.time()
    for split in Split:
        key = asset_key(settings.dataset, split, CLASS_ROWS)
        for partition in class_partitions(settings.dataset, split).get_partition_keys()[:classes]:
            writer.observed(key, partition, "of a new edition")
            count += 1
    writer.flush()
    return count


def _runs(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    partitions: Sequence[str],
    *,
    keys: frozenset[dg.AssetKey],
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS,
) -> list[str]:
    """Return the ids of new runs, one for each partition."""
    if not partitions:
        return []
    location = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(module_name="kinetics_assets.definitions"), location_name=LOCATION
    )
    repository = RemoteRepositoryOrigin(location, "__repository__")
    snapshots = instance.create_run_for_job(job, status=dg.DagsterRunStatus.CANCELED)
    instance.delete_run(snapshots.run_id)
    ids = []
    for partition in partitions:
        run = dg.DagsterRun(
            job_name=job.name,
            status=status,
            asset_selection=keys,
            tags={"dagster/partition": partition, "dagster/backfill": "benchback"},
            job_snapshot_id=snapshots.job_snapshot_id,
            execution_plan_snapshot_id=snapshots.execution_plan_snapshot_id,
            remote_job_origin=RemoteJobOrigin(repository, job.name),
        )
        instance.run_storage.add_run(run)
        ids.append(run.run_id)
    return ids


def _tags(
    node: Any, partition: str, versions: dict[str, str], pointers: dict[tuple[str, str], int]
) -> dict[str, str]:
    """Return the tags of a materialisation: its versions, and the events that it was made from."""
    tags = {CODE_VERSION_TAG: node.code_version or "", DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}
    inputs = []
    for parent in sorted(node.parent_keys):
        name = parent.path[-1]
        version = versions.get(name, "INITIAL")
        pointer = pointers.get((name, partition), "NULL")
        tags[get_input_data_version_tag(parent)] = version
        tags[get_input_event_pointer_tag(parent)] = str(pointer)
        inputs.append(version)
    text = f"{node.key.to_user_string()} {partition} {inputs}"
    return tags | {DATA_VERSION_TAG: hashlib.sha256(text.encode()).hexdigest()}


@dataclass
class _Writer:
    """Numbers events and writes them, and what the storage keeps of them, in large transactions."""

    instance: dg.DagsterInstance
    number: int = 0
    now: float = field(default_factory=lambda: time.time() - 86_400)
    events: list[tuple[int, EventLogEntry]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    last: dict[dg.AssetKey, tuple[int, EventLogEntry]] = field(default_factory=dict)

    def observed(self, key: dg.AssetKey, partition: str, version: str) -> int:
        """Return the number of an observation of the rows of a class."""
        seen = dg.AssetObservation(key, partition=partition, tags={DATA_VERSION_TAG: version})
        data = AssetObservationData(seen)
        return self._add(DagsterEventType.ASSET_OBSERVATION, data, key, "")

    def planned(self, key: dg.AssetKey, partition: str, run_id: str) -> None:
        """Write down that a run is going to make a class."""
        data = AssetMaterializationPlannedData(key, partition=partition)
        self._add(DagsterEventType.ASSET_MATERIALIZATION_PLANNED, data, key, run_id)

    def materialised(
        self, key: dg.AssetKey, partition: str, run_id: str, tags: dict[str, str]
    ) -> int:
        """Return the number of the materialisation of a class, whose check is written too."""
        made = dg.AssetMaterialization(key, partition=partition, metadata=_METADATA, tags=tags)
        data = StepMaterializationData(made, [])
        number = self._add(DagsterEventType.ASSET_MATERIALIZATION, data, key, run_id)
        verdict = dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=COMPLETE,
            passed=True,
            metadata={},
            partition=partition,
            description="100.0% of the clips that can be had are there.",
        )
        self._add(DagsterEventType.ASSET_CHECK_EVALUATION, verdict, key, run_id)
        _, entry = self.events[-1]
        self.checks.append(
            {
                "asset_key": key.to_string(),
                "check_name": COMPLETE,
                "partition": partition,
                "run_id": run_id,
                "execution_status": "SUCCEEDED",
                "evaluation_event": serialize_value(entry),
                "evaluation_event_timestamp": self._storage._event_insert_timestamp(entry),
                "evaluation_event_storage_id": self.number,
                "materialization_event_storage_id": number,
            }
        )
        return number

    @property
    def _storage(self) -> Any:
        """The SQLite storage of events, whose own functions make its rows."""
        return self.instance.event_log_storage

    def _add(self, kind: DagsterEventType, data: Any, key: dg.AssetKey, run_id: str) -> int:
        """Return the number of a new event."""
        self.number += 1
        self.now += 0.01
        step = key.to_python_identifier()
        event = DagsterEvent(kind.value, "bench", event_specific_data=data, step_key=step)
        entry = EventLogEntry(None, "debug", "", run_id, self.now, step, "bench", event)
        self.events.append((self.number, entry))
        if kind is not DagsterEventType.ASSET_CHECK_EVALUATION:
            self.last[key] = (self.number, entry)
        return self.number

    def flush(self, *, least: int = 0) -> None:
        """Write the events that were not written yet, if there are at least so many."""
        if len(self.events) < least:
            return
        storage = self._storage
        rows = [storage._event_to_row(event) | {"id": number} for number, event in self.events]
        of_assets = [one for one in self.events if one[1].dagster_event_type in _TAGGED]
        with storage.index_connection() as conn:
            if rows:
                conn.execute(SqlEventLogStorageTable.insert(), rows)
            if self.checks:
                conn.execute(AssetCheckExecutionsTable.insert(), self.checks)
            entries, numbers = [e for _, e in of_assets], [n for n, _ in of_assets]
            storage._store_asset_event_tags(conn, entries, numbers)
            for number, event in self.last.values():
                storage._store_asset_event(conn, event, number)
        self.events, self.checks, self.last = [], [], {}


_TAGGED: Final = {DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_OBSERVATION}


def _made_up_metadata() -> Iterator[tuple[str, Any]]:
    """Yield metadata as a class stage shows it, see assets/metadata.py."""
    numbers = "rows ok unavailable permanent_losses changed retired returned size_bytes frames"
    yield from ((name, dg.MetadataValue.int(740)) for name in numbers.split())
    yield from ((name, dg.MetadataValue.float(0.95)) for name in ("completeness", "share_of_list"))
    yield from ((name, dg.MetadataValue.path("/data/x")) for name in ("folder", "manifest"))
    record = {
        "clip": "abcdefghijk_000010_000020",
        "status": "unavailable",
        "reason": "video_private",
        "cause": "ERROR: Private video. Sign in if you have been granted access to this video",
        "attempts": 3,
        "next_try": "",
    }
    records = [dg.TableRecord(record) for _ in range(FAILURES_SHOWN)]
    yield "failures", dg.MetadataValue.table(records)


_METADATA: Final = dict(_made_up_metadata())

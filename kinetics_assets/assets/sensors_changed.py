"""The sensor that launches runs for classes whose rows changed after they were made.

It is off by default, since what it launches downloads and computes.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import dagster as dg

from kinetics_assets.assets.jobs import prepare_job_name, whole_job_name
from kinetics_assets.assets.partitions import asset_key, partition_of
from kinetics_assets.assets.sensors import read_cursor
from kinetics_assets.assets.sensors_editions import UNDER_WAY
from kinetics_assets.core.annotations import hash_of_names
from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import AnnotationError, KineticsError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings, digest
from kinetics_assets.core.stages import ALL_CLASS_STAGES, OPTIONAL_STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_AT_ONCE = 4
"""Runs of this sensor that are under way at a time."""
MOST_OPENED = 1000
"""Manifests that one tick opens, about half a second; the ticks after it remember what they say."""
_INTERVAL_SECONDS = 60
_SENSOR_TAG = "dagster/sensor_name"
_HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class _Change:
    """A class that was made from other rows than it has now."""

    split: Split
    label: str
    version: str
    """Hash of its rows now."""

    @property
    def place(self) -> str:
        """Which class it is, for the cursor."""
        return f"{self.split}/{self.label}"

    @property
    def run_key(self) -> str:
        """One for each hash of the class's rows, so that no run is launched twice."""
        return f"{self.split}-{partition_of(self.label)}-{self.version[:_HASH_DIGITS]}"


def changed_classes_sensor(settings: Settings, jobs: Sequence[Any]) -> dg.SensorDefinition:
    """Return the sensor that launches a run for each class whose rows changed since it was made.

    Manifests say from which rows a class was made; classes without one are left to a backfill. A
    class is launched once for each hash of its rows, which the cursor keeps, `MOST_AT_ONCE` runs at
    a time; the run makes those stages that the class has already.

    Args:
        settings: Of the dataset.
        jobs: The dataset's jobs, of a type that Dagster does not export.
    """
    name = f"{settings.dataset}_changed_classes"
    by_name = {job.name: job for job in jobs}
    names = {
        job_name(settings.dataset, split)
        for split in Split
        for job_name in (prepare_job_name, whole_job_name)
    }

    @dg.sensor(
        name=name,
        jobs=[by_name[job] for job in sorted(names)],
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=(
            f"Launches runs for classes of {settings.dataset} whose rows changed after their videos"
            f" were made, {MOST_AT_ONCE} at a time, each once for one state of its rows. Off by"
            " default: what it launches downloads clips and computes."
        ),
    )
    def changed(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        cursor: dict[str, dict[str, str]] = read_cursor(context)
        settled, asked = cursor.get("settled", {}), cursor.get("asked", {})
        try:
            changes, is_all = _changes(settings, settled)
        except KineticsError as error:
            return dg.SkipReason(f"Which classes changed cannot be told: {error}")
        new = [change for change in changes if asked.get(change.place) != change.run_key]
        places = {change.place for change in changes}
        if is_all:
            asked = {place: key for place, key in asked.items() if place in places}
        tagged = dg.RunsFilter(tags={_SENSOR_TAG: name}, statuses=UNDER_WAY)
        busy = len(context.instance.get_run_ids(filters=tagged)) if new else 0
        launched = new[: max(MOST_AT_ONCE - busy, 0)]
        asked |= {change.place: change.run_key for change in launched}
        context.update_cursor(json.dumps({"settled": settled, "asked": asked}, sort_keys=True))
        if launched:
            return dg.SensorResult(run_requests=[_request(settings, one) for one in launched])
        if new:
            return dg.SkipReason(f"{busy} runs are under way, {len(new)} classes wait for them.")
        if not is_all:
            return dg.SkipReason(f"Opened {MOST_OPENED} manifests; the next tick goes on.")
        if changes:
            return dg.SkipReason(
                f"All {len(changes)} changed classes were launched already. Those whose runs failed"
                " are taken by a backfill."
            )
        return dg.SkipReason("No class that was made has other rows now.")

    return changed


def _changes(settings: Settings, settled: dict[str, str]) -> tuple[list[_Change], bool]:
    """Return classes whose videos were made from other rows, and whether these are all of them.

    Args:
        settings: Of the dataset.
        settled: Split -> digest of its rows in which no class was found changed; it is kept up to
            date here, and such a split costs the reading of one file.
    """
    from kinetics_assets.io.annotation_store import splits_present
    from kinetics_assets.io.row_versions import row_versions

    changes: list[_Change] = []
    opened_before = _edition_of.cache_info().misses
    for split in splits_present(Layout.of(settings)):
        versions = row_versions(settings, split)
        state = digest(versions)
        if settled.pop(split.value, "") != state:
            made_from, has_changed = _MadeFrom(settings, split), False
            for label, version in versions.items():
                if _edition_of.cache_info().misses - opened_before >= MOST_OPENED:
                    return changes, False
                if made_from.hash_of(label) not in {None, version}:
                    changes.append(_Change(split, label, version))
                    has_changed = True
            if has_changed:
                continue
        settled[split.value] = state
    return changes, True


@dataclass
class _MadeFrom:
    """Tells from which rows the classes of a split were made.

    After a new edition that is asked of all classes at once, so manifests are not read: the footer
    of each names the edition that it belongs to, whose hashes are in one file.
    """

    settings: Settings
    split: Split
    hashes: dict[str, dict[str, str]] = field(default_factory=dict)
    """Edition -> label -> hash of its rows; nothing for an edition that is not stored."""
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        """Know where the dataset is."""
        self.layout = Layout.of(self.settings)

    def hash_of(self, label: str) -> str | None:
        """Return the hash of the rows of a class's videos, None if they were never made."""
        path = self.layout.manifest(self.split, Stage.VIDEOS, label)
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        place = (self.layout, self.split, label, stat.st_mtime_ns, stat.st_size)
        edition = _edition_of(*place)
        return self._of_edition(edition).get(label) or _hash_of_rows(*place)

    def _of_edition(self, edition: str) -> dict[str, str]:
        """Return label -> hash of its rows, as now versions are, of a stored edition's classes."""
        from kinetics_assets.io.annotation_store import class_hashes
        from kinetics_assets.io.row_versions import with_licences

        if not edition:
            return {}
        if edition not in self.hashes:
            self.hashes[edition] = {}
            with suppress(AnnotationError):
                known, nothing = class_hashes(self.layout, edition), (0, hash_of_names([]))
                labels = [*class_names(self.layout.dataset), ""]
                hashes = {one: known.get(one, nothing)[1] for one in labels}
                self.hashes[edition] = with_licences(
                    hashes, self.settings, self.split, edition=edition
                )
        return self.hashes[edition]


@lru_cache(maxsize=16384)
def _edition_of(layout: Layout, split: Split, label: str, mtime_ns: int, size: int) -> str:
    """Return the edition in a manifest's footer; time and size stand for its content."""
    from kinetics_assets.io.manifests import edition_in_footer

    del mtime_ns, size
    return edition_in_footer(layout, split, Stage.VIDEOS, label)


@lru_cache(maxsize=4096)
def _hash_of_rows(layout: Layout, split: Split, label: str, mtime_ns: int, size: int) -> str | None:
    """Return the hash of the clips in a manifest; time and size stand for its content."""
    from kinetics_assets.io.manifests import read_columns

    del mtime_ns, size
    columns = ["youtube_id", "start_seconds", "end_seconds"]
    table = read_columns(layout, split, Stage.VIDEOS, label, names=columns)
    if table is None:
        return None
    rows = zip(*(table[name].to_pylist() for name in columns), strict=True)
    return hash_of_names(ClipId(*row).name for row in rows)


def _request(settings: Settings, change: _Change) -> dg.RunRequest:
    """Return the run that makes a class again in the stages that it was made in."""
    layout = Layout.of(settings)
    stages = [
        stage
        for stage in ALL_CLASS_STAGES
        if layout.manifest(change.split, stage, change.label).exists()
    ]
    job_name = whole_job_name if set(stages) & set(OPTIONAL_STAGES) else prepare_job_name
    return dg.RunRequest(
        run_key=change.run_key,
        job_name=job_name(settings.dataset, change.split),
        partition_key=partition_of(change.label),
        asset_selection=[asset_key(settings.dataset, change.split, stage) for stage in stages],
    )

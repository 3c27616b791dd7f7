"""The mirror's parts that mix classes, and what they hold of each class."""

# no `from __future__ import annotations`: Dagster compares the type of `context` itself
from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from kinetics_assets.assets.faults import CRASH_RETRIES, as_failures
from kinetics_assets.assets.partitions import (
    ARCHIVE_MEMBERS,
    ARCHIVES,
    asset_key,
    class_partitions,
    partition_of,
)
from kinetics_assets.assets.videos import NETWORK_POOL
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings, digest
from kinetics_assets.io.locks import exclusive
from kinetics_assets.sources.mirror_archives import has_parts, known_parts

if TYPE_CHECKING:
    from kinetics_assets.stages.archives import ArchiveReport

_DATA_VERSION_TAG = "dagster/data_version"
_MOST_SHOWN = 100


class ArchiveConfig(dg.Config):
    """Options of one run."""

    fetch_again: bool = Field(
        default=False,
        description=(
            "Fetch the archive although its files are here. What is here stays in use if the new"
            " one cannot be used."
        ),
    )


def archives_assets(settings: Settings, split: Split) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return the assets of a split's parts, none where the mirror has no parts of it."""
    if not has_parts(settings.dataset, split):
        return []
    return [_archives_asset(settings, split), _archive_members_spec(settings, split)]


def _archives_asset(settings: Settings, split: Split) -> dg.AssetsDefinition:
    """Return the asset of the parts: one partition each where their number is established."""
    parts = known_parts(settings.dataset, split)
    partitions = dg.StaticPartitionsDefinition(list(parts)) if parts else None
    key = asset_key(settings.dataset, split, ARCHIVES)

    def archives(
        context: dg.AssetExecutionContext, config: ArchiveConfig
    ) -> Iterator[dg.AssetObservation | dg.MaterializeResult]:
        from kinetics_assets.stages.archives import run_archives

        part = context.partition_key if parts else None
        layout = Layout.of(settings)
        with as_failures():
            reports = run_archives(settings, split, part=part, again=config.fetch_again)
            # two steps that tell at a time could tell the older state last
            with exclusive(layout.mirror_observed_lock, wait=True):
                yield from _changed_members(context.instance, layout)
        problems = [f"{report.name}: {report.problem}" for report in reports if report.problem]
        if problems:
            raise dg.Failure(
                description=(
                    f"{len(problems)} of {len(reports)} archives cannot be used."
                    f" {'; '.join(problems)}"
                ),
                metadata=_metadata(reports, layout),
                allow_retries=False,
            )
        versions = [report.record.sha256 for report in reports if report.record]
        yield dg.MaterializeResult(
            metadata=_metadata(reports, layout), data_version=dg.DataVersion(digest(versions))
        )

    return dg.asset(
        key=key,
        partitions_def=partitions,
        description=(
            f"The archives of the mirror with {split} clips of {settings.dataset}, each a mix of"
            " classes: fetched, checked, unpacked into `mirror/files` and indexed. Files without an"
            " annotation row are kept and shown. An archive that is damaged or breaks the rules is"
            " used not at all, and its partition fails with the reason."
        ),
        group_name=settings.dataset,
        kinds={"tar"},
        retry_policy=CRASH_RETRIES,
        pool=NETWORK_POOL,
    )(archives)


def _archive_members_spec(settings: Settings, split: Split) -> dg.AssetSpec:
    """Return the asset of what the parts hold, which has a data version per class and no code.

    It stands between parts and videos so that a part makes only those classes of videos stale of
    which it brought clips. The steps of the parts observe it. It cannot be observed by itself: such
    a run has no partition, and Dagster then fails at the edge to the parts, which have some.
    """
    key = asset_key(settings.dataset, split, ARCHIVE_MEMBERS)
    return dg.AssetSpec(
        key,
        deps=[
            dg.AssetDep(
                asset_key(settings.dataset, split, ARCHIVES),
                partition_mapping=dg.AllPartitionMapping(),
            )
            if known_parts(settings.dataset, split)
            else asset_key(settings.dataset, split, ARCHIVES)
        ],
        partitions_def=class_partitions(settings.dataset, split),
        description=(
            f"What the archives that are here hold of each {split} class. Nothing is stored for it:"
            " its version is the hash of the clips in the store, observed whenever an archive was"
            " unpacked. A class that gained clips makes its videos unsynced, and only those."
        ),
        group_name=settings.dataset,
        kinds={"tar"},
    )


def _changed_members(instance: dg.DagsterInstance, layout: Layout) -> Iterator[dg.AssetObservation]:
    """Yield an observation for each class whose clips in the store are not as last seen.

    Of all splits with parts: the clips of one may be in an archive of another.
    """
    from kinetics_assets.stages.archives import member_versions

    for split in Split:
        if not has_parts(layout.dataset, split):
            continue
        key = asset_key(layout.dataset, split, ARCHIVE_MEMBERS)
        known = instance.event_log_storage.get_latest_tags_by_partition(
            key, dg.DagsterEventType.ASSET_OBSERVATION, tag_keys=[_DATA_VERSION_TAG]
        )
        versions = {partition_of(k): v for k, v in member_versions(layout, split).items()}
        nothing = dict.fromkeys(known, "nothing")
        for partition, version in {**nothing, **versions}.items():
            if known.get(partition, {}).get(_DATA_VERSION_TAG) != version:
                tags = {_DATA_VERSION_TAG: version}
                yield dg.AssetObservation(key, partition=partition, tags=tags)


def _metadata(reports: tuple["ArchiveReport", ...], layout: Layout) -> dict[str, dg.MetadataValue]:
    """Return counts and sizes of the archives of one run, and the files without a row."""
    records = [report.record for report in reports if report.record]
    unmatched = [(r.name, file) for r in reports for file in r.unmatched]
    values: dict[str, dg.MetadataValue] = {
        "members": dg.MetadataValue.int(sum(len(r.files) for r in records if not r.refused)),
        "matched": dg.MetadataValue.int(sum(report.matched for report in reports)),
        "unmatched": dg.MetadataValue.int(len(unmatched)),
        "size_bytes": dg.MetadataValue.int(sum(record.size_bytes for record in records)),
        "elapsed_seconds": dg.MetadataValue.float(
            round(sum(r.elapsed_seconds for r in reports), 3)
        ),
        "store": dg.MetadataValue.path(layout.mirror),
    }
    if len(records) == 1:
        values["sha256"] = dg.MetadataValue.text(records[0].sha256 or "unknown")
        values["etag"] = dg.MetadataValue.text(records[0].etag or "none")
        values["address"] = dg.MetadataValue.text(records[0].address)
    if unmatched:
        values["files_without_row"] = dg.MetadataValue.table(
            [dg.TableRecord({"archive": a, "file": f}) for a, f in unmatched[:_MOST_SHOWN]]
        )
    refused = [report for report in reports if report.problem]
    if refused:
        values["refused"] = dg.MetadataValue.table(
            [dg.TableRecord({"archive": r.name, "why": r.problem}) for r in refused[:_MOST_SHOWN]]
        )
    return values

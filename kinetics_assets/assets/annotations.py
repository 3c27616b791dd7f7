"""The annotation lists of a dataset, and what was accepted of them, class by class."""

# no `from __future__ import annotations`: Dagster compares the type of `context` itself
from collections.abc import Iterator

import dagster as dg

from kinetics_assets.assets.beta import accepted_betas
from kinetics_assets.assets.edition_metadata import (
    change_lines,
    changes_metadata,
    plausible_result,
    plausible_spec,
)
from kinetics_assets.assets.faults import CRASH_RETRIES, as_failures
from kinetics_assets.assets.metadata import annotations_metadata
from kinetics_assets.assets.partitions import (
    CLASS_ROWS,
    annotations_key,
    asset_key,
    class_partitions,
    partition_of,
)
from kinetics_assets.core.annotations import hash_of_names
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings, digest
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.digests import recipe_digest

_DATA_VERSION_TAG = "dagster/data_version"
_NO_ROWS = hash_of_names(())


def annotations_asset(settings: Settings) -> dg.AssetsDefinition:
    """Return the asset of a dataset's lists, all splits."""

    @dg.asset(
        key=annotations_key(settings.dataset),
        description=(
            f"The train, val and test lists of {settings.dataset}, fetched, checked line by line"
            " and stored under MMAction2's names. Every list that was ever used is kept untouched"
            " as an edition. Materialise it again to look for a new edition: classes whose rows"
            " changed then show as unsynced, all others stay as they are."
        ),
        group_name=settings.dataset,
        kinds={"csv"},
        code_version=recipe_digest(Stage.ANNOTATIONS, settings),
        retry_policy=CRASH_RETRIES,
        check_specs=[plausible_spec(annotations_key(settings.dataset))],
    )
    def annotations(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from kinetics_assets.stages.annotations import run_annotations

        layout = Layout.of(settings)
        with as_failures():
            report = run_annotations(settings)
            for split in report.editions:
                for observation in _changed_rows(context.instance, settings, split):
                    context.log_event(observation)
        for line in change_lines(report):
            context.log.info(line)
        editions = {split.value: info.sha256 for split, info in report.editions.items()}
        return dg.MaterializeResult(
            metadata=annotations_metadata(report, layout=layout) | changes_metadata(report),
            data_version=dg.DataVersion(digest(editions)),
            check_results=[plausible_result(report)],
        )

    return annotations


def class_rows_asset(settings: Settings, split: Split) -> dg.AssetsDefinition:
    """Return the observable asset of a split's rows, whose data version is their hash per class.

    It stands between the lists and the videos so that a new edition makes only those classes
    stale whose own rows changed.
    """
    key = asset_key(settings.dataset, split, CLASS_ROWS)
    spec = dg.AssetSpec(
        key,
        deps=[annotations_key(settings.dataset)],
        partitions_def=class_partitions(settings.dataset, split),
        description=(
            f"The rows of each class in the {split} list. Nothing is stored for it: its version is"
            " the hash of the class's rows (with `cc_only`, of which of them are free, too),"
            " observed whenever the annotations are materialised."
            " A class whose version changed makes its videos unsynced, and only those."
        ),
        group_name=settings.dataset,
        kinds={"csv"},
    )

    def class_rows(context: dg.AssetExecutionContext) -> Iterator[dg.ObserveResult]:
        with as_failures():
            for observation in _changed_rows(context.instance, settings, split):
                context.log_event(observation)
        yield from ()

    with accepted_betas():
        # only an asset that may be left out of its step need not yield a result; ours would be an
        # event without a class beside those of the classes
        return dg.multi_observable_source_asset(
            specs=[spec], name=key.to_python_identifier(), can_subset=True
        )(class_rows)


def _changed_rows(
    instance: dg.DagsterInstance, settings: Settings, split: Split
) -> Iterator[dg.AssetObservation]:
    """Return an observation for each class whose rows are not as Dagster last saw them.

    A class that it never saw has no rows: a short list of one's own is no event for all the others.
    """
    from kinetics_assets.io.row_versions import row_versions

    key = asset_key(settings.dataset, split, CLASS_ROWS)
    known = instance.event_log_storage.get_latest_tags_by_partition(
        key, dg.DagsterEventType.ASSET_OBSERVATION, tag_keys=[_DATA_VERSION_TAG]
    )
    for label, version in row_versions(settings, split).items():
        partition = partition_of(label)
        if known.get(partition, {}).get(_DATA_VERSION_TAG, _NO_ROWS) != version:
            tags = {_DATA_VERSION_TAG: version}
            yield dg.AssetObservation(key, partition=partition, tags=tags)

"""Lists of clips that file lists leave out: an observed asset, so that a changed one is noticed.

It is there only where ``filelists.exclude`` is set. Its data version is the hash of the lists'
bytes: file lists that were written with other ones turn stale, and nothing else does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from kinetics_assets.assets.beta import accepted_betas
from kinetics_assets.assets.faults import as_failures
from kinetics_assets.assets.metadata import MAX_TABLE_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.settings import Settings
    from kinetics_assets.stages.filelists import ListsReport

EXCLUSIONS = "exclusions"
"""Last part of the asset's key."""
_DATA_VERSION_TAG = "dagster/data_version"
_LISTS = dg.TableSchema(
    [
        dg.TableColumn("list", "string"),
        dg.TableColumn("clips", "int"),
        dg.TableColumn("sha256", "string", description="of the file"),
    ]
)
_CLASSES = dg.TableSchema([dg.TableColumn("class", "string"), dg.TableColumn("rows", "int")])


def exclusions_key(dataset: str) -> dg.AssetKey:
    """Return the key of the lists of clips that a dataset's file lists leave out."""
    return dg.AssetKey([dataset, EXCLUSIONS])


def exclusions_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the observable asset of the lists that the settings name; none if they name none."""
    if not settings.filelists.exclude:
        return []
    key = exclusions_key(settings.dataset)
    names = ", ".join(settings.filelists.exclude)
    spec = dg.AssetSpec(
        key,
        description=(
            f"Clips that file lists of {settings.dataset} leave out on purpose: {names}. Nothing is"
            " stored for it: its version is the hash of these lists, which the sensor of the file"
            " lists observes. One that changed makes the file lists unsynced, and nothing else."
        ),
        group_name=settings.dataset,
        kinds={"csv"},
    )

    def exclusions() -> dg.ObserveResult:
        from kinetics_assets.io.exclusions import current_version

        with as_failures():
            version = current_version(settings)
        return dg.ObserveResult(asset_key=key, data_version=dg.DataVersion(version))

    with accepted_betas():
        return [
            dg.multi_observable_source_asset(specs=[spec], name=key.to_python_identifier())(
                exclusions
            )
        ]


def exclusions_dependency(settings: Settings, split: Split) -> list[dg.AssetDep]:
    """Return what a split's file lists hang on besides outputs; empty if nothing is left out."""
    if _is_excluded(settings, split):
        return [dg.AssetDep(exclusions_key(settings.dataset))]
    return []


def exclusion_recipe(settings: Settings, split: Split) -> tuple[str, ...]:
    """Return what the settings say of clips to leave out of a split's lists; empty if nothing."""
    of = settings.filelists
    return (of.exclude_by, *of.exclude) if _is_excluded(settings, split) else ()


def changed_exclusions(
    instance: dg.DagsterInstance, settings: Settings
) -> Iterator[dg.AssetObservation]:
    """Yield an observation if the lists are not as Dagster last saw them.

    Raises:
        AnnotationError: A list is not there.
    """
    from kinetics_assets.io.exclusions import current_version

    if not settings.filelists.exclude:
        return
    key, version = exclusions_key(settings.dataset), current_version(settings)
    seen = instance.fetch_observations(key, limit=1).records
    observation = seen[0].asset_observation if seen else None
    if observation is None or observation.tags.get(_DATA_VERSION_TAG) != version:
        yield dg.AssetObservation(key, tags={_DATA_VERSION_TAG: version})


def exclusion_metadata(report: ListsReport) -> dict[str, Any]:
    """Return which rows were left out on purpose, by class, and by which lists; empty if none."""
    left_out = report.excluded
    if not left_out.exclusion:
        return {}
    lists = [
        dg.TableRecord({"list": one.name, "clips": len(one.clips), "sha256": one.sha256})
        for one in left_out.exclusion.lists
    ]
    counts = sorted(left_out.counts.items(), key=lambda item: (-item[1], item[0]))
    classes = [
        dg.TableRecord({"class": label, "rows": rows}) for label, rows in counts[:MAX_TABLE_ROWS]
    ]
    return {
        "excluded_rows": dg.MetadataValue.int(sum(left_out.counts.values())),
        "excluded_by": dg.MetadataValue.text(left_out.exclusion.record()["by"]),
        "exclusion_lists": dg.MetadataValue.table(lists, schema=_LISTS),
        "excluded_classes": dg.MetadataValue.table(classes, schema=_CLASSES),
    }


def _is_excluded(settings: Settings, split: Split) -> bool:
    """Return whether the settings leave clips out of the lists of a split."""
    return bool(settings.filelists.exclude) and split.value in settings.filelists.exclude_from

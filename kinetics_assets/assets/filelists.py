"""The file lists of a split, which trainers read."""

from __future__ import annotations

import dagster as dg

from kinetics_assets.assets.exclusions import (
    exclusion_metadata,
    exclusion_recipe,
    exclusions_dependency,
)
from kinetics_assets.assets.faults import CRASH_RETRIES, as_failures
from kinetics_assets.assets.metadata import lists_metadata
from kinetics_assets.assets.partitions import asset_key
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import SOUND_STAGES, Stage
from kinetics_assets.stages.digests import recipe_digest


def filelists_asset(settings: Settings, split: Split) -> dg.AssetsDefinition:
    """Return the asset of a split's lists; one for all classes, written from manifests alone."""
    of_videos = Stage(settings.filelists.videos_from)
    upstream = dict.fromkeys([of_videos, Stage.RAWFRAMES, Stage.FLOW, *SOUND_STAGES])
    order = f"shuffled with seed {settings.filelists.seed}" if settings.filelists.shuffle else ""

    @dg.asset(
        key=asset_key(settings.dataset, split, Stage.FILELISTS),
        deps=[
            dg.AssetDep(
                asset_key(settings.dataset, split, stage),
                partition_mapping=dg.AllPartitionMapping(),
            )
            for stage in upstream
        ]
        + exclusions_dependency(settings, split),
        description=(
            f"The {split} lists of videos, frames and flow in MMAction2's formats, .txt and .json,"
            f" {order or 'sorted by path'}; lists of sound if there is any. They hold what the"
            " manifests call ok, never what happens to be on the disk. A sensor writes them anew"
            " when manifests changed."
        ),
        group_name=settings.dataset,
        kinds={"text"},
        code_version=recipe_digest(Stage.FILELISTS, settings, *exclusion_recipe(settings, split)),
        retry_policy=CRASH_RETRIES,
    )
    def filelists() -> dg.MaterializeResult:
        from kinetics_assets.io.exclusions import lists_state
        from kinetics_assets.stages.filelists import run_filelists

        with as_failures():
            before = lists_state(settings, Layout.of(settings), split)
            report = run_filelists(settings, split)
        return dg.MaterializeResult(
            metadata=lists_metadata(report, manifests_digest=before) | exclusion_metadata(report),
            data_version=dg.DataVersion(report.data_version),
        )

    return filelists

"""The clips of a split, class by class, from the sources of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.assets.class_stage import ClassStage, class_stage_asset
from kinetics_assets.assets.partitions import ARCHIVE_MEMBERS, CLASS_ROWS
from kinetics_assets.core.stages import Stage
from kinetics_assets.sources.mirror_archives import has_parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    import dagster as dg

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.settings import Settings

NETWORK_POOL = "network"
"""Pool of steps that ask other machines for data; its limit is set on the Dagster instance."""


def videos_assets(settings: Settings, splits: Iterable[Split]) -> list[dg.AssetsDefinition]:
    """Return the videos asset of each split."""
    return [class_stage_asset(settings, split, _videos(settings, split)) for split in splits]


def _videos(settings: Settings, split: Split) -> ClassStage:
    """Return the videos stage of one split; it also reads what archives of mixed classes hold."""
    sources = ", then ".join(settings.sources.order)
    return ClassStage(
        stage=Stage.VIDEOS,
        upstream=CLASS_ROWS,
        beside=(ARCHIVE_MEMBERS,) if has_parts(settings.dataset, split) else (),
        kinds=frozenset({"youtube", "video"}),
        pool=NETWORK_POOL,
        description=(
            f"One file per clip, looked for in {sources}, cut to its span where the source is"
            " longer, and verified by decoding every frame. Clips that are gone stay in the"
            " manifest with the reason. A rerun asks only for what is missing and due."
        ),
    )

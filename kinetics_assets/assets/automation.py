"""What Dagster makes again by itself, by the setting `annotations.automate`; nothing by default.

Automatic runs begin with what is there already: a class that was never made stays so until somebody
asks for it, so that the first lists of a dataset do not start the download of all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from kinetics_assets.assets.partitions import ARCHIVE_MEMBERS, asset_key
from kinetics_assets.core.clips import Split
from kinetics_assets.core.stages import ALL_CLASS_STAGES, Stage
from kinetics_assets.sources.mirror_archives import has_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinetics_assets.core.settings import Settings

    Asset = dg.AssetsDefinition | dg.AssetSpec


def automated(settings: Settings, assets: Sequence[Asset]) -> list[Asset]:
    """Return `assets` with the conditions that the settings ask for; as they are without any."""
    conditions = _conditions(settings)
    if not conditions:
        return list(assets)

    def with_condition(spec: dg.AssetSpec) -> dg.AssetSpec:
        condition = conditions.get(spec.key.path[-1])
        return spec.replace_attributes(automation_condition=condition) if condition else spec

    return [
        with_condition(asset)
        if isinstance(asset, dg.AssetSpec)
        else asset.map_asset_specs(with_condition)
        for asset in assets
    ]


def automation_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Return the sensor that evaluates the conditions, none without any."""
    if not _conditions(settings):
        return []
    return [
        dg.AutomationConditionSensorDefinition(
            name=f"{settings.dataset}_automation",
            target=dg.AssetSelection.groups(settings.dataset),
            default_status=dg.DefaultSensorStatus.RUNNING,
            description=(
                f"Makes again what changed under {settings.dataset}, as far as"
                " `automate` below [annotations] in kinetics.toml says."
            ),
        )
    ]


def _conditions(settings: Settings) -> dict[str, dg.AutomationCondition[Any]]:
    """Return last part of an asset's key -> when it is made again by itself."""
    automate = settings.annotations.automate
    if automate == "off":
        return {}
    missing = dg.AutomationCondition.any_deps_missing()
    # lists may be written while classes are missing: they hold what is there
    conditions: dict[str, dg.AutomationCondition[Any]] = {
        Stage.FILELISTS.value: dg.AutomationCondition.eager()
        .without(~missing)
        .with_label("something that is listed changed")
    }
    if automate == "all":
        eager = dg.AutomationCondition.eager().without(~missing)
        made = ~dg.AutomationCondition.missing() & eager & ~_input_missing(settings.dataset)
        label = "the class was made, and its rows or its input changed"
        conditions |= {stage.value: made.with_label(label) for stage in ALL_CLASS_STAGES}
    return conditions


def _input_missing(dataset: str) -> dg.AutomationCondition[Any]:
    """Return whether something is missing that a class stage needs.

    What the mirror's archives hold is no such thing: whoever does not use the mirror, and a class
    that no archive has, never gets an observation of it.
    """
    members = [
        asset_key(dataset, split, ARCHIVE_MEMBERS) for split in Split if has_parts(dataset, split)
    ]
    missing = dg.AutomationCondition.any_deps_missing()
    return missing.ignore(dg.AssetSelection.assets(*members)) if members else missing

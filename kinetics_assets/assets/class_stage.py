"""What the stages that run class by class have in common as assets."""

# no `from __future__ import annotations`: Dagster compares the type of `context` itself
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import dagster as dg
from pydantic import Field

from kinetics_assets.assets.checks import complete_result, complete_spec
from kinetics_assets.assets.faults import CRASH_RETRIES, as_failures
from kinetics_assets.assets.metadata import incomplete, stage_metadata
from kinetics_assets.assets.partitions import asset_key, class_partitions, label_of
from kinetics_assets.assets.pinned import pinned_edition
from kinetics_assets.assets.run_mates import await_decoders, launch_order, stages_to_come
from kinetics_assets.core.clips import Split
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.executors.devices import refuse_lost_device
from kinetics_assets.stages.digests import recipe_digest


class StageConfig(dg.Config):
    """Options of one run; nothing here changes what is made, only whether it is tried."""

    retry_now: bool = Field(
        default=False,
        description=(
            "Also try clips that failed for good or whose pause is not over. Without it a rerun"
            " makes no request for them."
        ),
    )
    retry_reasons: list[str] = Field(
        default=[],
        description="With retry_now, only clips with one of these reasons; empty means all.",
    )
    check_files: bool = Field(
        default=False,
        description=(
            "Hash every output of the class and make again what was altered. Without it only files"
            " that were written to since they were made are hashed."
        ),
    )


@dataclass(frozen=True, slots=True)
class ClassStage:
    """What sets one class stage apart from the others in the graph."""

    stage: Stage
    upstream: Stage | str
    """Stage of the same split that it reads."""
    kinds: frozenset[str]
    """Badges in the lineage view."""
    description: str
    beside: tuple[str, ...] = ()
    """Further parts of the same split that it reads, by the last part of their keys."""
    pool: str | None = None
    """Named pool whose slots limit how many steps run at a time."""
    step_tags: dict[str, str] = field(default_factory=dict)
    """What the executor is told about its steps."""
    recipe: tuple[str, ...] = ()
    """What decides its bytes beside the recipe of the settings."""


def class_stage_asset(settings: Settings, split: Split, what: ClassStage) -> dg.AssetsDefinition:
    """Return the asset of one stage of one split, partitioned by class."""
    stage = what.stage
    key = asset_key(settings.dataset, split, stage)
    partitions = class_partitions(settings.dataset, split)

    def run_class(context: dg.AssetExecutionContext, config: StageConfig) -> dg.MaterializeResult:
        from kinetics_assets.stages.order import ClassOrder
        from kinetics_assets.stages.run import run_stage

        order = ClassOrder(settings, split, label_of(context.partition_key))
        with as_failures():
            refuse_lost_device(settings, split)
            run_id = context.run.run_id
            edition = pinned_edition(context.instance, run_id, settings, split, stage=stage)
            order = replace(order, edition=edition)
            beside: frozenset[Stage] = frozenset()
            if settings.limits.decode_once:
                await_decoders(context, settings.dataset, split, stage=stage)
                beside = stages_to_come(context, settings.dataset, split, stage=stage)
            report = run_stage(
                stage,
                order,
                retry_now=config.retry_now,
                retry_reasons=[Reason(name) for name in config.retry_reasons],
                check_files=config.check_files,
                beside=beside,
            )
            check = complete_result(report)
        if not report.is_complete_enough:
            raise incomplete(report)
        return dg.MaterializeResult(
            metadata=stage_metadata(report),
            data_version=dg.DataVersion(report.data_version),
            check_results=[check],
        )

    return dg.asset(
        key=key,
        deps=[
            asset_key(settings.dataset, split, upstream)
            for upstream in (what.upstream, *what.beside)
        ],
        partitions_def=partitions,
        description=what.description,
        group_name=settings.dataset,
        kinds=set(what.kinds),
        code_version=recipe_digest(stage, settings, *what.recipe),
        # no backfill policy: a backfill then makes one run per class, tagged with the class;
        # multi_run(1) tags it with a range, and checks would lose their partition
        retry_policy=CRASH_RETRIES,
        check_specs=[complete_spec(key, stage, partitions)],
        pool=what.pool,
        op_tags=what.step_tags | launch_order(stage),
    )(run_class)


def class_stage_assets(
    settings: Settings, splits: Iterable[Split], what: ClassStage
) -> list[dg.AssetsDefinition]:
    """Return the assets of one stage, one per split."""
    return [class_stage_asset(settings, split, what) for split in splits]

"""The job that refills classes from the UI, and the schedule that may do so each night."""

# no `from __future__ import annotations`: Dagster compares the type of `context` itself
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from kinetics_assets.assets.backfills import add_backfills, asked_for
from kinetics_assets.assets.faults import as_failures
from kinetics_assets.assets.recorded import without_success
from kinetics_assets.core.classes import UNLABELLED, parse_class
from kinetics_assets.core.clips import Split, parse_split
from kinetics_assets.core.errors import InputError
from kinetics_assets.core.needs import USUAL_NEEDS, Need, chosen_needs, chosen_reasons
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import ALL_CLASS_STAGES, CLASS_STAGES, Stage

if TYPE_CHECKING:
    from kinetics_assets.stages.selection import Choice, Finding, Selection

_NIGHTLY = "0 3 * * *"
_MOST_SHOWN = 200


class RefillConfig(dg.Config):
    """What is refilled; the launchpad comes with these values filled in."""

    splits: list[str] = Field(
        default=[split.value for split in Split], description="Of train, val, test."
    )
    classes: list[str] = Field(default=[], description="Class names; empty means all.")
    stages: list[str] = Field(
        default=[stage.value for stage in CLASS_STAGES],
        description=(
            "Of videos, resized, rawframes, flow, audio, audio_features, shards; each with the"
            " stages it reads."
        ),
    )
    states: list[str] = Field(
        default=[need.value for need in USUAL_NEEDS],
        description=(
            "Why a class is taken: missing (clips never tried), failed (Dagster has no success),"
            " incomplete (below the smallest completeness), retryable (clips that failed for a"
            " reason that may heal), damaged (a verified output is gone or altered), stale (made"
            " by another recipe or for another list)."
        ),
    )
    reasons: list[str] = Field(
        default=[],
        description="Retryable means one of these reasons; empty means all that may heal.",
    )
    older_than_hours: float = Field(
        default=0.0, ge=0, description="Leave clips alone that were tried within these hours."
    )
    retry_now: bool = Field(
        default=False, description="Also try clips whose pause is not over yet."
    )
    check_files: bool = Field(
        default=False,
        description="Hash every output; else only files written to since they were made.",
    )
    dry_run: bool = Field(default=False, description="Only tell what would be launched.")


def refill_job_name(dataset: str) -> str:
    """Return the name of the job that refills classes."""
    return f"{dataset}_refill"


def refill_job(settings: Settings) -> dg.JobDefinition:
    """Return the job that looks for classes in need and launches a backfill of exactly those."""
    dataset = settings.dataset

    @dg.op(
        name=f"{dataset}_choose_classes",  # a name must be one op's in all datasets together
        description="Chooses classes, adds their backfills, and shows both as metadata.",
        out=dg.Out(dg.Nothing),
    )
    def refill(context: dg.OpExecutionContext, config: RefillConfig) -> None:
        from kinetics_assets.stages.missing import select_classes

        with as_failures():
            choice = choice_of(dataset, config)
            selection = select_classes(
                settings,
                choice,
                now=datetime.now(UTC),
                has_failed=without_success(context.instance, dataset),
            ).without(asked_for(context.instance, dataset))
        backfills = []
        if selection.chosen and not config.dry_run:
            backfills = add_backfills(
                context.instance, settings, selection, asked_by=refill_job_name(dataset)
            )
        context.log.info(_told(selection, backfills))
        context.add_output_metadata(_metadata(selection, backfills))

    @dg.job(
        name=refill_job_name(dataset),
        description=(
            f"Looks which classes of {dataset} are missing, failed, incomplete, damaged or hold"
            " clips that may be had by now, and launches backfills of exactly those; see them under"
            " Runs > Backfills. Edit the config in the Launchpad to narrow it; `dry_run` only"
            " tells."
        ),
        config=dg.RunConfig(ops={"refill": RefillConfig()}),
        executor_def=dg.in_process_executor,  # it only looks; its backfill does the work
    )
    def refill_classes() -> None:
        refill.alias("refill")()

    return refill_classes


def refill_schedule(settings: Settings, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Return the schedule that each night retries what may have changed; off until switched on."""
    config = RefillConfig(states=[Need.RETRYABLE.value])
    return dg.ScheduleDefinition(
        name=f"{settings.dataset}_refill_nightly",
        job=job,
        cron_schedule=_NIGHTLY,
        run_config=dg.RunConfig(ops={"refill": config}),
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=(
            f"Each night at three, tries again the clips of {settings.dataset} that failed for a"
            " reason that may heal and whose pause is over; nothing else is launched. Off until"
            " you switch it on."
        ),
    )


def choice_of(dataset: str, config: RefillConfig) -> "Choice":
    """Return what the config asks for.

    Raises:
        InputError: A split, class, stage, state or reason does not exist.
    """
    from kinetics_assets.stages.selection import Choice

    labels = ["" if name == UNLABELLED else parse_class(dataset, name) for name in config.classes]
    known = {stage.value: stage for stage in ALL_CLASS_STAGES}
    for name in config.stages:
        if name not in known:
            raise InputError(f"Unknown stage {name!r}.", remedy=f"Use any of: {', '.join(known)}.")
    reasons = chosen_reasons(config.reasons)
    wanted = {parse_split(name) for name in config.splits}
    return Choice(
        splits=tuple(split for split in Split if split in (wanted or set(Split))),
        labels=tuple(labels) or None,
        stages=tuple(Stage(name) for name in config.stages) or CLASS_STAGES,
        needs=chosen_needs(config.states, reasons=reasons),
        reasons=reasons,
        older_than=timedelta(hours=config.older_than_hours),
        retry_now=config.retry_now,
        check_files=config.check_files,
    )


def _told(selection: "Selection", backfills: list[str]) -> str:
    """Return one line that says what came of it."""
    classes = len(selection.classes)
    if not classes:
        return f"No class needs a run now; {len(selection.waiting)} wait."
    if not backfills:
        return f"{classes} classes would be refilled (dry_run)."
    return f"{classes} classes are refilled by {', '.join(backfills)}."


def _metadata(selection: "Selection", backfills: list[str]) -> dict[str, dg.MetadataValue]:
    """Return what was chosen and what waits, as tables."""
    return {
        "backfills": dg.MetadataValue.text(", ".join(backfills) or "none"),
        "classes": dg.MetadataValue.int(len(selection.classes)),
        "chosen": _table(selection.chosen),
        "waiting": _table(selection.waiting),
    }


def _table(findings: "tuple[Finding, ...]") -> dg.MetadataValue:
    """Return a table of findings, cut to its first rows."""
    columns = ["split", "class", "stage", "why", "waits_for"]
    records = [
        dg.TableRecord(
            {
                "split": one.split.value,
                "class": one.label or UNLABELLED,
                "stage": one.stage.value,
                "why": one.why,
                "waits_for": one.waits_for,
            }
        )
        for one in findings[:_MOST_SHOWN]
    ]
    schema = dg.TableSchema([dg.TableColumn(name, "string") for name in columns])
    return dg.MetadataValue.table(records, schema=schema)

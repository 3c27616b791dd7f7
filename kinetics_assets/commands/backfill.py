"""`kinetics backfill`: a Dagster backfill of the classes that need work, and of no other."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from kinetics_assets.commands.choices import (
    chosen_labels,
    chosen_splits,
    chosen_stages,
    class_option,
    existing_root,
    json_option,
    names_in,
    reason_option,
    root_option,
    split_option,
    stage_option,
)
from kinetics_assets.commands.display import console
from kinetics_assets.commands.refilling import RefillRequest
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InputError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.needs import USUAL_NEEDS, chosen_needs, chosen_reasons
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.settings_file import load_settings, shown_datasets

if TYPE_CHECKING:
    from kinetics_assets.runs.backfills import BackfillOutcome
    from kinetics_assets.stages.selection import Selection

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@click.command()
@click.argument("dataset")
@split_option
@class_option
@stage_option
@click.option(
    "--state",
    "states",
    default="",
    metavar="A,B",
    help=f"Of {', '.join(USUAL_NEEDS)} (these by default), stale.",
)
@reason_option
@click.option(
    "--older-than", default="", metavar="24h", help="Leave clips alone that were tried since then."
)
@click.option("--retry-now", is_flag=True, help="Also clips whose pause is not over.")
@click.option("--check-files", is_flag=True, help="Hash every output, not only newer files.")
@click.option("--dry-run", is_flag=True, help="Say what would be launched, launch nothing.")
@click.option("--wait", is_flag=True, help="Wait for the end, with a daemon if none runs.")
@json_option
@root_option
def backfill(
    dataset: str,
    *,
    splits: str,
    labels: tuple[str, ...],
    stages: str,
    states: str,
    reasons: str,
    older_than: str,
    retry_now: bool,
    check_files: bool,
    dry_run: bool,
    wait: bool,
    as_json: bool,
    root: Path | None,
) -> int:
    """Launch a Dagster backfill of the classes that need work.

    Those are the classes that are missing, failed, incomplete or damaged, or hold clips that may
    be had by now. `--reason` alone takes classes that hold clips with these reasons.
    """
    from kinetics_assets.stages.selection import Choice

    settings = load_settings(dataset, root=root)
    wanted_reasons = chosen_reasons(names_in(reasons))
    choice = Choice(
        splits=chosen_splits(splits, default=tuple(Split)),
        labels=chosen_labels(dataset, labels),
        stages=chosen_stages(stages),
        needs=chosen_needs(names_in(states), reasons=wanted_reasons),
        reasons=wanted_reasons,
        older_than=_duration(older_than),
        retry_now=retry_now,
        check_files=check_files,
    )
    folder = existing_root(root)
    _check_lists(settings)
    out = Console(quiet=True) if as_json else console()
    with ExitStack() as stack:
        request = stack.enter_context(RefillRequest(settings, folder, out))
        selection, ids = request.launch(choice, dry_run=dry_run)
        if ids and retry_now:
            _end_pauses(settings, choice.splits, out)
        if wait and not dry_run:
            # one that ends before it is looked for counts too
            outcomes = request.wait_for(list(dict.fromkeys([*ids, *request.under_way()])))
        else:
            outcomes = []
            request.say_who_launches(ids)
    if as_json:
        click.echo(json.dumps(_as_json(dataset, selection, ids, outcomes), indent=1))
    return 0 if all(outcome.succeeded for outcome in outcomes) else 1


def _end_pauses(settings: Settings, splits: tuple[Split, ...], out: Console) -> None:
    """Let sources that are left alone be asked again, as the user wants it now."""
    from kinetics_assets.sources.breaker import end_pauses
    from kinetics_assets.sources.registry import sources_of

    for host in end_pauses(source for split in splits for source in sources_of(settings, split)):
        out.print(f"{host} was left alone; it is asked again now")


def _check_lists(settings: Settings) -> None:
    """Raise `InputError` when there is nothing to look at, or nobody would do the runs."""
    from kinetics_assets.io.annotation_store import splits_present

    dataset = settings.dataset
    if not splits_present(Layout.of(settings)):
        raise InputError(
            f"{dataset} has no annotations yet.", remedy=f"Run `kinetics prepare {dataset}` first."
        )
    if dataset not in shown_datasets():
        raise InputError(
            f"KINETICS_DATASETS does not show {dataset}, so Dagster does not know its classes.",
            remedy="Add it there, or unset the variable.",
        )


def _duration(text: str) -> timedelta:
    """Return the time that ``24h`` stands for.

    Raises:
        InputError: It is not a number with m, h or d.
    """
    if not text:
        return timedelta(0)
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([mhd])", text.strip())
    if match is None:
        raise InputError(
            f"--older-than {text!r} is no time.", remedy="Use for example 90m, 24h or 7d."
        )
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


def _as_json(
    dataset: str, selection: Selection, ids: list[str], outcomes: list[BackfillOutcome]
) -> dict[str, Any]:
    """Return what was chosen, launched and made as plain values."""
    return {
        "dataset": dataset,
        "chosen": [one.to_json() for one in selection.chosen],
        "waiting": [one.to_json() for one in selection.waiting],
        "backfills": ids,
        "outcomes": [
            {
                "backfill": outcome.backfill_id,
                "status": outcome.status,
                "error": outcome.error,
                "runs": outcome.runs,
                "classes": [one.to_json() for one in outcome.classes],
            }
            for outcome in outcomes
        ],
    }

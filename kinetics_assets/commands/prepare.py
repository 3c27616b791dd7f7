"""`kinetics prepare`: make a dataset, or chosen parts of it."""

from __future__ import annotations

import os
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kinetics_assets.commands.choices import (
    chosen_labels,
    chosen_splits,
    chosen_stages,
    class_option,
    environment,
    folder_list,
    root_option,
    root_to_make,
    split_option,
)
from kinetics_assets.commands.display import console, counts_table, failures_text, lists_text
from kinetics_assets.commands.preparation import Outcome, Wanted
from kinetics_assets.commands.preparation import prepare as make
from kinetics_assets.core.classes import parse_dataset
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.io.stored_editions import stored_edition
from kinetics_assets.sources.list_places import is_named

DEFAULT_JOBS = max(1, min(4, len(os.sched_getaffinity(0))))
_SHOWN_CHARACTERS = 160


@click.command()
@click.argument("dataset")
@split_option
@class_option
@click.option(
    "--stage",
    "stages",
    default="",
    metavar="A,B",
    help="Of videos, resized, rawframes, flow, audio, audio_features, shards; with the stages they"
    " read. [the first four]",
)
@click.option(
    "--annotations",
    metavar="SRC",
    help="official, official_delta, backup, crawler, cvdf, or a path or URL; gets the lists anew.",
)
@click.option(
    "--edition",
    metavar="HASH",
    help="Make a list current again that was used before, by the first digits of its sha256.",
)
@click.option(
    "--local",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Look for clips here first; repeatable.",
)
@click.option(
    "--adopt",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Take over videos, frames and flow of an MMAction2 tree; repeatable.",
)
@click.option(
    "--archives/--no-archives",
    default=None,
    help="Get the mirror's archives of mixed classes first. [unless --class]",
)
@click.option(
    "--cc-only",
    is_flag=True,
    help="Only Creative Commons clips (is_cc); sources.cc_only in kinetics.toml makes it last.",
)
@click.option("--retry-now", is_flag=True, help="Also try clips that failed or wait.")
@click.option(
    "--jobs",
    default=DEFAULT_JOBS,
    show_default=True,
    type=click.IntRange(1),
    help="Runs at a time.",
)
@root_option
def prepare(
    dataset: str,
    *,
    splits: str,
    labels: tuple[str, ...],
    stages: str,
    annotations: str | None,
    edition: str | None,
    local: tuple[Path, ...],
    adopt: tuple[Path, ...],
    jobs: int,
    root: Path | None,
    cc_only: bool,
    retry_now: bool,
    archives: bool | None,
) -> int:
    """Make a dataset, or chosen splits, classes and stages of it.

    Every class is one Dagster run. The same command goes on where it was interrupted, and does
    nothing for what is there. Train and val by default.
    """
    parse_dataset(dataset)
    wanted_labels = chosen_labels(dataset, labels)
    wanted_splits = chosen_splits(splits, default=(Split.TRAIN, Split.VAL))
    wanted_stages = chosen_stages(stages)
    variables = {"KINETICS_ROOT": str(root_to_make(root)), "KINETICS_DATASETS": dataset}
    if annotations is not None and edition is not None:
        raise click.UsageError("--annotations and --edition exclude each other.")
    if annotations is not None:
        variables["KINETICS_ANNOTATIONS__SOURCE"] = _annotation_source(annotations)
    if edition is not None:
        layout = Layout.of(load_settings(dataset, root=root))
        variables["KINETICS_ANNOTATIONS__SOURCE"] = str(stored_edition(layout, edition))
    if local:
        variables["KINETICS_SOURCES__LOCAL_FOLDERS"] = folder_list(local)
    if adopt:
        variables["KINETICS_SOURCES__ADOPT_FOLDERS"] = folder_list(adopt)
    if cc_only:
        variables["KINETICS_SOURCES__CC_ONLY"] = "true"
    with environment(variables):
        wanted = Wanted(
            settings=load_settings(dataset),
            splits=wanted_splits,
            stages=wanted_stages,
            labels=wanted_labels,
            retry_now=retry_now,
            new_annotations=annotations is not None or edition is not None,
            jobs=jobs,
            archives=archives,
        )
        out = console()
        outcome = make(wanted, out)
    tell(outcome, out)
    return 0 if outcome.is_complete else 1


def tell(outcome: Outcome, out: Console) -> None:
    """Print what is there now, what is lost and why, and which classes are not done and why."""
    out.print()
    out.print(counts_table(outcome.status))
    lists = lists_text(outcome.status)
    if lists:
        out.print(lists)
    if outcome.lists_skipped:
        out.print(f"No file lists were written: {outcome.lists_skipped}.")
    failures = outcome.status.failures()
    if failures:
        out.print(f"\n{len(failures)} clips could not be had or made:")
        out.print(failures_text(failures, shown=10))
    if outcome.strangers:
        out.print(f"\n{outcome.strangers}")
    if not outcome.is_complete or outcome.unused_archives:
        out.print("\nNot done:")
        out.print(_undone_table(outcome))


def _undone_table(outcome: Outcome) -> Table:
    """Return the runs that failed and the classes that are held back, with the reasons."""
    table = Table("what", "why", box=None, pad_edge=False)
    for what, why in outcome.failed:
        table.add_row(Text(what), Text(_shortened(why)))
    told = {what for what, _ in outcome.failed}
    for what, why in outcome.unused_archives:
        if what not in told:
            table.add_row(Text(what), Text(_shortened(why)))
    for plan in outcome.held_back:
        held = ", ".join(f"{split} {stage}" for split, stage in plan.held_back)
        why = f"too incomplete, and nothing is due now: {held} (--retry-now tries again)"
        table.add_row(Text(plan.label), Text(why))
    return table


def _shortened(text: str) -> str:
    """Return beginning and end of a long text in one line; the end often has the cause."""
    words = " ".join(text.split())
    if len(words) <= 2 * _SHOWN_CHARACTERS:
        return words
    return f"{words[:_SHOWN_CHARACTERS]} ... {words[-_SHOWN_CHARACTERS:]}"


def _annotation_source(text: str) -> str:
    """Return the annotation source with a path made absolute."""
    path = Path(text).expanduser()
    is_path = not is_named(text) and "://" not in text
    return str(path.absolute()) if is_path else text

"""`kinetics status`: what is there, what is missing and why."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from kinetics_assets.commands.choices import (
    chosen_labels,
    chosen_splits,
    class_option,
    existing_root,
    json_option,
    root_option,
    split_option,
)
from kinetics_assets.commands.display import console, counts_table, failures_text, lists_text
from kinetics_assets.core.clips import Split
from kinetics_assets.core.manifest import Status
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.stages.status import DatasetStatus, read_status

_SHOWN_CLASSES = 20


@click.command()
@click.argument("dataset")
@split_option
@class_option
@click.option("--all", "show_all", is_flag=True, help="Show every class and every failure.")
@json_option
@root_option
def status(
    dataset: str,
    *,
    splits: str,
    labels: tuple[str, ...],
    root: Path | None,
    show_all: bool,
    as_json: bool,
) -> None:
    """Say what is there, what is missing and why, per class."""
    settings = load_settings(dataset, root=root)
    wanted = chosen_labels(dataset, labels)
    chosen = chosen_splits(splits, default=tuple(Split))
    existing_root(root)
    found = read_status(settings, splits=chosen, labels=wanted)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1, ensure_ascii=False))
        return
    _print(found, show_all=show_all or wanted is not None)


def _print(found: DatasetStatus, *, show_all: bool) -> None:
    """Print the counts, the classes that are not complete and the failures."""
    out = console()
    dataset = found.settings.dataset
    if not found.editions:
        out.print(f"{dataset}: no annotations yet. Next: kinetics prepare {dataset}")
        return
    for split, edition in found.editions.items():
        out.print(
            f"{dataset} {split}: {edition.rows} rows in {edition.classes} classes,"
            f" {edition.rejected} lines rejected (edition {edition.sha256[:12]})"
        )
    out.print(counts_table(found))
    out.print(lists_text(found) or "No file lists yet.")
    _print_classes(found, show_all=show_all)
    failures = found.failures()
    if failures:
        shown = len(failures) if show_all else 10
        out.print(f"\n{len(failures)} rows with a reason of their own:")
        out.print(failures_text(failures, shown=shown))
        if shown < len(failures):
            out.print("  (--all shows the rest)")


def _print_classes(found: DatasetStatus, *, show_all: bool) -> None:
    """Print the classes that lack something, or all that were asked for."""
    table = Table(box=None, pad_edge=False)
    for name in ("split", "stage", "class", "rows", "ok", "lacking", "why"):
        table.add_column(name, justify="right" if name in {"rows", "ok", "lacking"} else "left")
    hidden = 0
    for total in found.totals:
        for one in total.classes:
            ok = one.summary.counts.get(Status.OK, 0)
            lacking = one.annotated - ok
            if not lacking and not show_all:
                continue
            if not show_all and table.row_count >= _SHOWN_CLASSES:
                hidden += 1
                continue
            reasons = [f"{n} {reason}" for reason, n in one.summary.reasons.items()]
            reasons += [f"{one.missing} not run"] if one.missing else []
            reasons += ["running or interrupted"] if one.is_running else []
            cells = [total.split, total.stage, one.label or "(no label)", str(one.annotated)]
            cells += [str(ok), str(lacking), ", ".join(reasons)]
            table.add_row(*(Text(cell) for cell in cells))
    if table.row_count:
        console().print("\nClasses:" if show_all else "\nClasses that lack clips:")
        console().print(table)
    if hidden:
        console().print(f"... and {hidden} more (--all shows them)")

"""`kinetics status`: what is there, what is missing and why."""

from __future__ import annotations

import json
from datetime import UTC, datetime
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
    existing_root,
    json_option,
    names_in,
    reason_option,
    root_option,
    split_option,
    stage_option,
)
from kinetics_assets.commands.display import console, counts_table, failures_text, lists_text
from kinetics_assets.core.clips import Split
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.needs import chosen_reasons
from kinetics_assets.core.reason_lines import ReasonLine
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.stages.status import DatasetStatus, read_status
from kinetics_assets.stages.status_reasons import Explained, explain

_SHOWN_CLASSES = 20
_SHOWN_TEXTS = 5
_SHOWN_CHARACTERS = 100


@click.command()
@click.argument("dataset")
@split_option
@class_option
@stage_option
@reason_option
@click.option("--all", "show_all", is_flag=True, help="Show every class and every failure.")
@json_option
@root_option
def status(
    dataset: str,
    *,
    splits: str,
    labels: tuple[str, ...],
    stages: str,
    reasons: str,
    root: Path | None,
    show_all: bool,
    as_json: bool,
) -> None:
    """Say what is there, what is missing and why, per class.

    With `--reason` only classes that hold such clips are counted.
    """
    settings = load_settings(dataset, root=root)
    wanted = chosen_labels(dataset, labels)
    chosen = chosen_splits(splits, default=tuple(Split))
    wanted_stages = chosen_stages(stages) if stages else None
    wanted_reasons = chosen_reasons(names_in(reasons))
    existing_root(root)
    found = read_status(settings, splits=chosen, labels=wanted, stages=wanted_stages)
    explained = explain(found.holding(wanted_reasons), now=datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(explained.to_json(), indent=1, ensure_ascii=False))
        return
    _print(explained, show_all=show_all or wanted is not None)


def _print(explained: Explained, *, show_all: bool) -> None:
    """Print the counts, the reasons, the classes that are not complete and the failures."""
    out, found = console(), explained.status
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
    _print_pace(out, explained)
    out.print(lists_text(found) or "No file lists yet.")
    _print_reasons(out, explained)
    _print_classes(out, found, show_all=show_all)
    failures = found.failures()
    if failures:
        shown = len(failures) if show_all else 10
        out.print(f"\n{len(failures)} rows with a reason of their own:")
        out.print(failures_text(failures, shown=shown))
        if shown < len(failures):
            out.print("  (--all shows the rest)")


def _print_pace(out: Console, explained: Explained) -> None:
    """Print how long the rest takes, for stages that went on in the last hour."""
    for total in explained.status.totals:
        pace = total.pace(explained.now)
        if pace.untried and pace.clips_last_hour:
            out.print(
                f"{total.split} {total.stage}: {pace.clips_last_hour} clips in the last hour;"
                f" the {pace.untried} not looked at yet take {pace.hours_left:.1f} h at that pace"
            )


def _print_reasons(out: Console, explained: Explained) -> None:
    """Print why rows are not ok and what can be done, and which sources are left alone."""
    for one in explained.paused:
        out.print(
            f"The source {one.name} ({one.host}) is left alone until"
            f" {one.until:%Y-%m-%d %H:%M} UTC: {one.cause}"
        )
    if explained.sources_problem:
        out.print(Text(f"The sources cannot be asked: {explained.sources_problem}"))
    if not explained.by_reason:
        return
    table = Table(box=None, pad_edge=False)
    for name in ("stage", "reason", "kind", "rows", "due", "what can be done"):
        table.add_column(name, justify="right" if name == "rows" else "left")
    for stage, line in explained.by_reason:
        cells = [stage, line.reason, line.kind, str(line.rows), _due(line), line.advice]
        table.add_row(*(Text(cell) for cell in cells))
    out.print("\nReasons:")
    out.print(table)
    texts = explained.unknown_texts
    if texts:
        out.print("Words that have no reason of their own yet (download_failed):")
        for text in texts[:_SHOWN_TEXTS]:
            words = " ".join(text.text.split())[:_SHOWN_CHARACTERS]
            out.print(Text(f"  {text.rows} x {words}"))
        if len(texts) > _SHOWN_TEXTS:
            out.print(f"  ... and {len(texts) - _SHOWN_TEXTS} more (--json has all)")


def _due(line: ReasonLine) -> str:
    """Return when the rows of a reason are tried again."""
    parts = [f"{line.due_now} now"] if line.due_now else []
    if line.next_due:
        parts.append(f"next {line.next_due:%m-%d %H:%M} UTC")
    return ", ".join(parts) or "-"


def _print_classes(out: Console, found: DatasetStatus, *, show_all: bool) -> None:
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
        out.print("\nClasses:" if show_all else "\nClasses that lack clips:")
        out.print(table)
    if hidden:
        out.print(f"... and {hidden} more (--all shows them)")

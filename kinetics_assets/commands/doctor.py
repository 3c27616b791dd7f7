"""`kinetics doctor`: what of this machine is usable, and the one thing that mends each."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from kinetics_assets.commands.choices import json_option, root_option
from kinetics_assets.commands.display import console
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.stages.doctor.check import Check, State
from kinetics_assets.stages.doctor.examination import examine, is_usable

_UNUSABLE = 3
_STYLES: dict[State, str] = {
    "missing": "bold red",
    "warning": "yellow",
    "off": "dim",
    "ok": "green",
}


@click.command()
@click.argument("dataset", default="kinetics400")
@json_option
@root_option
def doctor(dataset: str, *, root: Path | None, as_json: bool) -> int:
    """Say which tools, engines, devices and disks are usable here, and what mends each.

    What the settings of DATASET (kinetics400 if none is named) need and is not usable is `missing`,
    and gives exit code 3. What is `off` is optional. Nothing is changed, no network is asked.
    """
    settings = load_settings(dataset, root=root)
    checks = examine(settings, now=datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(_record(settings, checks), indent=1, ensure_ascii=False))
    else:
        _print(settings, checks)
    return 0 if is_usable(checks) else _UNUSABLE


def _record(settings: Settings, checks: list[Check]) -> dict[str, object]:
    """Return all findings as plain values."""
    return {
        "dataset": settings.dataset,
        "root": str(settings.root),
        "usable": is_usable(checks),
        "checks": [check.to_json() for check in checks],
    }


def _print(settings: Settings, checks: list[Check]) -> None:
    """Print a line for each finding, its remedy below it, and the sum."""
    out = console()
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        told = Text(check.says)
        if check.remedy:
            told.append(f"\n-> {check.remedy}")
        table.add_row(Text(check.state, style=_STYLES[check.state]), check.name, told)
    out.print(table)
    counts = Counter(check.state for check in checks)
    summed = ", ".join(f"{counts[state]} {state}" for state in _STYLES if counts[state])
    verdict = "usable" if is_usable(checks) else "not usable as it is set"
    out.print(f"\n{settings.dataset} under {settings.root}: {verdict} ({summed}).")

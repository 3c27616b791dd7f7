"""How the verbs speak: one console, tables of counts, lists of failures."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kinetics_assets.core.clips import Split
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.status import DatasetStatus

_PLAIN_WIDTH = 120
_SHOWN_FAILURES = 25
_SHOWN_REASON_CHARACTERS = 100
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def console() -> Console:
    """Return the console for stdout; wide enough for a table when it is no terminal."""
    width = None if sys.stdout.isatty() else _PLAIN_WIDTH
    return Console(width=width, highlight=False, soft_wrap=not sys.stdout.isatty())


def size_text(size_bytes: float) -> str:
    """Return a number of bytes with a unit."""
    for unit in _UNITS:
        if size_bytes < 1024 or unit == _UNITS[-1]:
            break
        size_bytes /= 1024
    return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"


def counts_table(status: DatasetStatus) -> Table:
    """Return the counts per split and stage; statuses that no row has are left out."""
    shown = [name for name in Status if any(total.counts[name] for total in status.totals)]
    table = Table(box=None, pad_edge=False)
    for name in ("split", "stage"):
        table.add_column(name, no_wrap=True)
    for name in ("rows", *shown, "complete", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for total in status.totals:
        counts = total.counts
        table.add_row(
            total.split,
            total.stage,
            str(total.annotated),
            *(str(counts[name]) if counts[name] else "-" for name in shown),
            f"{total.completeness:.1%}",
            size_text(total.size_bytes),
        )
    return table


def lists_text(status: DatasetStatus) -> str:
    """Return one line that says which file lists are there, empty if none."""
    parts = [
        f"{split} " + ", ".join(f"{kind} {lines}" for kind, lines in kinds.items())
        for split, kinds in status.lists.items()
        if kinds
    ]
    return f"File lists (lines): {'; '.join(parts)}" if parts else ""


def failures_text(
    failures: Sequence[tuple[Split, Stage, ManifestRow]], *, shown: int = _SHOWN_FAILURES
) -> Text:
    """Return the first failures, each with its reason and the words of the tool that met it."""
    lines = []
    for split, stage, row in failures[:shown]:
        label = row.label or "(no label)"
        lines.append(f"  {split} {stage}  {label}  {row.clip.name}  {row.status}: {row.reason}")
        words = " ".join(row.reason_text.split())[:_SHOWN_REASON_CHARACTERS]
        lines.append(f"      {words}")
    if len(failures) > shown:
        lines.append(f"  ... and {len(failures) - shown} more")
    return Text("\n".join(lines))

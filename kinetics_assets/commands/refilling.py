"""A refill asked for on the command line: chosen, added to Dagster, and waited for."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kinetics_assets.commands.services import DAEMON, running, signals_as_interrupt, surroundings
from kinetics_assets.core.classes import UNLABELLED
from kinetics_assets.core.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

    from kinetics_assets.runs.backfills import BackfillOutcome
    from kinetics_assets.stages.selection import Choice, Finding, Selection

_LOOK_SECONDS = 2.0
_LAST_RUNS_SECONDS = 120.0
_SHOWN = 20


class RefillRequest:
    """One call of the verb, with the instance open."""

    def __init__(self, settings: Settings, root: Path, out: Console) -> None:
        """Speak to `out` about the dataset of `settings` under `root`."""
        self._settings, self._dataset = settings, settings.dataset
        self._root, self._out = root, out
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        from kinetics_assets import runs

        self._home = runs.dagster_home(self._root)
        self._instance: dg.DagsterInstance = self._stack.enter_context(
            runs.open_instance(self._home)
        )
        runs.reap_dead_runs(self._instance)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def launch(self, choice: Choice, *, dry_run: bool) -> tuple[Selection, list[str]]:
        """Choose, say what was chosen, and return it with the ids of its backfills, if any."""
        from kinetics_assets.assets.backfills import add_backfills, asked_for, title_of
        from kinetics_assets.assets.recorded import without_success
        from kinetics_assets.stages.missing import select_classes

        selection = select_classes(
            self._settings,
            choice,
            now=datetime.now(UTC),
            has_failed=without_success(self._instance, self._dataset),
        ).without(asked_for(self._instance, self._dataset))
        _print_findings(self._out, selection, self._dataset)
        if not selection.chosen or dry_run:
            return selection, []
        ids = add_backfills(self._instance, self._settings, selection, asked_by="kinetics backfill")
        for backfill_id, part in zip(ids, selection.chains.values(), strict=True):
            self._out.print(f"Backfill {backfill_id}: {title_of(self._dataset, part)}")
        return selection, ids

    def under_way(self) -> list[str]:
        """Return the backfills of the dataset that somebody asked for before."""
        from kinetics_assets.assets.backfills import under_way

        return under_way(self._instance, self._dataset)

    def say_who_launches(self, backfill_ids: list[str]) -> None:
        """Say that a daemon launches the runs, or that there is none."""
        from kinetics_assets.runs.backfills import daemon_is_alive

        if not backfill_ids:
            return
        if daemon_is_alive(self._instance):
            self._out.print(
                "The daemon launches the runs; the UI shows them under Runs > Backfills."
            )
        else:
            self._out.print(
                "No daemon of this root is running. Start `kinetics up`, which launches the runs,"
                f" or wait here with `kinetics backfill {self._dataset} --wait`."
            )

    def wait_for(self, backfill_ids: list[str]) -> list[BackfillOutcome]:
        """Return how the backfills ended, after a daemon, ours if need be, has done them."""
        from kinetics_assets.runs.backfills import read_backfill

        outcomes = []
        with ExitStack() as stack:
            stack.enter_context(signals_as_interrupt())
            daemon = stack.enter_context(_Daemon(self._instance, self._home, self._root, self._out))
            for backfill_id in backfill_ids:
                shown: dict[str, int] = {}
                while True:
                    daemon.check()
                    outcome = read_backfill(self._instance, self._dataset, backfill_id)
                    if outcome.runs != shown:
                        shown = outcome.runs
                        counts = ", ".join(f"{n} {name}" for name, n in sorted(shown.items()))
                        self._out.print(f"  {backfill_id}: runs: {counts}")
                    if outcome.has_ended:
                        break
                    time.sleep(_LOOK_SECONDS)
                _print_outcome(self._out, outcome)
                outcomes.append(outcome)
            daemon.let_runs_end()
        return outcomes


class _Daemon:
    """A daemon of this home: one that is alive already, or one of ours."""

    def __init__(self, instance: dg.DagsterInstance, home: Path, root: Path, out: Console) -> None:
        self._instance, self._home, self._root, self._out = instance, home, root, out
        self._stack = ExitStack()
        self._own: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def check(self) -> None:
        """Start a daemon if none is alive.

        Raises:
            ToolMissing: Ours has ended.
        """
        from kinetics_assets.runs.backfills import daemon_is_alive

        if not self._own and not daemon_is_alive(self._instance):
            self._out.print("No daemon of this root is running; this command runs one meanwhile.")
            mirror = self._stack.enter_context(surroundings(self._root, self._home))
            services = self._stack.enter_context(running(self._home, {"daemon": DAEMON}))
            self._own = list(services.values())
            if mirror is not None:
                self._stack.enter_context(mirror)
        for service in self._own:
            service.check()

    def let_runs_end(self) -> None:
        """Wait, if the daemon is ours, for runs that it launched besides (file lists)."""
        from kinetics_assets.runs.instance import has_live_runs

        deadline = time.monotonic() + _LAST_RUNS_SECONDS
        while self._own and has_live_runs(self._instance) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)


def _print_findings(out: Console, selection: Selection, dataset: str) -> None:
    """Print which classes were chosen and why, and which have to wait."""
    classes = len(selection.classes)
    if classes:
        out.print(f"{dataset}: {classes} {'class' if classes == 1 else 'classes'} to refill:")
        out.print(_table(selection.chosen, "why"))
    else:
        out.print(f"{dataset}: no class needs a run now.")
    if selection.waiting:
        out.print("Not now:")
        out.print(_table(selection.waiting, "why", "waits_for"))


def _table(findings: tuple[Finding, ...], *columns: str) -> Table:
    """Return findings as a table, cut to its first rows."""
    table = Table("split", "class", "stage", *columns, box=None, pad_edge=False)
    for one in findings[:_SHOWN]:
        cells = [one.split, one.label or UNLABELLED, one.stage]
        cells += [getattr(one, column) for column in columns]
        table.add_row(*map(Text, cells))
    if len(findings) > _SHOWN:
        table.add_row("...", Text(f"and {len(findings) - _SHOWN} more (--json has all)"))
    return table


def _print_outcome(out: Console, outcome: BackfillOutcome) -> None:
    """Print how each class of a backfill ended."""
    out.print(f"Backfill {outcome.backfill_id} has ended: {outcome.status}.")
    if outcome.error:
        out.print(Text(outcome.error))
    table = Table("split", "class", "made", "not made", "why", box=None, pad_edge=False)
    for one in outcome.classes:
        cells = [one.split, one.label or UNLABELLED, ", ".join(one.done), ", ".join(one.not_done)]
        table.add_row(*map(Text, [*cells, " ".join(one.failure.split())]))
    out.print(table)

"""Progress of running steps, read from what they leave on the disk.

On a terminal a bar per split and stage with rate and time to go; otherwise a plain line now and
then. Reading is done in a thread of its own and never stops the work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import KineticsError
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.status import DatasetStatus, StatusReader

_POLL_SECONDS = 1.0
_IDLE_FACTOR = 20.0
"""Reading takes at most one part in this many of a core's time."""
_LONGEST_PAUSE_SECONDS = 60.0
_PLAIN_SECONDS = 10.0


class _RateColumn(ProgressColumn):
    """Rows per second of a bar."""

    def render(self, task: Task) -> Text:
        """Return the rate as text."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "", style="progress.data.speed")


class StageProgress:
    """Shows how far the chosen stages are, from entering the context until leaving it."""

    def __init__(
        self,
        console: Console,
        settings: Settings,
        *,
        splits: Iterable[Split],
        labels: Iterable[str] | None,
        stages: Iterable[Stage],
    ) -> None:
        """Watch these splits, classes and stages."""
        self._console = console
        self._reader = StatusReader(settings)
        self._splits, self._stages = tuple(splits), tuple(stages)
        self._labels = None if labels is None else tuple(labels)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="progress", daemon=True)
        self._bars = Progress(
            TextColumn("{task.description:16}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[tuple[Split, Stage], TaskID] = {}
        self._last_line = ""
        self._last_time = time.monotonic()

    def __enter__(self) -> Self:
        """Begin to watch."""
        if self._console.is_terminal:
            self._bars.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Show the last state and stop watching."""
        self._stop.set()
        self._thread.join()
        if kind is None:
            self._look()
        if self._console.is_terminal:
            self._bars.stop()

    def _poll(self) -> None:
        """Look again and again until told to stop."""
        wait_seconds = 0.1
        while not self._stop.wait(wait_seconds):
            began = time.thread_time()
            self._look()
            cost_seconds = time.thread_time() - began
            wait_seconds = min(
                max(_POLL_SECONDS, _IDLE_FACTOR * cost_seconds), _LONGEST_PAUSE_SECONDS
            )

    def _look(self) -> None:
        """Read the status once and show it; what cannot be read is left for the step to report."""
        try:
            status = self._reader.read(
                splits=self._splits, labels=self._labels, stages=self._stages
            )
        except (KineticsError, OSError):
            return
        if self._console.is_terminal:
            self._update_bars(status)
        else:
            self._print_line(status)

    def _update_bars(self, status: DatasetStatus) -> None:
        """Move the bars to the present state."""
        for total in status.totals:
            key = (total.split, total.stage)
            if key not in self._tasks:
                self._tasks[key] = self._bars.add_task(
                    f"{total.split} {total.stage}",
                    total=total.annotated,
                    completed=total.decided,
                )
            self._bars.update(self._tasks[key], total=total.annotated, completed=total.decided)

    def _print_line(self, status: DatasetStatus) -> None:
        """Print one line, if something has changed and the last one is a while ago."""
        parts: dict[Stage, list[int]] = {}
        for total in status.totals:
            sums = parts.setdefault(total.stage, [0, 0])
            sums[0] += total.decided
            sums[1] += total.annotated
        line = "  ".join(f"{stage} {done}/{rows}" for stage, (done, rows) in parts.items())
        now = time.monotonic()
        is_due = now - self._last_time >= _PLAIN_SECONDS or self._stop.is_set()
        if line != self._last_line and is_due:
            self._console.print(f"  {line}")
            self._last_line, self._last_time = line, now

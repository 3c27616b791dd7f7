"""Runs that the command line starts: one Dagster run per class, seen in the UI like any other.

::

    this process ── nursery ─┬─ run worker ── nursery ─┬─ step
                             └─ run worker ── ...      └─ step

Each process dies with the one to its left, whatever kills that. SIGTERM and SIGINT end the runs
first, so that Dagster shows them as cancelled; after a SIGKILL `reap_dead_runs` clears up at the
next start.
"""

from kinetics_assets.runs.company import RunNursery, run_all
from kinetics_assets.runs.events import RunEvent
from kinetics_assets.runs.instance import (
    dagster_home,
    is_materialised,
    observe_exclusions,
    open_instance,
    reap_dead_runs,
)
from kinetics_assets.runs.requests import RunOutcome, RunRequest

__all__ = [
    "RunEvent",
    "RunNursery",
    "RunOutcome",
    "RunRequest",
    "dagster_home",
    "is_materialised",
    "observe_exclusions",
    "open_instance",
    "reap_dead_runs",
    "run_all",
]

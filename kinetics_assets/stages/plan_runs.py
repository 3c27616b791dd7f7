"""Which classes need a run, and of which stages; a rerun of what is done needs none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from kinetics_assets.core.clips import Split
from kinetics_assets.core.manifest import Status, summarise
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import read_known
from kinetics_assets.stages.lineage import input_of, rows_above
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import needs_work

Target = tuple[Split, Stage]
IsMaterialised = Callable[[str, Split, Stage], bool]
"""``is_materialised(label, split, stage)``: whether Dagster has recorded the class."""


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """What one class needs."""

    label: str
    targets: tuple[Target, ...]
    """In graph order, a stage never without the stages it reads and that need work."""
    held_back: tuple[Target, ...]
    """Below the settings' completeness, with nothing to do about it now; and what hangs on them."""


def plan_class(
    settings: Settings,
    label: str,
    *,
    splits: Iterable[Split],
    stages: Iterable[Stage],
    now: datetime,
    is_materialised: IsMaterialised,
    retry_now: bool = False,
) -> ClassPlan:
    """Return which stages of one class a run is needed for.

    A stage is needed when a step of it would do something, when Dagster has not recorded what is
    there, or when the stage it reads is needed. A stage that is too incomplete and has nothing to
    try at time `now` is held back, with all that reads it.

    Args:
        settings: Of the dataset.
        label: Class name.
        splits: Which parts.
        stages: Class stages, each with the stages it reads.
        now: Rows are due by this time.
        is_materialised: What Dagster knows.
        retry_now: Rows that are not ok are due at any time.
    """
    targets: list[Target] = []
    held_back: list[Target] = []
    for split in splits:
        order = ClassOrder(settings, split, label)
        needed: set[Stage] = set()
        held: set[Stage] = set()
        for stage in stages:
            above = input_of(settings, stage)
            if above in held:
                held.add(stage)
            elif (
                above in needed
                or needs_work(stage, order, now=now)
                or (retry_now and _has_failures(stage, order))
            ):
                needed.add(stage)
            elif not _is_complete_enough(stage, order):
                held.add(stage)
            elif not is_materialised(label, split, stage):
                needed.add(stage)
        targets += [(split, stage) for stage in stages if stage in needed]
        held_back += [(split, stage) for stage in stages if stage in held]
    return ClassPlan(label, tuple(targets), tuple(held_back))


def _is_complete_enough(stage: Stage, order: ClassOrder) -> bool:
    """Return whether the class reaches the settings' smallest completeness in `stage`."""
    rows = read_known(order.layout, order.split, stage, order.label)
    summary = summarise(rows, upstream=rows_above(stage, order))
    return summary.completeness >= order.settings.thresholds.min_completeness


def _has_failures(stage: Stage, order: ClassOrder) -> bool:
    """Return whether a row of the class failed by itself and may be tried again."""
    rows = read_known(order.layout, order.split, stage, order.label)
    tried = {Status.PENDING, Status.UNAVAILABLE, Status.CORRUPT}
    return any(row.status in tried for row in rows)

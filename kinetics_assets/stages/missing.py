"""Which classes need work, and why: read from lists, manifests and files; nothing is changed.

A class is chosen for a stage when something is the matter with it (`Need`) that a run could mend
now. What only waits (for a pause to end, for the stage it reads, for a step that works on it) is
told, and is not chosen. A stage that reads a chosen one is chosen too, so that what is made is a
connected chain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InternalError, Locked
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import ManifestRow, Status, summarise
from kinetics_assets.core.needs import Need
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import annotated_labels, splits_present
from kinetics_assets.io.locks import exclusive
from kinetics_assets.stages.files import file_is_there
from kinetics_assets.stages.jobs import job_for
from kinetics_assets.stages.lineage import input_of, rows_beyond, with_inputs
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.picture_stores import PictureStores
from kinetics_assets.stages.run import Outlook, outlook
from kinetics_assets.stages.selection import Choice, Finding, Selection

HasFailed = Callable[[str, Split, Stage], bool]
"""``has_failed(label, split, stage)``: whether Dagster has no success of the class."""
_TRIED = frozenset({Status.PENDING, Status.UNAVAILABLE, Status.CORRUPT})


def select_classes(
    settings: Settings,
    choice: Choice,
    *,
    now: datetime,
    has_failed: HasFailed = lambda *_: False,
) -> Selection:
    """Return which classes need work and why.

    Args:
        settings: Of the dataset.
        choice: What is asked for.
        now: Rows are due by this time.
        has_failed: What Dagster knows; without it, nothing counts as failed.

    Raises:
        InputError: The stored annotations are damaged.
    """
    layout = Layout.of(settings)
    stages = with_inputs(settings, choice.stages)
    found: list[Finding] = []
    for split in splits_present(layout):
        if split not in choice.splits:
            continue
        for label in annotated_labels(layout, split):
            if choice.labels is None or label in choice.labels:
                order = ClassOrder(settings, split, label)
                found += _class(order, stages, choice, now=now, has_failed=has_failed)
    return Selection(
        choice,
        chosen=tuple(one for one in found if not one.waits_for),
        waiting=tuple(one for one in found if one.waits_for),
    )


def _class(
    order: ClassOrder,
    stages: tuple[Stage, ...],
    choice: Choice,
    *,
    now: datetime,
    has_failed: HasFailed,
) -> Iterator[Finding]:
    """Yield what is the matter with one class, stage by stage; nothing where all is well."""
    chosen: set[Stage] = set()
    waiting: set[Stage] = set()
    for stage in stages:
        above = input_of(order.settings, stage)
        look = _Look(stage, order, choice, now=now)
        needs, waits_for = look.needs(has_failed=has_failed(order.label, order.split, stage))
        follows = above if above in chosen else None
        mends_itself = needs.keys() & {Need.DAMAGED, Need.STALE}
        if above in waiting and not mends_itself:
            waits_for = f"waits for {above}"
        elif follows and not (look.is_under_way or look.is_refused):
            waits_for = ""
        if waits_for:
            waiting.add(stage)
        elif needs or follows:
            chosen.add(stage)
        if not needs and not follows:
            continue
        yield Finding(
            order.split,
            stage,
            order.label,
            needs=needs,
            reasons=look.reasons if Need.RETRYABLE in needs else {},
            follows=follows,
            waits_for=waits_for,
        )


class _Look:
    """A look at one class in one stage."""

    def __init__(self, stage: Stage, order: ClassOrder, choice: Choice, *, now: datetime) -> None:
        self._stage, self._order, self._choice, self._now = stage, order, choice, now
        self._job = job_for(stage, order)
        self._damage = ""
        self.is_refused = False
        self.reasons: dict[Reason, int] = {}
        self.is_under_way = _is_under_way(stage, order)

    def needs(self, *, has_failed: bool) -> tuple[dict[Need, int], str]:
        """Return what is the matter and was asked for, and why it has to wait, if it has to."""
        choice = self._choice
        try:
            look = outlook(
                self._stage,
                self._order,
                now=self._now,
                retry_now=choice.retry_now,
                retry_reasons=choice.retry_reasons,
            )
        except InternalError as error:  # a manifest that cannot be read
            needs = {Need.DAMAGED: 0} if Need.DAMAGED in choice.needs else {}
            return needs, " ".join(str(error).split())
        failing = [row for row in look.rows if self._fails(row)]
        self.reasons = dict(Counter(row.reason for row in failing if row.reason))
        is_complete = self._is_complete_enough(look)
        counts = {
            Need.MISSING: self._missing(look),
            Need.FAILED: 0 if has_failed else None,
            Need.INCOMPLETE: None if is_complete else 0,
            Need.RETRYABLE: len(failing) or None,
            **self._spoilt(look),
        }
        needs = {n: c for n, c in counts.items() if c is not None and n in choice.needs}
        if self.is_under_way:
            return needs, "a step works on it"
        if needs and look.objection is not None:
            self.is_refused = True
            return needs, f"a run would be refused: {look.objection.message}"
        if not needs or self._would_help(needs, look, failing, is_complete=is_complete):
            return needs, ""
        return needs, self._pause(look)

    def _would_help(
        self,
        needs: Mapping[Need, int],
        look: Outlook,
        failing: list[ManifestRow],
        *,
        is_complete: bool,
    ) -> bool:
        """Return whether a run now could mend one of `needs`."""
        if needs.keys() & {Need.MISSING, Need.DAMAGED, Need.STALE}:
            return True
        if Need.RETRYABLE in needs and any(row.clip in look.due for row in failing):
            return True
        if Need.FAILED in needs and is_complete:
            return True
        # too few clips, or failed for that: only if one may be tried whose verdict is old enough
        old = {row.clip for row in look.rows if self._is_old(row)}
        return bool(look.due & old)

    def _fails(self, row: ManifestRow) -> bool:
        """Return whether the row counts as retryable."""
        if row.status not in _TRIED or row.reason is None or not self._is_old(row):
            return False
        if self._choice.reasons:
            return row.reason in self._choice.reasons
        return row.status is Status.PENDING

    def _is_old(self, row: ManifestRow) -> bool:
        """Return whether the row's verdict has the age that is asked for."""
        return row.finished_at is None or self._now - row.finished_at >= self._choice.older_than

    def _missing(self, look: Outlook) -> int | None:
        """Return the clips that no step has looked at; 0 for a step that was cut short."""
        untried = sum(row.is_untried for row in look.rows)
        layout, split, label = self._order.layout, self._order.split, self._order.label
        was_killed = layout.journal(split, self._stage, label).exists()
        return untried or (0 if was_killed or not look.known else None)

    def _spoilt(self, look: Outlook) -> dict[Need, int]:
        """Return the ok clips to make again, for their bytes or for what they were made from."""
        good = [row for row in look.rows if row.status is Status.OK]
        damaged = {row.clip for row in good if not self._is_whole(row, is_due=row.clip in look.due)}
        stale = sum(row.clip in look.due and row.clip not in damaged for row in good)
        found = {Need.DAMAGED: len(damaged)} if damaged else {}
        if stale or (look.has_other_rows and look.known):
            found[Need.STALE] = stale
        return found

    def _is_whole(self, row: ManifestRow, *, is_due: bool) -> bool:
        """Return whether an ok row's output is what it was, as far as is to be looked."""
        if self._choice.check_files:
            return self._job.is_intact(row)
        if self._stage in {Stage.RAWFRAMES, Stage.FLOW}:
            return PictureStores(self._stage, self._order).of(row).looks_whole(row)
        if self._stage is Stage.SHARDS:
            return not is_due or self._job.is_intact(row)
        return not is_due or file_is_there(self._order.layout, row)

    def _is_complete_enough(self, look: Outlook) -> bool:
        """Return whether the class reaches the settings' smallest completeness."""
        order = self._order
        above = [*look.inputs.values(), *rows_beyond(self._stage, order)]
        share = summarise(look.rows, upstream=above).completeness
        return share >= order.settings.thresholds.min_completeness

    def _pause(self, look: Outlook) -> str:
        """Return until when nothing can be done."""
        pauses = [row.not_before for row in look.rows if row.not_before and self._is_old(row)]
        if not pauses:
            return "nothing may be tried now"
        return f"nothing is due before {min(pauses):%Y-%m-%d %H:%M} UTC (--retry-now)"


def _is_under_way(stage: Stage, order: ClassOrder) -> bool:
    """Return whether a step works on the class now; a journal alone may be a killed one's."""
    if not order.layout.journal(order.split, stage, order.label).exists():
        return False
    try:
        with exclusive(order.layout.lock(order.split, stage, order.label), wait=False):
            return False
    except Locked:
        return True

"""Why a class needs a run: a closed list, in the words of the command line and the launchpad."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from kinetics_assets.core.errors import InputError
from kinetics_assets.core.reasons import Reason


class Need(StrEnum):
    """What is the matter with one class in one stage."""

    MISSING = "missing"
    """Clips that no step has looked at."""
    FAILED = "failed"
    """Dagster has no success of it: its last run failed, or it never ran."""
    INCOMPLETE = "incomplete"
    """Fewer clips than `thresholds.min_completeness` of those that can be had."""
    RETRYABLE = "retryable"
    """Clips that failed for a reason that may heal."""
    DAMAGED = "damaged"
    """An output that was verified is gone, or is no longer what it was."""
    STALE = "stale"
    """Made by another recipe, from another input or for another list."""


USUAL_NEEDS = (Need.MISSING, Need.FAILED, Need.INCOMPLETE, Need.RETRYABLE, Need.DAMAGED)
"""What is refilled unless something else is asked for; a new recipe is not, since it redoes all."""


def chosen_needs(names: Iterable[str], *, reasons: Iterable[Reason] = ()) -> frozenset[Need]:
    """Return the needs that `names` say; without names the usual ones, or those of `reasons`.

    Raises:
        InputError: One of them does not exist.
    """
    names = list(names)
    for name in names:
        if name not in set(Need):
            raise InputError(f"Unknown state {name!r}.", remedy=f"Use any of: {', '.join(Need)}.")
    if not names and any(True for _ in reasons):
        return frozenset({Need.RETRYABLE})
    return frozenset(map(Need, names or USUAL_NEEDS))


def chosen_reasons(names: Iterable[str]) -> frozenset[Reason]:
    """Return the reasons that `names` say.

    Raises:
        InputError: One of them does not exist, or is none that a clip can have.
    """
    known = [reason.value for reason in Reason if reason.is_verdict]
    reasons = set()
    for name in names:
        if name not in known:
            raise InputError(f"Unknown reason {name!r}.", remedy=f"Use any of: {', '.join(known)}.")
        reasons.add(Reason(name))
    return frozenset(reasons)

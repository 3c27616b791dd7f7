"""From what the sources said against a clip to its verdict, and what that verdict rests on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import (
    ClipError,
    ConfirmedUnavailable,
    NotAtSource,
    VideoUnavailable,
)
from kinetics_assets.core.evidence import CONFIRMED_AFTER, Trial, add_trial
from kinetics_assets.core.manifest import BAD_BYTES, ManifestRow
from kinetics_assets.core.reasons import Kind
from kinetics_assets.stages.job import failed_row, now_utc

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Failure:
    """What one source had to say against a clip."""

    source: str
    may_heal: bool
    error: ClipError


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a clip that no source gave."""

    row: ManifestRow
    unproven: frozenset[str]
    """Sources whose words count although they were not seen to work."""


def tried_for(row: ManifestRow, failures: Sequence[Failure]) -> tuple[Trial, ...]:
    """Return what was tried for a clip, this time's failures included."""
    trials = row.tried
    for failure in failures:
        trials = add_trial(
            trials,
            source=failure.source,
            reason=failure.error.reason,
            text=failure.error.message,
            source_works=failure.error.source_works,
            now=now_utc(),
        )
    return trials


def verdict_on(
    row: ManifestRow, failures: Sequence[Failure], *, retry_hours: float, digest: str
) -> Verdict:
    """Return the verdict on a clip that no source gave.

    The most hopeful failure decides: what may heal, then what a login would give, before what is
    lost, and any answer before 'not there'. The words of every source are kept.

    Args:
        row: What was known of the clip.
        failures: Of the sources that were asked, in their order.
        retry_hours: First pause before a retryable clip is due again.
        digest: Of what the answers depend on beside the clip.
    """
    failures = failures or [Failure("none", True, NotAtSource("No source is configured."))]
    tried = tried_for(row, failures)
    failures = [_confirmed(failure, tried) for failure in failures]
    decisive = min(failures, key=_hopelessness)
    words = "; ".join(f"{failure.source}: {failure.error.message}" for failure in failures)
    failed = failed_row(
        row,
        decisive.error,
        may_heal=decisive.may_heal,
        retry_hours=retry_hours,
        digest=digest,
    )
    if isinstance(decisive.error, VideoUnavailable) and decisive.error.source_works:
        # asked earlier, the answer would prove nothing
        (heard,) = (trial for trial in tried if _is_of(trial, decisive))
        failed = replace(failed, not_before=heard.first_at + CONFIRMED_AFTER)
    unproven = {
        failure.source
        for failure in failures
        if failure.may_heal
        and not failure.error.source_works
        and not isinstance(failure.error, NotAtSource)
    }
    failed = replace(failed, reason_text=words, source=decisive.source, tried=tried)
    return Verdict(failed, frozenset(unproven))


def _confirmed(failure: Failure, tried: Sequence[Trial]) -> Failure:
    """Return a failure as permanent if it was heard often enough while the source worked."""
    error = failure.error
    if not (isinstance(error, VideoUnavailable) and error.source_works):
        return failure
    (heard,) = (trial for trial in tried if _is_of(trial, failure))
    if not heard.is_confirmed:
        return failure
    confirmed = ConfirmedUnavailable(
        f"{error.message} (said since {heard.first_at:%Y-%m-%d}, while other videos of the source"
        " could be had)"
    )
    confirmed.source_works = True
    return replace(failure, error=confirmed)


def _is_of(trial: Trial, failure: Failure) -> bool:
    """Return whether a trial counts failures of this kind at this source."""
    return (trial.source, trial.reason) == (failure.source, failure.error.reason)


def _hopelessness(failure: Failure) -> int:
    """Return the rank of a failure; the lowest decides the row's reason."""
    error = failure.error
    if isinstance(error, NotAtSource):
        return 4
    heals = failure.may_heal or error.reason not in BAD_BYTES
    if error.reason.kind is Kind.RETRYABLE and heals:
        return 0
    if error.reason.kind is Kind.CREDENTIALS:
        return 1
    return 2 if error.reason in BAD_BYTES else 3

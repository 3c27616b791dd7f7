"""How long to wait: what a server asks for, and what we wait by ourselves."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_SECONDS = 365 * 86400.0
"""A server that asks for more is taken to ask for this."""
_SECONDS = re.compile(r"\+?([0-9]{1,400})(\.[0-9]{0,20})?", re.ASCII)


def retry_after_seconds(text: str, *, now: datetime) -> float | None:
    """Return the pause that a ``Retry-After`` header asks for, 0 to `LONGEST_SECONDS`.

    A time in the past is 0. Text that is neither seconds nor an HTTP date is None.

    Args:
        text: The header's value.
        now: The present time, with its zone.
    """
    text = text.strip()
    match = _SECONDS.fullmatch(text)
    if match:
        return min(float(text), LONGEST_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_SECONDS)


def backoff_seconds(
    attempt: int,
    *,
    base: float,
    cap: float,
    rng: random.Random | None = None,
) -> float:
    """Return the pause before another attempt: exponential, with full jitter.

    Args:
        attempt: 1 after the first failure.
        base: Longest pause after the first failure, in seconds.
        cap: Longest pause at all, in seconds.
        rng: Where the jitter comes from.
    """
    longest = min(cap, base * 2.0 ** min(attempt - 1, 32))
    return (rng or random).uniform(0.0, longest)

"""Waits: a server's wish is read in every form, and never waited for without a cap."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.io.waits import LONGEST_SECONDS, backoff_seconds, retry_after_seconds

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("1000000000", LONGEST_SECONDS),
        ("9" * 400, LONGEST_SECONDS),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60.0),
        ("Friday, 02-Jan-26 03:05:05 GMT", 60.0),
        ("Fri, 02 Jan 2026 05:05:05 +0200", 60.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Fri, 02 Jan 9999 03:05:05 GMT", LONGEST_SECONDS),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1e9", None),
        ("nan", None),
        ("\u0661\u0662", None),
    ],
)
def test_every_form_of_retry_after_is_read(text: str, seconds: float | None) -> None:
    """Seconds and dates are understood, the past is now, junk is nothing, and there is a cap."""
    assert retry_after_seconds(text, now=NOW) == seconds


@given(st.text(max_size=60))
def test_any_header_gives_a_bounded_wait(text: str) -> None:
    """No header, however odd, raises or makes anybody wait for ever."""
    seconds = retry_after_seconds(text, now=NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_SECONDS


@given(st.integers(1, 10_000), st.floats(0.01, 100), st.floats(0.01, 1000), st.integers(0, 999))
def test_backoff_stays_within_its_cap(attempt: int, base: float, cap: float, seed: int) -> None:
    """The pause is between nothing and the cap, and below the base after one failure."""
    pause = backoff_seconds(attempt, base=base, cap=cap, rng=random.Random(seed))
    assert 0 <= pause <= cap
    if attempt == 1:
        assert pause <= base


def test_backoff_grows() -> None:
    """The fifth pause is, on the average, far longer than the first."""
    rng = random.Random(7)
    first = sum(backoff_seconds(1, base=1, cap=1000, rng=rng) for _ in range(200))
    fifth = sum(backoff_seconds(5, base=1, cap=1000, rng=rng) for _ in range(200))
    assert fifth > 8 * first

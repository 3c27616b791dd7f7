"""Tests of what skipped rows do to the counts of a class."""

from __future__ import annotations

import pytest

from kinetics_assets.core.manifest import Status, summarise
from kinetics_assets.core.reasons import Reason
from kinetics_assets_tests.core.rows import row


def test_skipped_clips_are_neither_wanted_nor_lost() -> None:
    """A class of which the user left out all but one clip is complete with that one."""
    rows = [row(0), *(row(n, Status.SKIPPED, reason=Reason.FILTERED) for n in range(1, 9))]
    summary = summarise(rows)
    assert (summary.wanted, summary.skipped, summary.permanent) == (1, 8, 0)
    assert summary.completeness == 1


def test_a_clip_blocked_by_a_skipped_one_does_not_hold_back_its_class() -> None:
    """It counts as skipped, each row once; a row blocked by a pending one is still wanted."""
    upstream = [row(0, Status.SKIPPED), row(1, Status.PENDING), row(2)]
    rows = [row(0, Status.BLOCKED), row(1, Status.BLOCKED), row(2), row(3, Status.SKIPPED)]
    summary = summarise(rows, upstream=iter(upstream))
    assert (summary.skipped, summary.permanent, summary.wanted) == (2, 0, 2)
    assert summary.completeness == pytest.approx(1 / 2)


def test_a_lost_clip_that_is_skipped_later_counts_once() -> None:
    """Blocked by a permanent loss is a loss, whatever else is skipped."""
    summary = summarise([row(0, Status.BLOCKED)], upstream=[row(0, Status.CORRUPT)])
    assert (summary.permanent, summary.skipped, summary.wanted) == (1, 0, 0)

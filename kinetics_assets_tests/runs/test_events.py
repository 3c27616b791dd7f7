"""Tests of how a run's events are told."""

from __future__ import annotations

import dagster as dg

from kinetics_assets.runs.events import first_cause


def test_a_failed_step_is_told_by_its_own_error() -> None:
    """Behind retries and wrappers, the words are those of the exception that was raised."""

    @dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
    def broken() -> None:
        raise ValueError("the disk sang")

    @dg.job
    def one() -> None:
        broken()

    result = one.execute_in_process(raise_on_error=False)
    told = [
        first_cause(data.error)
        for event in result.all_events
        if (data := event.event_specific_data) is not None and getattr(data, "error", None)
    ]
    assert len(told) >= 2
    assert all("the disk sang" in text for text in told), told

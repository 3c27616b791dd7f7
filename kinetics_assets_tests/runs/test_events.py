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
    errors = [getattr(event.event_specific_data, "error", None) for event in result.all_events]
    told = [first_cause(error) for error in errors if error is not None]
    assert len(told) >= 2
    assert all("the disk sang" in text for text in told), told

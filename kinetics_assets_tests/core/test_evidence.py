"""Evidence: what is kept of failures, and when 'unavailable' is believed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.core.evidence import Trial, add_trial, decode_trials, encode_trials
from kinetics_assets.core.reasons import Reason
from kinetics_assets_tests.core.rows import NOW, TRIALS

_HOUR = timedelta(hours=1)


def heard(*times: tuple[datetime, bool]) -> Trial:
    """Return the trial of a clip that was 'unavailable' at these times, (when, source works)."""
    trials: tuple[Trial, ...] = ()
    for when, works in times:
        trials = add_trial(
            trials,
            source="youtube",
            reason=Reason.VIDEO_UNAVAILABLE,
            text="Video unavailable",
            source_works=works,
            now=when,
        )
    (trial,) = trials
    return trial


@pytest.mark.parametrize(
    ("times", "believed"),
    [
        ([(NOW, True)], False),
        ([(NOW, True), (NOW + 23 * _HOUR, True)], False),
        ([(NOW, True), (NOW + 24 * _HOUR, True)], True),
        ([(NOW, True), (NOW + 12 * _HOUR, True), (NOW + 25 * _HOUR, True)], True),
        ([(NOW, False), (NOW + 48 * _HOUR, False)], False),
        ([(NOW, False), (NOW + 48 * _HOUR, True)], False),
        ([(NOW, True), (NOW + 48 * _HOUR, False)], False),
        ([(NOW, True), (NOW + 30 * _HOUR, False), (NOW + 48 * _HOUR, True)], True),
    ],
)
def test_unavailable_is_believed_after_a_day(
    times: list[tuple[datetime, bool]], believed: bool
) -> None:
    """Two failures a day apart make a loss permanent, and only those while the source worked."""
    trial = heard(*times)
    assert trial.is_confirmed is believed
    assert trial.count == len(times)


def test_sources_and_reasons_are_kept_apart() -> None:
    """A 404 of one source says nothing about 'unavailable' at another; each has its own line."""
    trials: tuple[Trial, ...] = ()
    for source, reason in [
        ("mirror", Reason.GONE),
        ("youtube", Reason.VIDEO_UNAVAILABLE),
        ("mirror", Reason.NETWORK),
        ("mirror", Reason.GONE),
    ]:
        trials = add_trial(
            trials, source=source, reason=reason, text="x", source_works=True, now=NOW
        )
    assert {(t.source, t.reason, t.count) for t in trials} == {
        ("mirror", Reason.GONE, 2),
        ("mirror", Reason.NETWORK, 1),
        ("youtube", Reason.VIDEO_UNAVAILABLE, 1),
    }


def test_a_clock_that_goes_back_confirms_nothing() -> None:
    """A second failure that seems earlier than the first leaves the evidence as it was."""
    trial = heard((NOW, True), (NOW - 48 * _HOUR, True))
    assert (trial.first_at, trial.last_at, trial.is_confirmed) == (NOW, NOW, False)


@given(st.lists(TRIALS, max_size=4))
def test_trials_survive_their_text_form(trials: list[Trial]) -> None:
    """What the manifest keeps is what was tried; equal trials give equal text."""
    text = encode_trials(trials)
    assert decode_trials(text) == tuple(trials)
    assert encode_trials(decode_trials(text)) == text


def test_long_words_are_cut() -> None:
    """A page of text from a server does not swell every manifest row."""
    (trial,) = add_trial(
        (), source="s", reason=Reason.NETWORK, text="x" * 9999, source_works=False, now=NOW
    )
    assert len(trial.text) == 1300

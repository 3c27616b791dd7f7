"""Rows by reason: counted, with what can be done and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from kinetics_assets.core.evidence import Trial
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.reason_lines import NOT_RUN, reason_lines, unknown_texts
from kinetics_assets.core.reasons import Reason
from kinetics_assets_tests.core.rows import NOW, row

FAILED = Reason.DOWNLOAD_FAILED


def test_rows_are_counted_by_reason_with_kind_and_due_time() -> None:
    """Due rows, waiting rows and permanent ones are told apart; the most frequent comes first."""
    later = NOW + timedelta(hours=1)
    rows = [
        row(1, Status.PENDING, reason=Reason.NETWORK, not_before=later + timedelta(hours=1)),
        row(2, Status.PENDING, reason=Reason.NETWORK, not_before=later, reason_text="reset"),
        row(3, Status.PENDING, reason=Reason.NETWORK, not_before=NOW),
        row(4, Status.UNAVAILABLE, reason=Reason.GONE, reason_text="404"),
        row(5),
    ]
    network, gone = reason_lines(rows, now=NOW)
    assert (network.reason, network.kind, network.rows) == ("network", "retryable", 3)
    assert (network.due_now, network.next_due, network.example) == (1, later, "reset")
    assert (gone.rows, gone.due_now, gone.next_due) == (1, 0, None)
    assert gone.advice.startswith("nothing")
    assert network.to_json()["next_due"] == later.isoformat()


def test_rows_that_no_step_has_looked_at_are_a_line_too() -> None:
    """Untried rows, with or without a manifest row, are counted as not run."""
    (line,) = reason_lines([row(1, Status.PENDING)], now=NOW, untried=4)
    assert (line.reason, line.rows, line.due_now) == (NOT_RUN, 5, 5)


def test_every_reason_of_a_row_has_advice() -> None:
    """No reason that a row may have leaves its reader without a next step."""
    rows = [
        row(number, Status.PENDING, reason=reason)
        for number, reason in enumerate(r for r in Reason if r.is_verdict)
    ]
    lines = reason_lines(rows, now=NOW)
    assert len(lines) == len(rows)
    assert all(line.advice for line in lines)


def test_unknown_words_are_kept_and_counted() -> None:
    """Words that differ only in the clip's id are one line, verbatim as first heard."""
    first, second, other = (row(n, Status.PENDING, reason=FAILED) for n in (1, 2, 3))
    words = "ERROR: [youtube] {}: the moon is full"
    rows = [
        replace(first, reason_text=words.format(first.clip.youtube_id)),
        replace(second, reason_text=words.format(second.clip.youtube_id)),
        replace(other, reason_text="another"),
        row(4, Status.PENDING, reason=Reason.NETWORK, reason_text="known"),
    ]
    moon, another = unknown_texts(rows)
    assert (moon.text, moon.rows) == (words.format(first.clip.youtube_id), 2)
    assert (another.text, another.rows, another.clip) == ("another", 1, other.clip.name)


def test_unknown_words_are_those_of_the_source_that_said_them() -> None:
    """Where the evidence has the words alone, what other sources said is not mixed in."""
    trial = Trial("youtube", FAILED, "the moon is full", 1, NOW, NOW, source_works=False)
    other = replace(trial, source="mirror", reason=Reason.NETWORK, text="reset")
    failed = row(1, Status.PENDING, reason=FAILED, reason_text="mirror: reset; youtube: the moon")
    (found,) = unknown_texts([replace(failed, tried=(trial, other))])
    assert found.text == "the moon is full"

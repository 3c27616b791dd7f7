"""Reasons: each has exactly one kind."""

from __future__ import annotations

from collections import Counter

from kinetics_assets.core.reasons import _BY_KIND, Kind, Reason


def test_every_reason_has_exactly_one_kind() -> None:
    """No reason is forgotten, and none is of two kinds; the kind decides what happens next."""
    counts = Counter(reason for group in _BY_KIND.values() for reason in group)
    assert counts == Counter(dict.fromkeys(Reason, 1))


def test_every_kind_is_used() -> None:
    """A kind without a reason would be dead vocabulary."""
    assert {reason.kind for reason in Reason} == set(Kind)


def test_codes_are_lower_case_names() -> None:
    """The stored code is the name in lower case, so that a manifest reads without this package."""
    for reason in Reason:
        assert reason.value == reason.name.lower()

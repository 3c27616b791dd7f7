"""Values of settings: TOML and text become the declared type or an error that says what is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.core.setting_values import allowed, convert, parse

ROOT = Path("/root-of-data")
Side = Literal["left", "right"]


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        ("x", str, "x"),
        (True, bool, True),
        (3, int, 3),
        (3, float, 3.0),
        (2.5, float, 2.5),
        ("left", Side, "left"),
        (["a", "b"], tuple[str, ...], ("a", "b")),
        ([], tuple[str, ...], ()),
        ("frames", Path, ROOT / "frames"),
        ("/other", Path | None, Path("/other")),
        (["a"], tuple[Path, ...], (ROOT / "a",)),
        (7, int | None, 7),
    ],
)
def test_a_value_of_the_right_type_is_taken(value: Any, hint: Any, expected: Any) -> None:  # noqa: ANN401 - any value
    """Each type takes its own; whole numbers are numbers; relative paths start at the root."""
    found = convert(value, hint, root=ROOT)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1, str),
        (1, bool),
        (True, int),
        (True, float),
        (1.0, int),
        ("1", int),
        ("up", Side),
        ("a", tuple[str, ...]),
        (["a", 1], tuple[str, ...]),
        ("", Path),
        (1, Path),
        ({}, str),
        ([], Side),
    ],
)
def test_a_value_of_another_type_is_refused(value: Any, hint: Any) -> None:  # noqa: ANN401 - any value
    """No value is bent into another type: true is no number, "1" is no number, 1.0 no count."""
    with pytest.raises(ValueError, match=r"text|true|number|one of|list|path"):
        convert(value, hint, root=ROOT)


@pytest.mark.parametrize(
    ("text", "hint", "expected"),
    [
        ("x", str, "x"),
        ("TRUE", bool, True),
        ("0", bool, False),
        ("12", int, 12),
        ("2.5", float, 2.5),
        ("right", Side, "right"),
        ("a, b,c", tuple[str, ...], ("a", "b", "c")),
        ("", tuple[str, ...], ()),
        ("", Path | None, None),
        ("", int | None, None),
        ("3", int | None, 3),
        ("x,/y", tuple[Path, ...], (ROOT / "x", Path("/y"))),
    ],
)
def test_text_becomes_the_declared_type(text: str, hint: Any, expected: Any) -> None:  # noqa: ANN401 - any value
    """What an environment variable says is what the file would have said."""
    assert parse(text, hint, root=ROOT) == expected


@pytest.mark.parametrize(
    ("text", "hint"), [("maybe", bool), ("1.5", int), ("x", float), ("up", Side), ("", bool)]
)
def test_text_that_is_no_value_is_refused(text: str, hint: Any) -> None:  # noqa: ANN401 - any type
    """A variable is as strict as the file, and the message says what is allowed."""
    with pytest.raises(ValueError, match=allowed(hint)):
        parse(text, hint, root=ROOT)


@given(st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False)))
def test_a_number_means_the_same_in_both_places(number: float) -> None:
    """A float in the file and in a variable are equal to the last bit."""
    assert parse(repr(number), float, root=ROOT) == convert(number, float, root=ROOT)


def test_a_whole_number_that_no_float_can_hold_is_refused() -> None:
    """A number is never rounded in silence, nor is it a crash."""
    with pytest.raises(ValueError, match="a number"):
        convert(10**400, float, root=ROOT)

"""The numbers of a bench's rows: which there are, what they are to reach, how they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

Row = Mapping[str, Any]
Bound = float | Mapping[str, float] | None
NAMES: Final = ("input", "form")
"""What a row is called and what it is grouped by; everything else is a finding."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What the numbers under one name are to reach; in JSON a mapping with these names."""

    least: Bound = None
    """Of every row; one number, or one for each form."""
    most: Bound = None
    """Of every row; one number, or one for each form."""
    median: float | None = None
    """What the median over all rows is to reach."""

    def bounds(self, form: str) -> tuple[float | None, float | None]:
        """Return the least and the most that a row of `form` is to have."""
        return _of_form(self.least, form), _of_form(self.most, form)

    def is_met(self, value: float, form: str) -> bool:
        """Return whether a row's number is within its bounds."""
        least, most = self.bounds(form)
        return (least is None or value >= least) and (most is None or value <= most)

    def __bool__(self) -> bool:
        """Return whether anything is to be reached; else figures are plotted all the same."""
        return any(one is not None for one in (self.least, self.most, self.median))

    def __str__(self) -> str:
        """Return the aim in words."""
        return self._words(_bound_text)

    def short(self) -> str:
        """Return the aim in words that fit a plot, where bounds are seen as lines."""
        return self._words(lambda bound: "the line" if isinstance(bound, Mapping) else shown(bound))

    def _words(self, bound_text: Callable[[Bound], str]) -> str:
        """Return the aim in words, with bounds as `bound_text` writes them."""
        parts = [
            f"{word} {bound_text(bound)}"
            for word, bound in (("at least", self.least), ("at most", self.most))
            if bound is not None
        ]
        if self.median is not None:
            parts.append(f"median {shown(self.median)}")
        return ", ".join(parts) or "none"


def aims_of(details: Mapping[str, Any]) -> dict[str, Aim]:
    """Return the aims by the name of the number that they are for."""
    return {name: Aim(**aim) for name, aim in details.get("aims", {}).items()}


def columns_of(details: Mapping[str, Any]) -> dict[str, str]:
    """Return the headings of the findings of a bench's rows, by name."""
    given: Mapping[str, str] | None = details.get("columns")
    if given is not None:
        return dict(given)
    names = dict.fromkeys(name for row in details.get("rows", ()) for name in row)
    return {name: name.replace("_", " ") for name in names if name not in NAMES}


def numbers(rows: Sequence[Row], name: str) -> list[float]:
    """Return the numbers that `rows` have under `name`."""
    found = [row.get(name) for row in rows]
    return [float(one) for one in found if isinstance(one, int | float)]


def form_of(row: Row) -> str:
    """Return what a row is grouped by."""
    return str(row.get("form", ""))


def middle(values: Sequence[float]) -> float | None:
    """Return the median, None of nothing."""
    return median(values) if values else None


def shown(value: Any) -> str:  # noqa: ANN401 - whatever a row holds
    """Return a finding as text: three digits or so, none that noise would change."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    size = abs(value)
    if isinstance(value, int) or size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.1 or not size else f"{value:.4f}"


def _of_form(bound: Bound, form: str) -> float | None:
    """Return the bound of a form, None where it has none."""
    return bound.get(form) if isinstance(bound, Mapping) else bound


def _bound_text(bound: Bound) -> str:
    """Return a bound as text."""
    if isinstance(bound, Mapping):
        return " / ".join(f"{shown(value)} ({form})" for form, value in bound.items())
    return shown(bound)

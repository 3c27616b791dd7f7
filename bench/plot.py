"""A picture of a bench's rows: one line per input, one panel per figure that has an aim.

A dot is a row's figure, filled where the aim is reached; a full line is what every row is to reach,
a dashed one what the median is to reach, a thin one the median itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.sax.saxutils import escape

from figures import Aim, Row, aims_of, columns_of, form_of, middle, numbers, shown

_LEFT_PX: Final = 190
_PANEL_PX: Final = 200
_GAP_PX: Final = 24
_LINE_PX: Final = 15
_TOP_PX: Final = 44
_FOOT_PX: Final = 30
_MARGIN_SHARE: Final = 0.06
Point = tuple[float, float]
"""Right and down, in pixels."""
_GOOD, _BAD, _GREY, _INK = "#1b7f5c", "#b3361f", "#b8b8b8", "#222222"


def plot(details: Mapping[str, Any]) -> str:
    """Return an SVG of the rows of a finding; empty where no row has a figure with an aim."""
    rows: Sequence[Row] = details.get("rows", ())
    columns = columns_of(details)
    panels = [
        (columns.get(key, key.replace("_", " ")), key, aim)
        for key, aim in aims_of(details).items()
        if numbers(rows, key)
    ]
    if not panels:
        return ""
    width = _LEFT_PX + len(panels) * (_PANEL_PX + _GAP_PX)
    height = _TOP_PX + len(rows) * _LINE_PX + _FOOT_PX
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="10">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *_names(rows, width),
    ]
    for number, (title, key, aim) in enumerate(panels):
        parts += _panel(rows, key, aim, title=title, left=_LEFT_PX + number * (_PANEL_PX + _GAP_PX))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _names(rows: Sequence[Row], width: int) -> list[str]:
    """Return the names of the rows, and a line above each form."""
    parts = []
    for number, row in enumerate(rows):
        if number == 0 or form_of(row) != form_of(rows[number - 1]):
            top = _TOP_PX + number * _LINE_PX
            parts.append(_line((0, top), (width - _GAP_PX, top), colour=_GREY, width=0.5))
        name = str(row.get("input", ""))
        parts.append(_text((_LEFT_PX - 8, _centre(number) + 3), name, anchor="end"))
    return parts


def _panel(rows: Sequence[Row], key: str, aim: Aim, *, title: str, left: int) -> list[str]:
    """Return the dots of one figure, its aims and its axis."""
    values = numbers(rows, key)
    edges = [edge for row in rows for edge in aim.bounds(form_of(row)) if edge is not None]
    wanted = [*values, *edges, *([aim.median] if aim.median is not None else [])]
    low, high = min(wanted), max(wanted)
    margin = (high - low or abs(high) or 1.0) * _MARGIN_SHARE
    low, high = low - margin, high + margin

    def across(value: float) -> float:
        return left + (value - low) / (high - low) * _PANEL_PX

    bottom = _TOP_PX + len(rows) * _LINE_PX
    parts = [_text((left, _TOP_PX - 26), title, weight="bold")]
    if aim:
        parts.append(_text((left, _TOP_PX - 12), f"aim: {aim.short()}", colour="#666666"))
    parts.append(_line((left, bottom), (left + _PANEL_PX, bottom), colour=_INK, width=0.5))
    for value, anchor in ((low + margin, "start"), (high - margin, "end")):
        parts.append(_text((across(value), bottom + 12), shown(value), anchor=anchor))
    centre = middle(values)
    if aim and centre is not None and len(values) > 1:
        at = across(centre)
        parts.append(_line((at, _TOP_PX), (at, bottom), colour=_INK, width=0.5))
        parts.append(_text((at, bottom + 23), f"median {shown(centre)}", anchor="middle"))
    if aim.median is not None:
        at = across(aim.median)
        parts.append(_line((at, _TOP_PX), (at, bottom), colour=_INK, width=1, dashes="4 3"))
    for number, row in enumerate(rows):
        top, middle_px = _TOP_PX + number * _LINE_PX, _centre(number)
        for edge in aim.bounds(form_of(row)):
            if edge is not None:
                at = across(edge)
                parts.append(_line((at, top), (at, top + _LINE_PX), colour=_BAD, width=1))
        for value in numbers([row], key):
            good = aim.is_met(value, form_of(row))
            colour, fill = (_GOOD, _GOOD) if good else (_BAD, "white")
            tip = f"<title>{escape(str(row.get('input', '')))}: {shown(value)}</title>"
            parts.append(
                f'<circle cx="{across(value):.1f}" cy="{middle_px:.1f}" r="3.5" '
                f'stroke="{colour}" stroke-width="1.2" fill="{fill}">{tip}</circle>'
            )
    return parts


def _centre(number: int) -> float:
    """Return how far down the middle of a row is."""
    return _TOP_PX + (number + 0.5) * _LINE_PX


def _line(start: Point, end: Point, *, colour: str, width: float, dashes: str = "") -> str:
    """Return a line."""
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    ends = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"{dash}/>'


def _text(
    at: Point, text: str, *, anchor: str = "start", weight: str = "", colour: str = _INK
) -> str:
    """Return a line of text."""
    bold = f' font-weight="{weight}"' if weight else ""
    place = f'x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}"{bold}>{escape(text)}</text>'

"""Does a list look like the one that it is said to be: whole, and about as long as it was known.

A list that is cut short is refused; one with other counts than known ones is only remarked on,
because official lists lose rows all the time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import Split

if TYPE_CHECKING:
    from kinetics_assets.core.annotations import ParsedList

KNOWN_ROWS: dict[str, dict[Split, tuple[int, ...]]] = {
    "kinetics400": {
        Split.TRAIN: (246_534, 219_782),
        Split.VAL: (19_906, 18_035),
        Split.TEST: (39_805, 38_685, 35_357),
    },
    "kinetics600": {
        Split.TRAIN: (371_354,),
        Split.VAL: (30_000, 28_318),
        Split.TEST: (72_924, 56_618),
    },
    "kinetics700_2020": {
        Split.TRAIN: (544_823,),
        Split.VAL: (34_178,),
        Split.TEST: (67_722,),
    },
}
"""Rows of the editions that were counted, the largest first; nobody counted Kinetics-700 (2019)."""
_SLACK = 0.15
"""Share of rows by which a list may be longer or shorter than any known one without a remark."""
_FEW_LINES = 20
"""So many lines may go from the end of a list without a doubt about it."""
_FEW_SHARE = 0.05
_LINE_END = re.compile(rb"\r\n|\n|\r")


def cut_short(data: bytes, *, before: bytes | None, min_share: float) -> str:
    """Return why a list from a server is held for half uploaded, empty if it is not.

    Args:
        data: The list as it came.
        before: The list that the same address gave before, if it did.
        min_share: Least share of the lines before.
    """
    lines = [line for line in _LINE_END.split(data) if line.strip()]
    if len(lines) > 1 and not data.endswith((b"\n", b"\r")):
        fields, wanted = lines[-1].count(b","), lines[0].count(b",")
        if fields < wanted:
            return (
                f"it ends in the middle of line {len(lines)}, which has {fields + 1} of"
                f" {wanted + 1} fields"
            )
    if before is None or data == before:
        return ""
    lines_before = sum(1 for line in _LINE_END.split(before) if line.strip())
    lost = lines_before - len(lines)
    if lost > max(_FEW_LINES, _FEW_SHARE * lines_before) and before.startswith(data):
        return f"it is the list of before, cut off after {len(lines)} of {lines_before} lines"
    if len(lines) - 1 < min_share * (lines_before - 1):
        return (
            f"it has {len(lines) - 1} rows where the list of before has {lines_before - 1}"
            f" (annotations.min_share is {min_share:g})"
        )
    return ""


def remarks(parsed: ParsedList, *, dataset: str, split: Split) -> tuple[str, ...]:
    """Return what is strange about a published list that was read whole; empty if nothing is.

    Args:
        parsed: The list.
        dataset: Whose list it is.
        split: Which of its lists.
    """
    said = []
    known = KNOWN_ROWS.get(dataset, {}).get(split, ())
    rows = parsed.records
    if known and not (1 - _SLACK) * min(known) <= rows <= (1 + _SLACK) * max(known):
        counts = " and ".join(f"{count:,}" for count in known)
        said.append(f"{rows:,} rows; known editions of {dataset} {split} have {counts}")
    labels = {row.clip.label for row in parsed.rows}
    missing = [name for name in class_names(dataset) if name not in labels]
    if missing and (split is not Split.TEST or labels != {""}):
        shown = ", ".join(missing[:3])
        said.append(f"{len(missing)} of {len(class_names(dataset))} classes have no row ({shown})")
    if len(parsed.rejected) > 0.01 * rows:
        first = parsed.rejected[0]
        said.append(
            f"{len(parsed.rejected):,} lines were rejected, the first is line {first.line}:"
            f" {first.reason}"
        )
    return tuple(said)

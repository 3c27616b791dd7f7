"""What a new edition of the lists shows in the Dagster UI: counts, rows, and a plot by class."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kinetics_assets.core.clips import Clip, Split
    from kinetics_assets.core.edition_diff import ClassChanges, EditionDiff
    from kinetics_assets.stages.annotations import AnnotationsReport

PLAUSIBLE = "plausible"
MAX_ROWS = 200
"""Longest table of changed rows; the edition folders keep both lists whole."""
MAX_BARS = 20
"""Classes in the plot: those with the most changed rows."""
KINDS = ("added", "removed", "retimed", "relabelled")
_COLOURS = {
    "added": "#3a9d5d",
    "removed": "#c8553d",
    "retimed": "#4f7cac",
    "relabelled_from": "#b08bbb",
    "relabelled_to": "#7b4b94",
}
_ROWS = dg.TableSchema(
    [
        dg.TableColumn("split", "string"),
        dg.TableColumn("change", "string", description="added, removed, retimed or relabelled"),
        dg.TableColumn("clip", "string", description="YouTube id, start and end in seconds"),
        dg.TableColumn("label", "string"),
        dg.TableColumn("was", "string", description="its former label or span"),
    ]
)
_CLASSES = dg.TableSchema(
    [
        dg.TableColumn("split", "string"),
        dg.TableColumn("class", "string"),
        *(dg.TableColumn(kind, "int") for kind in _COLOURS),
    ]
)


def changes_metadata(report: AnnotationsReport) -> dict[str, dg.MetadataValue]:
    """Return what changed since the lists before: numbers always, tables and a plot if any did.

    The numbers are there for each run, so that the UI can plot them over the editions.
    """
    counts = {kind: sum(d.counts()[kind] for d in report.diffs.values()) for kind in KINDS}
    classes = sum(len(diff.classes) for diff in report.diffs.values())
    values: dict[str, dg.MetadataValue] = {
        **{f"rows_{kind}": dg.MetadataValue.int(count) for kind, count in counts.items()},
        "classes_changed": dg.MetadataValue.int(classes),
    }
    if any(report.relicensed.values()):
        values["rows_relicensed"] = dg.MetadataValue.int(sum(report.relicensed.values()))
    if classes:
        rows = [
            dg.TableRecord(dict(zip([c.name for c in _ROWS.columns], row, strict=True)))
            for row in _changed_rows(report.diffs)
        ]
        # the UI shows tables whole, one below the other: the longest one comes last
        values["changes_by_class"] = dg.MetadataValue.md(_plot(report.diffs))
        values["changed_classes"] = dg.MetadataValue.table(
            [
                dg.TableRecord({"split": split.value, "class": label, **_numbers(changes)})
                for split, diff in report.diffs.items()
                for label, changes in diff.classes.items()
            ],
            schema=_CLASSES,
        )
        if len(rows) > MAX_ROWS:
            values["changes_not_shown"] = dg.MetadataValue.int(len(rows) - MAX_ROWS)
        values["changes"] = dg.MetadataValue.table(rows[:MAX_ROWS], schema=_ROWS)
    return values


def plausible_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check that published lists are about what they are known to be."""
    return dg.AssetCheckSpec(
        PLAUSIBLE,
        asset=key,
        description=(
            "Warns when a published list has far more or fewer rows than known editions of it,"
            " lacks classes, or has many lines that are no rows; when ids of the subset are in no"
            " list; and when the lists are the fallback's. It blocks nothing."
        ),
    )


def plausible_result(report: AnnotationsReport) -> dg.AssetCheckResult:
    """Return the verdict of `plausible_spec` on the lists that were got."""
    said = [f"{split}: {line}" for split, lines in report.remarks.items() for line in lines]
    if report.missing:
        names = ", ".join(report.missing[:10])
        said.append(f"{len(report.missing):,} ids of the subset are in no list: {names}")
    if report.fallback_for:
        said.append(f"these are the lists of {report.source}: {report.fallback_for}")
    return dg.AssetCheckResult(
        check_name=PLAUSIBLE,
        passed=not said,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(said) or "Nothing is strange about the lists.",
        metadata={"remarks": dg.MetadataValue.int(len(said))},
    )


def change_lines(report: AnnotationsReport) -> list[str]:
    """Return a line for the log for each split whose rows changed."""
    lines = []
    for split, diff in report.diffs.items():
        counts = diff.counts()
        said = ", ".join(f"{counts[kind]:,} {kind}" for kind in KINDS)
        names = ", ".join(label or "unlabelled" for label in list(diff.classes)[:10])
        more = f" and {len(diff.classes) - 10} more" if len(diff.classes) > 10 else ""
        where = f" in {len(diff.classes)} classes: {names}{more}" if diff.classes else ""
        licences = report.relicensed.get(split, 0)
        also = f" {licences:,} rows have another licence (is_cc)." if licences else ""
        lines.append(f"{split}: {said}, {diff.unchanged:,} unchanged{where}.{also}")
    return lines


def _changed_rows(diffs: Mapping[Split, EditionDiff]) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield (split, change, clip, label, what it was) of every changed row."""
    for split, diff in diffs.items():
        name = split.value
        yield from ((name, "added", c.id.name, c.label, "") for c in diff.added)
        yield from ((name, "removed", c.id.name, c.label, "") for c in diff.removed)
        for change in diff.retimed:
            yield name, "retimed", change.after.id.name, change.after.label, _span(change.before)
        for change in diff.relabelled:
            before, after = change.before, change.after
            yield name, "relabelled", after.id.name, after.label, before.label


def _span(clip: Clip) -> str:
    """Return the span of a clip in words."""
    return f"{clip.id.start_seconds} to {clip.id.end_seconds} s"


def _numbers(changes: ClassChanges) -> dict[str, int]:
    """Return kind of change -> rows of one class."""
    return {kind: getattr(changes, kind) for kind in _COLOURS}


def _plot(diffs: Mapping[Split, EditionDiff]) -> str:
    """Return Markdown with a picture: a bar for each of the classes that changed most."""
    bars = [
        (f"{split} {label or 'unlabelled'}", _numbers(changes))
        for split, diff in diffs.items()
        for label, changes in diff.classes.items()
    ]
    bars.sort(key=lambda bar: (-sum(bar[1].values()), bar[0]))
    shown = bars[:MAX_BARS]
    per_row_px = 320 / max(sum(numbers.values()) for _, numbers in shown)
    parts = []
    for position, (name, numbers) in enumerate(shown):
        top_px, left_px = 18 + 15 * position, 230.0
        parts.append(f'<text x="225" y="{top_px + 10}" text-anchor="end">{escape(name)}</text>')
        for kind, count in numbers.items():
            width_px = count * per_row_px
            if count:
                parts.append(
                    f'<rect x="{left_px:.1f}" y="{top_px}" width="{width_px:.1f}" height="12"'
                    f' fill="{_COLOURS[kind]}"/>'
                )
            left_px += width_px
        total = sum(numbers.values())
        parts.append(f'<text x="{left_px + 4:.1f}" y="{top_px + 10}">{total}</text>')
    key = "".join(
        f'<tspan fill="{colour}">{kind.replace("_", " ")} </tspan>'
        for kind, colour in _COLOURS.items()
    )
    height_px = 24 + 15 * len(shown)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="600" height="{height_px}"'
        ' font-family="sans-serif" font-size="11">'
        f'<text x="230" y="12">{key}</text>{"".join(parts)}</svg>'
    )
    data = base64.b64encode(svg.encode()).decode()
    more = f"\n\n{len(bars) - len(shown)} more classes changed." if len(bars) > len(shown) else ""
    return f"![changed rows by class](data:image/svg+xml;base64,{data}){more}"

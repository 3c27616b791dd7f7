"""Tables and plots of what benches found.

`python bench/render.py [bench/results/NAME.json ...]` writes ``NAME.md`` and ``NAME.svg`` beside
each, of all results by default; a bench that keeps its finding does so by itself. The same finding
gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from figures import NAMES, Row, aims_of, columns_of, form_of, middle, numbers, shown
from plot import plot

RESULTS: Final = Path(__file__).parent / "results"


def write_rendered(path: Path) -> None:
    """Write table and plot of the finding at `path` beside it."""
    finding = json.loads(path.read_text(encoding="utf-8"))
    picture = plot(finding["details"])
    table = markdown(path.stem, finding, has_plot=bool(picture))
    path.with_suffix(".md").write_text(table, encoding="utf-8")
    if picture:
        path.with_suffix(".svg").write_text(picture, encoding="utf-8")
    else:
        path.with_suffix(".svg").unlink(missing_ok=True)


def markdown(name: str, finding: Mapping[str, Any], *, has_plot: bool) -> str:
    """Return a page on the finding of the bench `name`."""
    details = finding["details"]
    rows: Sequence[Row] = details.get("rows", ())
    columns = columns_of(details)
    parts = [f"# bench/{name}.py", f"Ratio: **{shown(finding['ratio']) or 'not measured'}**."]
    if details.get("what"):
        parts.append(f"{details['what']}.")
    if has_plot:
        parts.append(f"![Findings of each input beside their aims]({name}.svg)")
    aims = _aim_lines(details, rows)
    if aims:
        parts += ["## Aims", _table(["figure", "aim", "inputs that reach it", "median"], aims)]
    forms = list(dict.fromkeys(map(form_of, rows)))
    if len(forms) > 1:
        lines = [_summary(form, [r for r in rows if form_of(r) == form], columns) for form in forms]
        lines.append(_summary("**all**", rows, columns))
        heads = ["inputs", "number", *columns.values()]
        parts += ["## Medians (least, most)", _table(heads, lines)]
    if rows:
        names = [name for name in NAMES if any(row.get(name) for row in rows)]
        lines = [
            [*(str(row.get(name, "")) for name in names), *(shown(row.get(key)) for key in columns)]
            for row in rows
        ]
        parts += ["## Every input", _table([*names, *columns.values()], lines)]
    rest = {key: value for key, value in details.items() if key not in _SHOWN}
    for key in [key for key, value in rest.items() if _is_flat(value)]:
        lines = [[name, shown(value)] for name, value in rest.pop(key).items()]
        parts += [f"## `{key}`", _table(["", ""], lines)]
    if rest:
        parts += ["## What else was noted", _fenced(rest)]
    return "\n\n".join(parts) + "\n"


_SHOWN: Final = {"what", "rows", "columns", "aims"}


def _aim_lines(details: Mapping[str, Any], rows: Sequence[Row]) -> list[list[str]]:
    """Return a line per aim: what it is and how far it is reached."""
    columns, lines = columns_of(details), []
    for key, aim in aims_of(details).items():
        if not aim:
            continue
        having = [row for row in rows if numbers([row], key)]
        met = sum(aim.is_met(float(row[key]), form_of(row)) for row in having)
        reached = f"{met} of {len(having)}"
        lines.append([columns.get(key, key), str(aim), reached, shown(middle(numbers(rows, key)))])
    return lines


def _summary(title: str, rows: Sequence[Row], columns: Iterable[str]) -> list[str]:
    """Return a line of medians, least and most in brackets."""
    cells = [title, str(len(rows))]
    for key in columns:
        values = numbers(rows, key)
        if not values:
            cells.append("")
        elif len(values) == 1:
            cells.append(shown(values[0]))
        else:
            cells.append(f"{shown(middle(values))} ({shown(min(values))}, {shown(max(values))})")
    return cells


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    texts = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(cell for cell in line) + " |" for line in texts)


def _is_flat(value: object) -> bool:
    """Return whether a value is a mapping of numbers and texts, which make a table."""
    return isinstance(value, dict) and not any(
        isinstance(one, dict | list) for one in value.values()
    )


def _fenced(value: object) -> str:
    """Return a value as a block of JSON."""
    return "```json\n" + json.dumps(value, indent=1, ensure_ascii=False) + "\n```"


def main() -> None:
    """Render what the command line names, by default all results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("finding", nargs="*", type=Path, help="results/NAME.json")
    for path in parser.parse_args().finding or sorted(RESULTS.glob("*.json")):
        write_rendered(path)
        print(path.with_suffix(".md"))


if __name__ == "__main__":
    main()

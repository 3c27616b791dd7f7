"""What a bench found: printed as its last line, and kept in ``results/`` with a table and a plot.

`from results import report` in a bench. What `details` may hold so that it can be rendered:

===========  =======================================================================================
``what``     one line: what was compared, in which unit
``rows``     one mapping per input: ``input`` (its name), ``form`` (what it is grouped by), and
             numbers or short texts under any other names
``columns``  name -> heading of the names that tables show, in this order; by default all of them
``aims``     name -> what its numbers are to reach, see `figures.Aim`; these are plotted
===========  =======================================================================================
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from render import write_rendered

RESULTS: Final = Path(__file__).parent / "results"
_PLACES: Final = 5


def report(name: str, ratio: float | None, details: dict[str, Any], *, keep: bool = True) -> None:
    """Print the finding as one JSON object on the last line, and keep it.

    Args:
        name: Of the bench; files are called ``results/<name>.json``, ``.md`` and ``.svg``.
        ratio: The peer's cost over ours, None where it could not be measured.
        details: What else there is to know; numbers are rounded to five places.
        keep: False for a run on a part of the inputs, which shall not replace that on all.
    """
    finding = _rounded({"ratio": ratio, "details": details})
    if keep:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{name}.json"
        path.write_text(json.dumps(finding, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        write_rendered(path)
    print(json.dumps(finding), flush=True)


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return `value` with all numbers in it rounded, so that a diff shows what matters."""
    if isinstance(value, float):
        return round(value, _PLACES)
    if isinstance(value, dict):
        return {str(key): _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value

"""What benches found: its tables and plots say what the JSON beside them says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"
pytestmark = pytest.mark.skipif(not BENCH.is_dir(), reason="the source archive has no benches")


def rendered(*findings: Path) -> None:
    """Render findings in place."""
    argv = [sys.executable, str(BENCH / "render.py"), *map(str, findings)]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def test_kept_results_are_what_their_json_says(tmp_path: Path) -> None:
    """Nobody has written a better number into a table or a plot."""
    kept = sorted((BENCH / "results").glob("*.json"))
    if not kept:
        pytest.skip("no bench has been run")
    rendered(*(Path(shutil.copy(path, tmp_path)) for path in kept))
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (BENCH / "results" / path.name).read_bytes(), path.name


def test_a_missed_aim_shows(tmp_path: Path) -> None:
    """The table counts inputs that reach an aim, the plot draws the others hollow."""
    rows = [
        {"input": "small", "form": "340x256", "ratio": 1.3, "size": 1.1},
        {"input": "middle", "form": "480p", "ratio": 1.3, "size": 1.2},
        {"input": "large", "form": "720p", "ratio": 1.6, "size": 1.4},
    ]
    aims = {
        "ratio": {"least": {"340x256": 1.2, "480p": 1.4, "720p": 1.4}, "median": 1.5},
        "size": {"most": 1.25},
    }
    path = tmp_path / "some.json"
    path.write_text(json.dumps({"ratio": 1.3, "details": {"rows": rows, "aims": aims}}))
    rendered(path)
    table = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "| 2 of 3 | 1.30 |" in table
    assert "| size | at most 1.25 | 2 of 3 | 1.20 |" in table
    plot = path.with_suffix(".svg").read_text(encoding="utf-8")
    assert plot.count("<circle") == 6
    assert plot.count('fill="white">') == 2  # one missed aim in each panel

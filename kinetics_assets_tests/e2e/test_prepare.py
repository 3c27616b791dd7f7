"""`kinetics prepare` with the user's own list and folder: chosen parts, failure, and recovery."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.demo import clips
from kinetics_assets_tests.e2e import demo_runs

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

LABEL = "zumba"
ROWS = [
    row
    for row in clips.plan(clips.chosen_classes())
    if (row.clip.label, row.split) == (LABEL, Split.VAL)
]


def _prepare(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Return the finished command; it asks local folders only."""
    command = [sys.executable, "-m", "kinetics_assets.cli", "prepare", "demo", "--root", str(root)]
    done = subprocess.run(
        [*command, "--split", "val", "--class", LABEL, *options],
        env=demo_runs.environment(root) | {"KINETICS_SOURCES__ORDER": "local"},
        capture_output=True,
        text=True,
        check=False,
        timeout=demo_runs.SECONDS,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_an_incomplete_class_is_told_and_completed_later(tmp_path: Path) -> None:
    """Exit code 1 and the reasons while clips are missing, 0 once they are there; stages as asked.

    A second try at once launches nothing, because nothing could have changed.
    """
    root, folder = tmp_path / "root", tmp_path / "mine"
    folder.mkdir()
    annotations = tmp_path / "val.csv"
    lines = [
        f"{LABEL},{r.clip.id.youtube_id},{r.clip.id.start_seconds},{r.clip.id.end_seconds},val"
        for r in ROWS
    ]
    annotations.write_text("\n".join(["label,youtube_id,time_start,time_end,split", *lines]))
    clips.encode(ROWS[0].source, folder / f"{ROWS[0].source.youtube_id}.mp4")
    local = ("--local", str(folder), "--stage", "videos")

    first = _prepare(root, "--annotations", str(annotations), *local)
    assert first.returncode == 1, first.stdout + first.stderr
    assert "not_at_source" in first.stdout
    assert "Not done" in first.stdout

    again = _prepare(root, *local)
    assert again.returncode == 1
    assert "no class needs a run" in again.stdout
    assert "--retry-now" in again.stdout

    for row in ROWS[1:]:
        clips.encode(row.source, folder / f"{row.source.youtube_id}.mp4")
    last = _prepare(root, "--retry-now", *local)
    assert last.returncode == 0, last.stdout + last.stderr
    assert len(list((root / "demo" / "videos_val" / LABEL).iterdir())) == len(ROWS)
    assert not (root / "demo" / "rawframes_val").exists()
    assert "No file lists were written" in last.stdout

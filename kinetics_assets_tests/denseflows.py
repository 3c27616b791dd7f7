"""Setting up the stand-in for denseflow as an executable, and reading what it was given."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinetics_assets_tests.resources import denseflow_stand_in


@dataclass(frozen=True)
class Denseflow:
    """An executable that stands in for denseflow."""

    path: Path

    def behave(self, mode: str, **how: object) -> None:
        """Let it work in a `mode` from now on; see the stand-in."""
        told = self.path.parent / "behaviour.json"
        told.write_text(json.dumps({"mode": mode, **how}))

    @property
    def runs(self) -> list[dict[str, Any]]:
        """What each run was given, the oldest first."""
        log = self.path.parent / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def hangs(self) -> int:
        """How many runs have come so far that they do no more."""
        return len(list(self.path.parent.glob("hangs-*")))

    @property
    def videos(self) -> list[str]:
        """Names of the files that the links of each run led to."""
        return [run["video"] for run in self.runs]


def install(folder: Path) -> Denseflow:
    """Return a stand-in that works well, as ``<folder>/denseflow``."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "denseflow"
    source = Path(denseflow_stand_in.__file__).read_text(encoding="utf-8")
    program.write_text(f"#!{sys.executable} -I\n{source}", encoding="utf-8")
    program.chmod(0o755)
    made = Denseflow(program)
    made.behave("well")
    return made

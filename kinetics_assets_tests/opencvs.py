"""Setting up an interpreter with the stand-in for a CUDA OpenCV, and reading what it was asked."""

from __future__ import annotations

import json
import shutil
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

STAND_IN = Path(__file__).parent / "resources" / "cv2_cuda_stand_in.py"


@dataclass(frozen=True)
class OpenCv:
    """An interpreter of its own with numpy and the stand-in, nothing else."""

    python: Path
    packages: Path

    def behave(self, mode: str, **how: object) -> None:
        """Let it work in a `mode` from now on; see the stand-in."""
        (self.packages / "behaviour.json").write_text(json.dumps({"mode": mode, **how}))
        for name in ("log", "count"):
            (self.packages / name).unlink(missing_ok=True)

    def take_away(self) -> None:
        """Leave an interpreter without cv2."""
        (self.packages / "cv2.py").unlink()

    def notes(self, what: str) -> list[dict[str, Any]]:
        """What was written down of one kind since the last `behave`, the oldest first."""
        log = self.packages / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [note for note in map(json.loads, lines) if note["what"] == what]

    @property
    def pids(self) -> list[int]:
        """Processes that imported it, the oldest first."""
        return [note["pid"] for note in self.notes("import")]


def install(folder: Path) -> OpenCv:
    """Return an interpreter in the new `folder` whose OpenCV works well."""
    venv.EnvBuilder(symlinks=True).create(folder)
    (packages,) = folder.glob("lib/python3*/site-packages")
    ours = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (ours / name).exists():
            (packages / name).symlink_to(ours / name)
    shutil.copyfile(STAND_IN, packages / "cv2.py")
    made = OpenCv(folder / "bin" / "python", packages)
    made.behave("well")
    return made

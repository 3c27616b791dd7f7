"""The old OpenCV path as a process to measure against: mmcv in a venv of its own.

`with running_peer() as peer: peer.make("rgb", source, folder, (340, 256))` in a bench. The process
lives over many clips, so that what a clip costs is without starting it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from kinetics_like import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

MMCV: Final = "mmcv-lite==2.2.0"
NEEDS: Final = (
    "addict==2.4.0",
    "mmengine-lite==0.10.7",
    "numpy==2.4.6",
    "opencv-python-headless==5.0.0.93",
    "packaging",
    "pillow",
)
"""What it needs; named here because it asks for an OpenCV that opens windows."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a clip cost in the peer's process."""

    cpu_s: float
    """CPU seconds of all its threads."""
    wall_s: float
    frames: int


class Peer:
    """The peer's process, doing one clip at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Take over a started process and read its versions."""
        self._process = process
        self.versions: dict[str, str] = json.loads(self._line())

    def make(
        self, mode: Literal["rgb", "gray"], source: Path, target: Path, size: tuple[int, int]
    ) -> Cost:
        """Return the cost of the frames of `source`, (width, height), written to `target`.

        Args:
            mode: ``rgb`` for JPEGs in the existing folder `target`, ``gray`` for raw grey frames in
                the file `target`.
            source: A video.
            target: Absolute.
            size: Width and height, met exactly.
        """
        width, height = size
        request = {"mode": mode, "source": str(source), "target": str(target)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({**request, "width": width, "height": height}) + "\n")
        self._process.stdin.flush()
        return Cost(**json.loads(self._line()))

    def _line(self) -> str:
        """Return the next line that the peer says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"The peer ended early with code {self._process.wait()}.")
        return line


@contextmanager
def running_peer(cores: set[int] | None = None) -> Iterator[Peer]:
    """Start the peer on `cores`, else those of this process, and end it afterwards."""
    argv = [str(_python()), str(Path(__file__).with_name("peer_mmcv.py"))]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        if cores is not None:
            # before it has loaded OpenCV, which then counts them
            os.sched_setaffinity(process.pid, cores)
        yield Peer(process)
        assert process.stdin is not None
        process.stdin.close()


def _python() -> Path:
    """Return the interpreter of the peer's venv, made on the first call."""
    home = cache_folder() / MMCV.replace("==", "-")
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        venv.create(home, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *NEEDS], check=True, stdout=sys.stderr)
        subprocess.run([*pip, "--no-deps", MMCV], check=True, stdout=sys.stderr)
        (home / "ready").touch()
    return python

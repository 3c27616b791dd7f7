"""The program denseflow: OpenCV CUDA's TV-L1 for who has built it, one video per process.

What is told to it is here; whether its pictures are any good is judged elsewhere, by counting and
decoding them (`kinetics_assets.stages.flow_files`). Its exit status says nothing (it returns 0 with
pictures missing, and dies with all of them written), nor do its ``.done`` files.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kinetics_assets.core.errors import DeviceLost, ToolMissing
from kinetics_assets.engines import tvl1
from kinetics_assets.engines.base import Device, FileResult, FileTask
from kinetics_assets.io.programs import ProgramEnd, clean_environment, run_program

if TYPE_CHECKING:
    from kinetics_assets.core.errors import EnvironmentFault

PROGRAM: Final = "denseflow"
"""Its name on the PATH."""

_STEM, _OUT = "video", "out"
_SUFFIX: Final = re.compile(r"\.[a-z0-9]{1,5}", re.ASCII)
_LIST_SUFFIX: Final = ".txt"
_HELP_SECONDS: Final = 60.0
_VERSION: Final = re.compile(r"\bversion\W{0,3}v?(\d+(?:\.\d+)+)", re.IGNORECASE)
_DEVICE_WORDS: Final = re.compile(
    r"cuda|nvidia|gpu api call|out of memory|invalid device|kernel image", re.IGNORECASE
)
_LOADER_WORDS: Final = re.compile(r"shared (object|librar)", re.IGNORECASE)
_OTHER_ENGINE: Final = "or choose another engine (flow.engine)."


class DenseflowEngine:
    """Runs denseflow; holds nothing but where it is and what it says of itself.

    A process of it dies with this process and keeps the leased device until it is dead.
    """

    name: str = "denseflow"
    profile: str = f"{tvl1.PROFILE} via denseflow"
    device: Device = "cuda"
    jpeg_quality: int = 95

    def __init__(self, *, program: Path | None = None) -> None:
        """Use `program`, by default the one on the PATH when it is first needed."""
        self._chosen = program
        self._versions: dict[str, str] | None = None
        self._turn = threading.Lock()

    def versions(self) -> dict[str, str]:
        """Return the program's version, if it tells one, and the sha256 of its file.

        As published it has no version at all, hence the second.

        Raises:
            ToolMissing: It is not there.
        """
        with self._turn:
            if self._versions is None:
                program = self._program()
                help_text = run_program(
                    [str(program), "-h"],
                    env=clean_environment(os.environ),
                    folder=program.parent,
                    seconds=_HELP_SECONDS,
                ).printed
                found = _VERSION.search(help_text)
                with program.open("rb") as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                number = found[1] if found else "unversioned"
                self._versions = {"denseflow": f"{number} (sha256 {sha256[:16]})"}
            return dict(self._versions)

    def run(self, task: FileTask, folder: Path, *, seconds: float) -> FileResult:
        """Return what one process left of `task`, made inside the empty `folder`.

        The program sees plain names only: a link to the video, and a folder for its output.

        Raises:
            ToolMissing: It is not there.
            OSError: `folder` cannot be used.
        """
        program = self._program()
        suffix = task.video.suffix.lower()
        plain = bool(_SUFFIX.fullmatch(suffix)) and suffix != _LIST_SUFFIX
        link = folder / (_STEM + suffix if plain else f"{_STEM}.mp4")
        link.symlink_to(task.video.absolute())
        out = folder / _OUT
        out.mkdir()
        end = run_program(
            [str(program), *arguments(task, link.name)],
            env={**clean_environment(os.environ), "TMPDIR": str(folder.absolute())},
            folder=folder,
            seconds=seconds,
        )
        return _result(task, out / _STEM, end)

    def fault(self, said: str) -> EnvironmentFault:
        """Return the fault of this machine: the device's, if `said` speaks of it."""
        if _DEVICE_WORDS.search(said) and not _LOADER_WORDS.search(said):
            return DeviceLost(
                f"denseflow cannot use the GPU: {said}.",
                remedy="Check the driver (`nvidia-smi`), and that denseflow and its OpenCV were"
                f" built for this GPU, {_OTHER_ENGINE}",
            )
        return ToolMissing(
            f"denseflow (on a video known to be good: {said})",
            f"Run {self._chosen or PROGRAM} by hand on any video and mend what it says, "
            + _OTHER_ENGINE,
        )

    def _program(self) -> Path:
        """Return the absolute path of the program."""
        found = shutil.which(self._chosen or PROGRAM)
        if found is None:
            raise ToolMissing(
                f"denseflow ({self._chosen or 'looked for on the PATH'})",
                f"Install it, name it in flow.denseflow_path, {_OTHER_ENGINE}",
            )
        return Path(found).absolute()


def arguments(task: FileTask, video: str) -> list[str]:
    """Return the program's arguments; it does not understand ``-x v``, only ``-x=v``.

    Both sides are given: with the short side alone it rounds the other one by itself, never
    enlarges, and knows nothing of pixels that are not square.

    Raises:
        ValueError: The bound is no whole number.
    """
    if task.bound_px != int(task.bound_px):
        raise ValueError(f"denseflow takes whole bounds only, not {task.bound_px}.")
    return [
        video,
        f"-o={_OUT}",
        "-a=tvl1",
        "-s=1",
        f"-b={int(task.bound_px)}",
        f"-nw={task.size.width_px}",
        f"-nh={task.size.height_px}",
    ]


def _result(task: FileTask, folder: Path, end: ProgramEnd) -> FileResult:
    """Return the pictures in `folder` if they are those of all pairs, numbered from 0."""
    wanted = [f"flow_{axis}_{pair:05d}.jpg" for axis in "xy" for pair in range(task.pairs)]
    there = set()
    if folder.is_dir():
        there = {e.name for e in os.scandir(folder) if e.is_file(follow_symlinks=False)}
    words = f": {end.words}" if end.words else ""
    in_time = end.status is not None
    if there == set(wanted):
        return FileResult(tuple(folder / name for name in wanted), f"it {end}{words}", in_time)
    missing = next((name for name in wanted if name not in there), "none")
    counts = (
        f"{len(there & set(wanted))} of {len(wanted)} pictures are there"
        f" (first missing: {missing}), {len(there - set(wanted))} are too many"
    )
    return FileResult((), f"{counts}; it {end}{words}", in_time)

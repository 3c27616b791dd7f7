"""Resized video, RGB frames and flow input of a clip: our one decode against the old chain.

`python bench/chain.py [--inputs NAME ...] [--rounds N] [--keep]` in the project's environment.
Inputs and the peers' venvs are made on the first run, outside the repository. README.md says how to
read the last line.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import Any, Final

import av
from cores import on_cores
from kinetics_like import INPUTS, made
from peer_ffmpeg import peer_ffmpeg, version_of
from peer_frames import Peer, running_peer
from results import report

from kinetics_assets.core.settings import FrameRecipe, Limits, ResizeRecipe
from kinetics_assets.io.atomic import sha256_of
from kinetics_assets.media.client import FrameFacts, MediaFacts, MediaWorker, Wishes
from kinetics_assets.stages.picture_checks import verified_pictures

SHORT_SIDE_PX: Final = 256
CPU_CLOCK: Final = 2
"""What clock_gettime(3) calls the scheduler's count of a process, in the low bits of a clock id."""
AIMS: Final = {
    "ratio": {"least": 2.1, "median": 2.8},
    "ratio_from_resized": {"least": 1.75},
    "ratio_threads": {"least": 2.1, "median": 2.8},
    "ratio_threads_from_resized": {"least": 1.75},
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What something cost, in seconds."""

    cpu_s: float
    wall_s: float

    def __add__(self, other: Cost) -> Cost:
        """Return both together."""
        return Cost(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s)


class Ours:
    """Our worker: one child process for all clips, as in a run."""

    def __init__(self, folder: Path) -> None:
        """Let a child write below `folder`."""
        self._folder = folder
        self._worker = MediaWorker(Limits(), writable=[folder])

    def one_pass(self, source: Path, *, from_resized: bool = False) -> Cost:
        """Return the cost of all three products of `source` in one decode, checked and hashed."""
        folder = _empty(self._folder / "ours")
        wishes = Wishes(
            resized=(folder / "small.mp4", ResizeRecipe(short_side_px=SHORT_SIDE_PX)),
            rawframes=(_empty(folder / "rgb"), FrameRecipe(size=str(SHORT_SIDE_PX))),
            gray=(folder / "gray.npy", FrameRecipe(size=str(SHORT_SIDE_PX))),
            from_resized=from_resized,
        )
        before = self._now()
        made_of_it = self._worker.products(source, wishes)
        assert isinstance(made_of_it.resized, MediaFacts), made_of_it
        assert isinstance(made_of_it.rawframes, FrameFacts), made_of_it
        assert isinstance(made_of_it.gray, FrameFacts), made_of_it
        self._accept(folder, made_of_it.rawframes)
        return self._since(before)

    def stage_by_stage(self, source: Path) -> Cost:
        """Return the cost of the same products by one operation each, as without the one decode."""
        folder = _empty(self._folder / "alone")
        recipe = FrameRecipe(size=str(SHORT_SIDE_PX))
        before = self._now()
        small = ResizeRecipe(short_side_px=SHORT_SIDE_PX)
        self._worker.resize(source, folder / "small.mp4", recipe=small)
        facts = self._worker.rawframes(source, _empty(folder / "rgb"), recipe=recipe)
        self._worker.gray(source, folder / "gray.npy", recipe=recipe)
        self._accept(folder, facts)
        return self._since(before)

    def close(self) -> None:
        """End the child."""
        self._worker.close()

    def _accept(self, folder: Path, facts: FrameFacts) -> None:
        """Check the pictures and hash what is kept, as the stages do."""
        names = [f"img_{number:05d}.jpg" for number in range(1, facts.frames + 1)]
        verified_pictures(folder / "rgb", names, facts=facts, worker=self._worker)
        sha256_of(folder / "small.mp4")

    def _now(self) -> Cost:
        """Return what this process and its children have used so far, and the time."""
        tasks = Path("/proc/self/task").glob("*/children")
        children = {int(pid) for task in tasks for pid in task.read_text().split()}
        # the peer is a child too, and waits meanwhile: it adds nothing to a difference
        theirs = sum(time.clock_gettime(~pid << 3 | CPU_CLOCK) for pid in children)
        return Cost(theirs + time.process_time(), time.perf_counter())

    def _since(self, before: Cost) -> Cost:
        """Return what was used since `before`."""
        now = self._now()
        return Cost(now.cpu_s - before.cpu_s, now.wall_s - before.wall_s)


class OldChain:
    """The old scripts' commands for one clip."""

    def __init__(self, ffmpeg: str, peer: Peer, folder: Path, *, cores: set[int]) -> None:
        """Work below `folder`; ffmpeg runs on `cores`, as `peer` does."""
        self._ffmpeg, self._peer, self._cores = ffmpeg, peer, cores
        self._small = folder / "peer.mp4"
        self._rgb, self._gray = folder / "peer-rgb", folder / "peer.gray"

    def run(self, source: Path) -> tuple[Cost, Cost]:
        """Return the cost with every step from the original, and with frames from the resized."""
        resized = self._resize(source)
        size = picture_size(self._small)
        return resized + self._frames(source, size), resized + self._frames(self._small, size)

    def _resize(self, source: Path) -> Cost:
        """Return the cost of `resize_videos.py --dense`'s two commands."""
        width, height = picture_size(source)
        scale = f"scale=-2:{SHORT_SIDE_PX}" if width > height else f"scale={SHORT_SIDE_PX}:-2"
        quiet = ["-hide_banner", "-loglevel", "error"]
        ask = ["-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0"]
        commands = [
            [
                *(self._ffmpeg, *quiet, "-i", str(source), "-vf", scale),
                *("-c:v", "libx264", "-g", "16", "-an", str(self._small), "-y"),
            ]
        ]
        if ffprobe := shutil.which("ffprobe"):
            commands.insert(0, [ffprobe, *quiet, *ask, str(source)])
        start, began = getrusage(RUSAGE_CHILDREN), time.perf_counter()
        with on_cores(self._cores):
            for argv in commands:
                subprocess.run(
                    argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
                )
        end, ended = getrusage(RUSAGE_CHILDREN), time.perf_counter()
        used = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
        return Cost(used, ended - began)

    def _frames(self, source: Path, size: tuple[int, int]) -> Cost:
        """Return the cost of RGB frames and of flow input, each from a decode of its own."""
        rgb = self._peer.make("rgb", source, _empty(self._rgb), size)
        gray = self._peer.make("gray", source, self._gray, size)
        return Cost(rgb.cpu_s + gray.cpu_s, rgb.wall_s + gray.wall_s)


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height


def measure(ours: Ours, old: OldChain, free: OldChain, source: Path) -> dict[str, float]:
    """Return the costs of one input: our one pass before and after everything else.

    `old` runs on our core, `free` on all of them.
    """
    first = ours.one_pass(source)
    old_all, old_small = old.run(source)
    free_all, free_small = free.run(source)
    alone = ours.stage_by_stage(source)
    ours_small = ours.one_pass(source, from_resized=True)
    second = ours.one_pass(source)
    cpu_s, wall_s = (first.cpu_s + second.cpu_s) / 2, (first.wall_s + second.wall_s) / 2
    return {
        "ours_s": cpu_s,
        "peer_s": old_all.cpu_s,
        "peer_from_resized_s": old_small.cpu_s,
        "ours_from_resized_s": ours_small.cpu_s,
        "ours_stage_by_stage_s": alone.cpu_s,
        "ratio": old_all.cpu_s / cpu_s,
        "ratio_from_resized": old_small.cpu_s / ours_small.cpu_s,
        "ratio_threads": free_all.cpu_s / cpu_s,
        "ratio_threads_from_resized": free_small.cpu_s / ours_small.cpu_s,
        "ratio_unlike": old_small.cpu_s / cpu_s,
        "stages_over_one_pass": alone.cpu_s / cpu_s,
        "wall_ratio": old_all.wall_s / wall_s,
        "wall_ratio_from_resized": old_small.wall_s / ours_small.wall_s,
    }


def _empty(folder: Path) -> Path:
    """Return `folder`, made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def main() -> None:
    """Measure every input and print the finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [one.name for one in INPUTS]
    parser.add_argument("--inputs", nargs="+", default=names, choices=names, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3, help="of each input; the median counts")
    parser.add_argument("--keep", action="store_true", help="keep a result on a part of the inputs")
    options = parser.parse_args()
    ffmpeg = peer_ffmpeg()
    # one core for everybody: programs then start one thread, which is the least that they can cost
    cores = os.sched_getaffinity(0)
    one_core = {min(cores)}
    os.sched_setaffinity(0, one_core)
    rows: list[dict[str, Any]] = []
    memory = Path("/dev/shm")  # all files are small, and the disk is everybody's
    place = memory if memory.is_dir() else None
    with (
        tempfile.TemporaryDirectory(dir=place) as name,
        running_peer() as peer,
        running_peer(cores) as free_peer,
    ):
        folder = Path(name)
        ours = Ours(folder)
        old = OldChain(ffmpeg, peer, folder, cores=one_core)
        free = OldChain(ffmpeg, free_peer, folder, cores=cores)
        measure(ours, old, free, made(INPUTS[-2]))  # all load what is needed; does not count
        for one in (one for one in INPUTS if one.name in options.inputs):
            found = [measure(ours, old, free, made(one)) for _ in range(options.rounds)]
            row = {key: median(each[key] for each in found) for key in found[0]}
            rows.append({"input": one.name, "form": f"{one.size} {one.codec}", **row})
            print(one.name, {key: round(value, 3) for key, value in row.items()}, flush=True)
        ours.close()
        versions = {"ffmpeg": version_of(ffmpeg), **peer.versions}
    details = {
        "what": "CPU seconds per clip, peer over ours: resized video, RGB frames, flow input;"
        " ours with all checks and hashes",
        "columns": {
            "ours_s": "ours, s",
            "peer_s": "old chain from originals, s",
            "ratio": "ratio, frames from originals",
            "ours_from_resized_s": "ours from resized, s",
            "peer_from_resized_s": "old chain from resized, s",
            "ratio_from_resized": "ratio, frames from resized",
            "ratio_threads": "the same, old chain on all cores",
            "ratio_threads_from_resized": "from resized, old chain on all cores",
            "ratio_unlike": "old from resized / ours from originals",
            "stages_over_one_pass": "our stages alone / one pass",
            "wall_ratio": "wall ratio, originals",
        },
        "aims": AIMS,
        "rows": rows,
        "medians": {
            key: median(row[key] for row in rows)
            for key in rows[0]
            if isinstance(rows[0][key], float)
        },
        "files_in_memory": place is not None,
        "load_average": os.getloadavg()[0],
        "ffprobe_counted": shutil.which("ffprobe") is not None,
        "versions": {
            "av": version("av"),
            "simplejpeg": version("simplejpeg"),
            "python": sys.version.split()[0],
            **{f"peer {name}": number for name, number in versions.items()},
        },
    }
    keep = options.keep or set(options.inputs) == set(names)
    report("chain", median(row["ratio"] for row in rows), details, keep=keep)


if __name__ == "__main__":
    main()

"""Resizing clips to a short side of 256: our worker against the old script's command.

`python bench/resize.py [--inputs NAME ...] [--rounds N] [--recipe PRESET:CRF:PARAMS ...]` in the
project's environment. Inputs and an ffmpeg that judges are made or fetched on the first run,
outside the repository. The last line is one JSON object; README.md says how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import Any, Final

import av
from cores import on_cores
from kinetics_like import HELD_OUT, INPUTS, made
from peer_ffmpeg import peer_ffmpeg, quality, static_ffmpeg, version_of
from results import report

from kinetics_assets.core.settings import Limits, ResizeRecipe
from kinetics_assets.media.client import MediaWorker

SHORT_SIDE_PX: Final = 256
CPU_CLOCK: Final = 2
"""What clock_gettime(3) calls the scheduler's count of a process, in the low bits of a clock id."""
_JUDGED_PEER: Final[dict[Path, tuple[int, dict[str, float]]]] = {}
FIGURES: Final = ("ratio", "size", "ssim", "psnr", "vmaf", "psnr_u", "psnr_v")
ALSO: Final = ("ratio_threads", "ours_s", "peer_s")
COLUMNS: Final = {
    "ours_s": "ours, s",
    "peer_s": "peer, s",
    "ratio": "ratio",
    "size": "size",
    "ssim": "SSIM",
    "psnr": "PSNR, dB",
    "vmaf": "VMAF",
}
AIMS: Final = {
    "ratio": {"least": 1.5, "median": 1.7},
    "size": {"most": 1.25},
    "ssim": {"least": 0.0},
    "psnr": {"least": -0.2},
    "vmaf": {"least": -0.2},
}


class Ours:
    """Our worker: one child process for all clips, as in a run."""

    def __init__(self, folder: Path) -> None:
        """Start the child and let it load what it needs, on a clip that does not count."""
        self._worker = MediaWorker(Limits(), writable=[folder])
        self._warm_up(folder)

    def resize(self, source: Path, target: Path, recipe: ResizeRecipe) -> float:
        """Return the CPU seconds of one clip: the child's and this process's."""
        before = self._cpu_seconds()
        self._worker.resize(source, target, recipe=recipe)
        return self._cpu_seconds() - before

    def close(self) -> None:
        """End the child."""
        self._worker.close()

    def _warm_up(self, folder: Path) -> None:
        self._worker.resize(made(INPUTS[-2]), folder / "warm-up.mp4", recipe=ResizeRecipe())

    def _cpu_seconds(self) -> float:
        """Return what this process and its children have used so far."""
        tasks = Path("/proc/self/task").glob("*/children")
        children = {int(pid) for task in tasks for pid in task.read_text().split()}
        theirs = sum(time.clock_gettime(~pid << 3 | CPU_CLOCK) for pid in children)
        return theirs + time.process_time()


def peer_resize(ffmpeg: str, source: Path, target: Path) -> float:
    """Return the CPU seconds of the old script's commands for one clip."""
    start = getrusage(RUSAGE_CHILDREN)
    ffprobe = shutil.which("ffprobe")
    if ffprobe:
        ask = ["-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0"]
        argv = [ffprobe, "-hide_banner", "-loglevel", "error", *ask, str(source)]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    peer_encode(ffmpeg, source, target)
    end = getrusage(RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime


def peer_resize_threaded(ffmpeg: str, source: Path, target: Path) -> float:
    """Return the same on all cores, where ffmpeg starts a thread for each."""
    with on_cores(set(range(os.cpu_count() or 1))):
        return peer_resize(ffmpeg, source, target)


def peer_encode(ffmpeg: str, source: Path, target: Path) -> None:
    """Run the old script's ffmpeg command."""
    width, height = picture_size(source)
    scale = f"scale=-2:{SHORT_SIDE_PX}" if width > height else f"scale={SHORT_SIDE_PX}:-2"
    argv = [ffmpeg, "-hide_banner", "-loglevel", "error", "-i", str(source), "-vf", scale]
    argv += ["-c:v", "libx264", "-g", "16", "-an", str(target), "-y"]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


def judged_peer(source: Path, made_by_peer: Path, spare: Path) -> tuple[int, dict[str, float]]:
    """Return size and quality of the peer's result, once for an input.

    An ffmpeg before 6 repeats frames of a clip whose frame rate varies. What it makes then cannot
    be compared frame by frame, and the static one's result of the same command is judged instead.
    """
    if source not in _JUDGED_PEER:
        if pictures(made_by_peer)[0] != pictures(source)[0]:
            peer_encode(static_ffmpeg(), source, spare)
            made_by_peer = spare
        found = quality(made_by_peer, source, picture_size(made_by_peer))
        _JUDGED_PEER[source] = pictures(made_by_peer)[1], found
    return _JUDGED_PEER[source]


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height


def measure(
    ours: Ours, ffmpeg: str, source: Path, folder: Path, recipe: ResizeRecipe, *, rounds: int
) -> dict[str, Any]:
    """Return costs, sizes and quality for one input: the peer's between two of ours, each round."""
    target, peer_target = folder / "ours.mp4", folder / "peer.mp4"
    mine, theirs, threaded = [ours.resize(source, target, recipe)], [], []
    for _ in range(rounds):
        theirs.append(peer_resize(ffmpeg, source, peer_target))
        mine.append(ours.resize(source, target, recipe))
        threaded.append(peer_resize_threaded(ffmpeg, source, folder / "threaded.mp4"))
    beside = [(before + after) / 2 for before, after in pairwise(mine)]
    row: dict[str, Any] = {"ours_s": median(mine), "peer_s": median(theirs)}
    row["ratio"] = median(peer / own for peer, own in zip(theirs, beside, strict=True))
    peer_bytes, peer_quality = judged_peer(source, peer_target, folder / "judged.mp4")
    row["peer_threads_s"] = median(threaded)
    row["ratio_threads"] = median(peer / own for peer, own in zip(threaded, beside, strict=True))
    row["size"] = pictures(target)[1] / peer_bytes
    judged = quality(target, source, picture_size(target))
    differences = {name: judged[name] - peer_quality[name] for name in judged}
    return row | differences | {f"peer_{name}": value for name, value in peer_quality.items()}


def pictures(path: Path) -> tuple[int, int]:
    """Return number and bytes of a file's pictures: ours keeps the sound, which the peer drops."""
    with av.open(str(path)) as container:
        sizes = [packet.size for packet in container.demux(video=0) if packet.size]
    return len(sizes), sum(sizes)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return median and worst of each figure over `rows`."""
    found: dict[str, Any] = {"inputs": len(rows)}
    for name in (*FIGURES, *ALSO):
        values = [row[name] for row in rows if name in row]
        if not values:
            continue
        worst = max(values) if name in {"size", "ours_s", "peer_s"} else min(values)
        found[name] = round(median(values), 4)
        found[f"{name}_worst"] = round(worst, 4)
    return found


def recipe_from(text: str) -> ResizeRecipe:
    """Return the recipe that ``PRESET:CRF:PARAMS`` stands for."""
    preset, crf, params = text.split(":", 2)
    return ResizeRecipe(preset=preset, crf=float(crf), x264_params=params)


def main() -> None:
    """Measure every input with every recipe and print the finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [one.name for one in INPUTS]
    parser.add_argument("--inputs", nargs="+", default=names, choices=names, metavar="NAME")
    parser.add_argument("--held-out", action="store_true", help="inputs that settings never saw")
    parser.add_argument("--recipe", nargs="+", default=[], help="instead of the default recipe")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    options = parser.parse_args()
    inputs = [one for one in INPUTS if one.name in options.inputs]
    inputs = list(HELD_OUT) if options.held_out else inputs
    ffmpeg = peer_ffmpeg()
    recipes = [(text, recipe_from(text)) for text in options.recipe]
    recipes = recipes or [("default", ResizeRecipe())]
    # one core for everybody: ffmpeg then starts one thread, which is the least that it can cost
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found: dict[str, list[dict[str, Any]]] = {text: [] for text, _ in recipes}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = Ours(folder)
        for one in inputs:
            for text, recipe in recipes:
                row = measure(ours, ffmpeg, made(one), folder, recipe, rounds=options.rounds)
                found[text].append({"input": one.name, "form": f"{one.size} {one.codec}", **row})
                short = {key: round(row[key], 4) for key in (*COLUMNS, "ratio_threads")}
                print(one.name, text, json.dumps(short), flush=True)
        ours.close()
    rows = next(iter(found.values()))
    details = {
        "what": "CPU seconds per clip, peer over ours; size over peer's; quality minus peer's",
        "rows": rows,
        "columns": COLUMNS,
        "aims": AIMS,
        "forms": {
            form: summary([row for row in rows if row["form"] == form])
            for form in dict.fromkeys(row["form"] for row in rows)
        },
        "all": {text: summary(of_recipe) for text, of_recipe in found.items()},
        "rounds": options.rounds,
        "load_average": round(os.getloadavg()[0], 1),
        "ffprobe_counted": shutil.which("ffprobe") is not None,
        "versions": {
            "av": version("av"),
            "ffmpeg": version_of(ffmpeg),
            "python": sys.version.split()[0],
        },
    }
    whole = options.inputs == names and not options.recipe
    name = "resize_held_out" if options.held_out else "resize"
    report(name, summary(rows)["ratio"], details, keep=whole)


if __name__ == "__main__":
    main()

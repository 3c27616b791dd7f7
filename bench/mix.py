"""A mix of clips through the stages on two cores: today, at an older commit, by the old scripts.

`python bench/mix.py [--rounds N] [--before COMMIT]` in the project's environment. Inputs and the
peers' venvs are made on the first run, outside the repository. README.md says how to read the last
line.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import Any, Final

import av
from kinetics_like import INPUTS, made
from mix_parts import costs
from mix_run import LABEL, cpu_seconds
from peer_ffmpeg import peer_ffmpeg, version_of
from peer_frames import Peer, running_peer
from results import report

HERE: Final = Path(__file__).parent
BEFORE: Final = "34270ba"
"""The last commit before decoding once, and before scaling and JPEGs were made faster."""
OLD_WORKERS: Final = 8
"""What the old scripts start by default, whatever the machine."""
SHORT_SIDE_PX: Final = 256
CORES: Final = 2
PER_FORM: Final = 2
CLIPS: Final = tuple(
    one
    for form in dict.fromkeys((one.size, one.codec) for one in INPUTS)
    for one in [each for each in INPUTS if (each.size, each.codec) == form][:PER_FORM]
)
Took = dict[str, Any]


def fill_pool(folder: Path) -> tuple[Path, Path]:
    """Return a folder with the clips under names of a dataset, and the list that names them."""
    pool = folder / "pool" / LABEL
    pool.mkdir(parents=True)
    lines = ["label,youtube_id,time_start,time_end,split"]
    for number, one in enumerate(CLIPS):
        shutil.copyfile(made(one), pool / f"mix{number:08d}_000000_000010.mp4")
        lines.append(f"{LABEL},mix{number:08d},0,10,train")
    the_list = folder / "train.csv"
    the_list.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return pool.parent, the_list


def run_stages(package: Path, way: str, given: tuple[Path, Path], *, folder: Path) -> Took | None:
    """Return what the stages of a version of ours took; None if it has no such way.

    Args:
        package: Folder that holds the package.
        way: As mix_run.py takes it.
        given: Pool and list.
        folder: Where the dataset is made; it is deleted afterwards.
    """
    said = _say(package, way, given, folder=folder)
    if said is None:
        return None
    stages: dict[str, dict[str, float]] = said["stages"]
    work = [took for name, took in stages.items() if name != "videos"]
    return {
        "wall_s": sum(took["wall_s"] for took in work),
        "cpu_s": sum(took["own_cpu_s"] + took["children_cpu_s"] for took in work),
        "stages": stages,
    }


def dagster_cpu_seconds(given: tuple[Path, Path], *, folder: Path) -> float | None:
    """Return the CPU that Dagster adds to the stages of a class of one clip, loading included."""
    pool, the_list = given
    one = folder / "one.csv"
    one.write_text("".join(the_list.read_text(encoding="utf-8").splitlines(keepends=True)[:2]))
    ways = [_say(HERE.parent, way, (pool, one), folder=folder) for way in ("stages", "dagster")]
    if None in ways:
        return None
    plain, through = (float(said["own_cpu_s"]) for said in ways if said)
    return through - plain


def run_old_scripts(ffmpeg: str, peers: list[Peer], pool: Path, *, folder: Path) -> Took:
    """Return what the old scripts took: each with its eight workers, bound to no core."""
    free: queue.Queue[Peer] = queue.Queue()
    for peer in peers:
        free.put(peer)
    clips = sorted((pool / LABEL).iterdir())

    def resize(clip: Path) -> None:
        width, height = picture_size(clip)
        scale = f"scale=-2:{SHORT_SIDE_PX}" if width > height else f"scale={SHORT_SIDE_PX}:-2"
        argv = [ffmpeg, "-hide_banner", "-loglevel", "error", "-i", str(clip), "-vf", scale]
        argv += ["-c:v", "libx264", "-g", "16", "-an", str(folder / f"{clip.stem}.mp4"), "-y"]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)

    def draw(clip: Path) -> float:
        target, peer = folder / clip.stem, free.get()
        target.mkdir()
        size = picture_size(folder / f"{clip.stem}.mp4")
        try:
            return peer.make("rgb", clip, target, size).cpu_s
        finally:
            free.put(peer)
            shutil.rmtree(target)

    before, began = cpu_seconds(RUSAGE_CHILDREN), time.perf_counter()
    with ThreadPoolExecutor(OLD_WORKERS) as pool_of_workers:
        list(pool_of_workers.map(resize, clips))
        resized = time.perf_counter()
        resizing = getrusage(RUSAGE_CHILDREN).ru_utime + getrusage(RUSAGE_CHILDREN).ru_stime
        drawing = sum(pool_of_workers.map(draw, clips))
    ended = time.perf_counter()
    return {
        "wall_s": ended - began,
        "cpu_s": resizing - before + drawing,
        "stages": {
            "resized": {"wall_s": resized - began, "cpu_s": resizing - before},
            "rawframes": {"wall_s": ended - resized, "cpu_s": drawing},
        },
    }


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height


def older_package(commit: str, folder: Path) -> Path | None:
    """Return a folder with the package as of `commit`; None where git does not have it."""
    archive = folder / "before.tar"
    argv = ["git", "-C", str(HERE.parent), "archive", "-o", str(archive), commit, "kinetics_assets"]
    if subprocess.run(argv, check=False, stderr=subprocess.DEVNULL).returncode:
        return None
    target = folder / "before"
    target.mkdir()
    subprocess.run(["tar", "-xf", str(archive), "-C", str(target)], check=True)
    return target


def parts_of(pool: Path, took: Took, *, folder: Path) -> dict[str, float]:
    """Return CPU seconds by part over all clips; what they do not explain of `took` is the rest."""
    sums: dict[str, float] = {}
    for clip in sorted((pool / LABEL).iterdir()):
        made_here = folder / "parts"
        made_here.mkdir()
        for part, seconds in costs(clip, made_here).items():
            sums[part] = sums.get(part, 0.0) + seconds
        shutil.rmtree(made_here)
    for stage, figures in took["stages"].items():
        known = sum(seconds for part, seconds in sums.items() if part.startswith(f"{stage}:"))
        rest = figures["children_cpu_s"] + figures["own_cpu_s"] - known
        sums[f"{stage}: rest (start of children, messages, journal, flush)"] = rest
    return dict(sorted(sums.items()))


def row_of(name: str, found: list[Took], reference: list[Took]) -> dict[str, Any]:
    """Return the row of one way: medians over rounds, and ratios of rounds to ours."""
    pairs = list(zip(found, reference, strict=True))
    return {
        "input": name,
        "wall_s": median(took["wall_s"] for took in found),
        "cpu_s": median(took["cpu_s"] for took in found),
        "clips_per_s": len(CLIPS) / median(took["wall_s"] for took in found),
        "cores_busy": median(took["cpu_s"] / took["wall_s"] for took in found),
        "ratio": median(took["cpu_s"] / ours["cpu_s"] for took, ours in pairs),
        "ratio_wall": median(took["wall_s"] / ours["wall_s"] for took, ours in pairs),
    }


def _say(package: Path, way: str, given: tuple[Path, Path], *, folder: Path) -> Took | None:
    """Return what mix_run.py says, None if it fails."""
    root = folder / "root"
    env = os.environ | {"PYTHONPATH": str(package), "KINETICS_MACHINE_DIR": str(folder / "machine")}
    argv = [sys.executable, str(HERE / "mix_run.py"), str(root), *map(str, given), way]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    shutil.rmtree(root, ignore_errors=True)
    if done.returncode:
        print(f"{way}: {done.stderr[-1000:]}", file=sys.stderr)
        return None
    said: Took = json.loads(done.stdout.splitlines()[-1])
    assert Path(said["package"]).is_relative_to(package), said["package"]
    return said


def main() -> None:
    """Measure all ways in turn and print the finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--before", default=BEFORE, help="commit of ours to compare with")
    options = parser.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    ffmpeg = peer_ffmpeg()
    ways: dict[str, list[Took]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        given = fill_pool(folder)
        before = older_package(options.before, folder)
        peers = [stack.enter_context(running_peer()) for _ in range(OLD_WORKERS)]

        def note(way: str, took: Took | None) -> None:
            if took is not None:
                ways.setdefault(way, []).append(took)
                print(way, {key: round(took[key], 2) for key in ("wall_s", "cpu_s")}, flush=True)

        for number in range(options.rounds):
            here = folder / str(number)
            here.mkdir()
            today = HERE.parent
            note("ours, one decode", run_stages(today, "once", given, folder=here))
            note("the old scripts", run_old_scripts(ffmpeg, peers, given[0], folder=here))
            note("ours, stage by stage", run_stages(today, "stages", given, folder=here))
            if before is not None:
                name = f"ours at {options.before}"
                note(name, run_stages(before, "stages", given, folder=here))
            shutil.rmtree(here)
        best = ways.get("ours, one decode") or ways["ours, stage by stage"]
        rows = [row_of(name, found, best) for name, found in ways.items()]
        parts = parts_of(given[0], ways["ours, stage by stage"][-1], folder=folder)
        dagster = dagster_cpu_seconds(given, folder=folder)
        versions = {"ffmpeg": version_of(ffmpeg), **peers[0].versions}
    details = {
        "what": f"{len(CLIPS)} clips resized and as frames on {CORES} cores; each way over ours",
        "columns": {
            "wall_s": "wall, s",
            "cpu_s": "CPU, s",
            "clips_per_s": "clips/s",
            "cores_busy": "cores busy",
            "ratio": "CPU over ours",
            "ratio_wall": "wall over ours",
        },
        "aims": {"clips_per_s": {}, "cpu_s": {}},
        "rows": rows,
        "cpu_s_by_part": parts,
        "cpu_s_that_dagster_adds_to_a_class": dagster,
        "stages": {name: found[-1]["stages"] for name, found in ways.items()},
        "clips": [one.name for one in CLIPS],
        "rounds": options.rounds,
        "load_average": os.getloadavg()[0],
        "versions": {
            "av": version("av"),
            "python": sys.version.split()[0],
            **{f"peer {name}": number for name, number in versions.items()},
        },
    }
    ratio = next(row["ratio"] for row in rows if row["input"] == "the old scripts")
    report("mix", ratio, details, keep=options.before == BEFORE)


if __name__ == "__main__":
    main()

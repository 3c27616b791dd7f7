"""File lists of 240,000 clips: from manifests against a walk over the frame folders.

`python bench/filelists.py [--rows N] [--folders N] [--rounds N] [--list CSV ...]` in the project's
environment. The peer needs nothing but Python and runs in a process of its own, as ours does. The
last line is one JSON object; README.md says how to read it, and what the regular case is.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from filelists_dataset import DATASET, ROWS, SPLIT, made, settings_of, write_as_a_step
from results import report

from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.stages.filelists import run_filelists

HERE: Final = Path(__file__).parent
REAL: Final = HERE.parent.parent / "shared" / "data"
REAL_LISTS: Final = (REAL / "kinetics-400_val.csv", REAL / "kinetics-600_val.csv")
FRAMES: Final = 300
CLASSES_IN_SAMPLE: Final = 10
CHANGED_CLASSES: Final = 4
NOTHING: Final = "no entries"


class Figures(NamedTuple):
    """What one round found."""

    cases: dict[str, dict[str, float]]
    """CPU seconds of ours and of the peer, by case."""
    raw: dict[str, Any]


def make_sample(folder: Path, count: int, *, with_flow: bool) -> tuple[Path, Path]:
    """Return folders of `count` clips' frames and of as many videos, all files empty."""
    names = [f"img_{number:05d}.jpg" for number in range(1, FRAMES + 1)]
    if with_flow:
        names += [f"flow_{axis}_{n:05d}.jpg" for axis in "xy" for n in range(1, FRAMES)]
    for number in range(count):
        label = f"class_{number % CLASSES_IN_SAMPLE}"
        clip = ClipId(f"{number:011d}", 0, 10).name
        frames, videos = folder / "frames" / label / clip, folder / "videos" / label
        frames.mkdir(parents=True)
        videos.mkdir(parents=True, exist_ok=True)
        (videos / f"{clip}.mp4").touch()
        for name in names:
            (frames / name).touch()
    return folder / "frames", folder / "videos"


def run_peer(sample: tuple[Path, Path], root: Path, target: Path) -> dict[str, Any]:
    """Return what the peer took, its walks scaled to all rows."""
    labels = target.with_name("labels.txt")
    labels.write_text("".join(f"{name}\n" for name in class_names(DATASET)), encoding="utf-8")
    the_list = Layout.of(settings_of(root)).annotation_list(SPLIT)
    argv = [str(HERE / "peer_filelist.py"), *map(str, (*sample, the_list, labels, target))]
    took = answer(argv)
    frames = took["walk_frames_s"] * took["rows"] / took["folders"]
    videos = took["walk_videos_s"] * took["rows"] / took["videos"]
    return took | {"scaled_s": frames + videos + took["read_and_write_s"]}


def run_ours(root: Path, *, kept: bool) -> dict[str, Any]:
    """Return what ours took; lists of a round before are taken away first.

    Args:
        root: Of the dataset.
        kept: Whether entries that were kept may be used, as they are in a split that had lists
            before; otherwise they are taken away too.
    """
    layout = Layout.of(settings_of(root))
    for path in layout.base.glob("*_list_*"):
        path.unlink()
    if not kept:
        for path in (layout.base / "manifests").rglob("*.parts"):
            path.unlink()
    return answer([__file__, "--ours", str(root)])


def change_some(root: Path, number: int) -> list[float]:
    """Give a clip of a few classes another frame or one fewer, as if it had been made again.

    Returns:
        CPU seconds of keeping the entries of each class, which its step pays.
    """
    settings, kept = settings_of(root), []
    layout = Layout.of(settings)
    for stage in (Stage.VIDEOS, Stage.RAWFRAMES, Stage.FLOW):
        for label in class_names(DATASET)[:: len(class_names(DATASET)) // CHANGED_CLASSES]:
            rows = read_manifest(layout, SPLIT, stage, label)
            place = next(n for n, row in enumerate(rows) if row.status is Status.OK)
            frames = (rows[place].frames_decoded or 0) + (1 if number % 2 else -1)
            rows[place] = replace(rows[place], frames_decoded=frames)
            kept.append(write_as_a_step(settings, stage, label, rows))
    return kept


def keep_all(root: Path) -> None:
    """Keep the entries of all classes as their steps do, and forget those that lists kept."""
    settings = settings_of(root)
    layout = Layout.of(settings)
    for path in layout.base.glob("manifests/*/*.parts"):
        path.unlink()
    for stage in (Stage.VIDEOS, Stage.RAWFRAMES, Stage.FLOW):
        for label in class_names(DATASET):
            rows = read_manifest(layout, SPLIT, stage, label)
            write_as_a_step(settings, stage, label, rows)


def answer(argv: list[str]) -> dict[str, Any]:
    """Return the JSON object on the last line that a Python program prints."""
    done = subprocess.run([sys.executable, *argv], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def write_our_lists(root: Path) -> dict[str, Any]:
    """Return what writing the lists took in this process."""
    settings = settings_of(root)
    loaded, clock = time.process_time(), time.perf_counter()
    lists = run_filelists(settings, SPLIT)
    done, waited = time.process_time(), time.perf_counter() - clock
    assert lists.changed
    run_filelists(settings, SPLIT)
    return {
        "cpu_s": done - loaded,
        "wall_s": waited,
        "second_time_cpu_s": time.process_time() - done,
        "start_cpu_s": loaded,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rows": lists.rows,
        "lines": {kind.value: count for kind, count in lists.lines.items()},
        "data_version": lists.data_version[:16],
    }


def measured(root: Path, rgb: tuple[Path, Path], flow: tuple[Path, Path], number: int) -> Figures:
    """Return CPU seconds of both, each measured right after the other."""
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        target = Path(name, "peer")
        peer = run_peer(rgb, root, target)
        steps = change_some(root, number)
        regular = run_ours(root, kept=True)
        beside = run_peer(flow, root, target)
        cold = run_ours(root, kept=False)
        kept = run_ours(root, kept=True)
        keep_all(root)
    for case, ours, theirs in (
        ("entries kept by the steps", regular["cpu_s"], peer),
        ("entries kept by the lists before", kept["cpu_s"], peer),
        ("lists have not changed", regular["second_time_cpu_s"], peer),
        ("flow beside the frames", regular["cpu_s"], beside),
        (NOTHING, cold["cpu_s"], peer),
    ):
        figures[case] = {"ours_cpu_s": ours, "peer_cpu_s": theirs["scaled_s"]}
    print({case: one["peer_cpu_s"] / one["ours_cpu_s"] for case, one in figures.items()})
    step = {"step_cpu_ms": 1000 * median(steps), "steps": len(class_names(DATASET)) * 3}
    return Figures(figures, {"regular": regular, "cold": cold, "peer": peer, "step": step})


def main() -> None:
    """Measure both, one after the other, and print the finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="annotation rows")
    parser.add_argument("--folders", type=int, default=2000, help="frame folders that are walked")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each")
    parser.add_argument("--list", type=Path, nargs="+", default=list(REAL_LISTS))
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        print(json.dumps(write_our_lists(options.ours)))
        return
    root, real = made([path for path in options.list if path.is_file()], options.rows)
    with tempfile.TemporaryDirectory() as name:
        rgb = make_sample(Path(name, "rgb"), options.folders, with_flow=False)
        flow = make_sample(Path(name, "flow"), options.folders // 4, with_flow=True)
        run_peer(rgb, root, Path(name, "warm-up"))
        run_ours(root, kept=False)
        rounds = [measured(root, rgb, flow, number) for number in range(options.rounds)]
    rows = [case_row(case, [one.cases[case] for one in rounds]) for case in rounds[0].cases]
    details = {
        "what": "CPU seconds, peer over ours; the peer's walks are scaled linearly to all rows",
        "clips": f"{options.rows} in {len(class_names(DATASET))} classes, {real} of published ids",
        "columns": {
            "ours_cpu_s": "ours, CPU s",
            "peer_cpu_s": "peer scaled, CPU s",
            "ratio": "ratio",
            "least": "least",
            "most": "most",
        },
        "aims": {"ratio": {"least": {rows[0]["form"]: 100}}},
        "rows": rows,
        "last_round": rounds[-1].raw,
        "load_average": os.getloadavg()[0],
        "versions": {"pyarrow": version("pyarrow"), "python": sys.version.split()[0]},
    }
    report("filelists", rows[0]["ratio"], details, keep=options.rows == ROWS)


def case_row(case: str, figures: list[dict[str, float]]) -> dict[str, Any]:
    """Return the medians of a case, and the ratios' least and most."""
    ratios = [one["peer_cpu_s"] / one["ours_cpu_s"] for one in figures]
    medians = {name: median(one[name] for one in figures) for name in figures[0]}
    form = "entries deleted" if case == NOTHING else "regular"
    spread = {"ratio": median(ratios), "least": min(ratios), "most": max(ratios)}
    return {"input": case, "form": form, **medians, **spread}


if __name__ == "__main__":
    main()

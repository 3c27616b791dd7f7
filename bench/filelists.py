"""File lists of 240,000 clips: from manifests against a walk over the frame folders.

`python bench/filelists.py [--rows N] [--folders N] [--rounds N] [--list CSV ...]` in the project's
environment. The peer needs nothing but Python and runs in a process of its own, as ours does. The
last line is one JSON object; README.md says how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

from filelists_dataset import DATASET, ROWS, SPLIT, made, settings_of

from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.layout import Layout
from kinetics_assets.stages.filelists import run_filelists

HERE: Final = Path(__file__).parent
REAL: Final = HERE.parent.parent / "shared" / "data"
REAL_LISTS: Final = (REAL / "kinetics-400_val.csv", REAL / "kinetics-600_val.csv")
FRAMES: Final = 300
CLASSES_IN_SAMPLE: Final = 10


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


def run_ours(root: Path) -> dict[str, Any]:
    """Return what ours took; lists of a round before are taken away first."""
    layout = Layout.of(settings_of(root))
    for path in layout.base.glob("*_list_*"):
        path.unlink()
    return answer([__file__, "--ours", str(root)])


def answer(argv: list[str]) -> dict[str, Any]:
    """Return the JSON object on the last line that a Python program prints."""
    done = subprocess.run([sys.executable, *argv], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def write_our_lists(root: Path) -> dict[str, Any]:
    """Return what writing the lists took in this process."""
    settings = settings_of(root)
    loaded = time.process_time()
    report = run_filelists(settings, SPLIT)
    done = time.process_time()
    assert report.changed
    run_filelists(settings, SPLIT)
    return {
        "cpu_s": done - loaded,
        "second_time_cpu_s": time.process_time() - done,
        "start_cpu_s": loaded,
        "rows": report.rows,
        "lines": {kind.value: count for kind, count in report.lines.items()},
        "data_version": report.data_version[:16],
    }


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
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rgb = make_sample(folder / "rgb", options.folders, with_flow=False)
        flow = make_sample(folder / "flow", options.folders // 4, with_flow=True)
        run_peer(rgb, root, folder / "warm-up")
        for _ in range(options.rounds):
            peer = run_peer(rgb, root, folder / "peer")
            ours = run_ours(root)
            beside = run_peer(flow, root, folder / "peer")
            ratio = peer["scaled_s"] / ours["cpu_s"]
            with_flow = beside["scaled_s"] / ours["cpu_s"]
            rounds.append({"ratio": ratio, "with_flow": with_flow, "peer": peer, "ours": ours})
            print({"ratio": round(ratio, 1), "peer": peer, "ours": ours}, flush=True)
    details = {
        "what": "CPU seconds, peer over ours; the peer's walks are scaled linearly to all rows",
        "rows": f"{options.rows} in {len(class_names(DATASET))} classes, {real} with published ids",
        "ours": rounds[-1]["ours"],
        "peer": rounds[-1]["peer"],
        "ours_cpu_s": round(median(one["ours"]["cpu_s"] for one in rounds), 3),
        "peer_scaled_cpu_s": round(median(one["peer"]["scaled_s"] for one in rounds), 1),
        "ratio_where_flow_lies_beside": round(median(one["with_flow"] for one in rounds), 1),
        "load_average": round(os.getloadavg()[0], 1),
        "versions": {"pyarrow": version("pyarrow"), "python": sys.version.split()[0]},
    }
    ratio = median(one["ratio"] for one in rounds)
    print(json.dumps({"ratio": round(ratio, 1), "details": details}))


if __name__ == "__main__":
    main()

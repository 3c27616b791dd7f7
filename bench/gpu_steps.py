"""How busy flow steps keep a GPU: classes of 50 clips in a row, by slots and pool limit.

`python bench/gpu_steps.py [--classes 20]`. Runs, steps, leases, decoding, encoding and publishing
are real; the device is pretended (`pretend_gpu`): it takes the time of a fast one, scaled so that a
class is as many seconds of device time as one of 50 whole clips, and computes nothing. The last
line is one JSON object; README.md says how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage

DATASET: Final = "kinetics400"
CLIPS: Final = 50
FRAMES: Final = 60
WIDTH_PX, HEIGHT_PX = 64, 48
PAIRS_OF_A_CLASS: Final = 50 * 299
PAIRS_PER_SECOND: Final = 4500
"""That docs/flow-engines.md expects of one H200; nobody has measured it."""

START_SECONDS: Final = 1.0
"""For CuPy, a CUDA context and compiled kernels in a new process: taken, not measured."""


@dataclass(frozen=True)
class Way:
    """How GPU steps are let in."""

    slots: int
    pool: int
    """Steps that the pool lets begin; those beyond the slots wait for the lease."""

    def __str__(self) -> str:
        return f"{self.slots} slot{'s' * (self.slots > 1)}, pool {self.pool}"


WAYS: Final = (Way(1, 1), Way(1, 2), Way(2, 2), Way(2, 3))


def write_clip(path: Path) -> None:
    """Write a small video."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        noise = np.random.default_rng(1).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, number, axis=1), "rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def make_root(root: Path, labels: list[str], way: Way) -> None:
    """Make a root whose classes have their videos and nothing else."""
    clip = root.parent / "clip.mp4"
    if not clip.exists():
        write_clip(clip)
    local, lines = root / "local", ["label,youtube_id,time_start,time_end,split"]
    for number, label in enumerate(labels):
        folder = local / label
        folder.mkdir(parents=True)
        for index in range(CLIPS):
            clip_id = ClipId(f"{number:05d}{index:06d}", 0, 10)
            os.link(clip, folder / f"{clip_id.name}.mp4")
            lines.append(f"{label},{clip_id.youtube_id},0,10,train")
    (root / "lists").mkdir()
    (root / "lists" / "train.csv").write_text("\n".join(lines) + "\n")
    (root / "kinetics.toml").write_text(
        f"""
annotations.source = "{root / "lists"}"
videos.min_duration_share = 0.0
sources.order = ["local"]
sources.local_folders = ["{local}"]
rawframes.frames_from = "videos"
rawframes.size = "original"
flow.engine = "cuda"
limits.gpu_devices = ["pretended-0"]
limits.gpu_slots = {way.slots}
"""
    )
    settings = load_settings(DATASET, root=root)
    run_annotations(settings)
    for label in labels:
        run_stage(Stage.VIDEOS, ClassOrder(settings, Split.TRAIN, label))


def measured(way: Way, folder: Path, labels: list[str], *, jobs: int) -> dict[str, Any]:
    """Return how long the classes took, and what of it the device was at work."""
    from kinetics_assets.runs import RunRequest, dagster_home, open_instance, run_all

    root = folder / "root"
    root.mkdir()
    log = folder / "batches"
    log.unlink(missing_ok=True)
    pairs = CLIPS * (FRAMES - 1)
    os.environ["KINETICS_PRETEND_GPU"] = json.dumps(
        {
            "pairs_per_second": PAIRS_PER_SECOND * pairs / PAIRS_OF_A_CLASS,
            "start_seconds": START_SECONDS,
            "turn": str(folder / "turn"),
            "log": str(log),
        }
    )
    try:
        make_root(root, labels, way)
        settings = load_settings(DATASET, root=root)
        with open_instance(dagster_home(root)) as instance:
            instance.event_log_storage.set_concurrency_slots("gpu", way.pool)
        requests = [RunRequest(DATASET, label, ((Split.TRAIN, Stage.FLOW),)) for label in labels]
        begun = time.time()
        outcomes = run_all(requests, settings=settings, max_parallel=jobs)
        wall = time.time() - begun
        failed = [outcome.failure for outcome in outcomes if not outcome.succeeded]
        if failed:
            sys.exit(f"{way}: {failed[0]}")
    finally:
        shutil.rmtree(root)
    batches = [json.loads(line) for line in log.read_text().splitlines()]
    if sum(batch[2] for batch in batches) != pairs * len(labels):
        sys.exit(f"{way}: not every pair was worked on once")
    busy = sum(end - start for start, end, _ in batches)
    span = max(end for _, end, _ in batches) - min(start for start, _, _ in batches)
    return {
        "seconds": round(wall, 1),
        "device_busy_share": round(busy / span, 3),
        "pairs_of_a_batch": round(float(np.mean([batch[2] for batch in batches])), 1),
    }


def main() -> None:
    """Measure each way and print the finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, default=20, help="classes in a row (default 20)")
    parser.add_argument("--jobs", type=int, default=3, help="class runs at a time (default 3)")
    arguments = parser.parse_args()
    labels = list(class_names(DATASET)[: arguments.classes])
    here = Path(__file__).parent
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(here / "pretend_gpu"), str(here.parent), os.environ.get("PYTHONPATH", "")]
    )
    os.environ["KINETICS_DATASETS"] = DATASET
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="kinetics-gpu-steps-") as folder:
        os.environ["KINETICS_MACHINE_DIR"] = str(Path(folder) / "machine")
        for way in WAYS:
            found[str(way)] = measured(way, Path(folder), labels, jobs=arguments.jobs)
            print(way, found[str(way)], flush=True)
    details = {
        "what": "wall time of flow steps on one pretended GPU: 1 slot, pool 1 over 2 slots, pool 2",
        "classes": len(labels),
        "device_seconds_of_a_class": round(PAIRS_OF_A_CLASS / PAIRS_PER_SECOND, 2),
        "ways": found,
    }
    ratio = found[str(WAYS[0])]["seconds"] / found[str(WAYS[2])]["seconds"]
    print(json.dumps({"ratio": round(ratio, 2), "details": details}))


if __name__ == "__main__":
    main()

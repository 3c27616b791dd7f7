"""A clip's frames as loose files, in one tar, and in one zip: what they take, what reading costs.

`python bench/packing.py [--rounds N]` in the project's environment. Inputs are made on the first
run, outside the repository. README.md says how to read the last line.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from kinetics_like import INPUTS, Input, made
from results import report

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.settings import FrameRecipe, Limits, Packing, Settings, StorageSettings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.atomic import folder_sha256
from kinetics_assets.media.client import MediaWorker
from kinetics_assets.readers import PictureFiles
from kinetics_assets.stages.frame_index import FrameIndex, picture_names
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.picture_stores import PictureStores

FORMS: Final[tuple[Packing, ...]] = ("none", "tar", "zip")
SOURCES: Final = ("sports2d", "cam01", "face_noface")
CLIP: Final = ClipId("AAAAAAAAAAA", 0, 10)
READS: Final = 600
COLUMNS: Final = {
    "names": "files and folders",
    "mb": "MB of pictures and headers",
    "mb_on_disk": "MB on the disk",
    "ms_publish": "CPU ms to publish",
    "ms_publish_wall": "wall ms to publish",
    "us_read": "CPU us a random picture",
    "us_read_wall": "wall us",
    "us_first": "CPU us to open and read one",
    "ratio": "loose / this, CPU of a random picture",
}


@dataclass(frozen=True)
class Clip:
    """The verified frames of one input, ready to be kept in any form."""

    folder: Path
    names: list[str]
    index: FrameIndex


def main() -> None:
    """Measure all forms in turn, several times, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    inputs = [one for one in INPUTS if one.size == "340x256" and one.codec == "h264"]
    rows = []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, MediaWorker(Limits()) as worker:
        for one in (each for each in inputs if each.source in SOURCES):
            clip = _frames(one, Path(folder) / one.name, worker)
            runs = [
                {form: _measure(clip, form, Path(folder) / "kept") for form in FORMS}
                for _ in range(rounds)
            ]
            rows += _rows(one, runs)
    details = {
        "what": "frames of ten seconds at 340x256, loose, in a tar and in a zip; warm cache",
        "rounds": rounds,
        "columns": COLUMNS,
        "rows": rows,
    }
    report("packing", median(row["ratio"] for row in rows if row["form"] == "tar"), details)


def _frames(one: Input, folder: Path, worker: MediaWorker) -> Clip:
    """Return the frames of an input, in a folder of their own."""
    folder.mkdir()
    facts = worker.rawframes(made(one), folder, recipe=FrameRecipe(size="340x256"))
    names = picture_names(Stage.RAWFRAMES, count=facts.frames, start_index=1)
    index = FrameIndex(
        count=facts.frames,
        start_index=1,
        width_px=facts.width_px,
        height_px=facts.height_px,
        digest="bench",
        sha256=folder_sha256(folder, names),
    )
    return Clip(folder, names, index)


def _measure(clip: Clip, form: Packing, root: Path) -> dict[str, float]:
    """Return what one form takes and costs, in bytes, milliseconds and microseconds."""
    settings = Settings(root, "demo", storage=StorageSettings(packing=form))
    store = PictureStores(Stage.RAWFRAMES, ClassOrder(settings, Split.TRAIN, "zumba")).wanted
    final = store.place(CLIP)
    final.parent.mkdir(parents=True)
    temp = final.parent / ".tmp-bench"
    shutil.copytree(clip.folder, temp)

    def publish() -> None:
        store.hold(temp, clip.names, final=final, index=clip.index).publish()
        shutil.rmtree(temp, ignore_errors=True)

    ms, ms_wall = (1000 * seconds for seconds in _timed(publish))
    entries = list(_entries(final))
    order = random.Random(0).choices(clip.names, k=READS)
    paths = [f"{final}/{name}" for name in order]
    files = PictureFiles()
    us_first, _ = (1e6 * seconds for seconds in _timed(lambda: files.get(paths[0])))
    us, us_wall = (1e6 / READS * s for s in _timed(lambda: [files.get(path) for path in paths]))
    shutil.rmtree(root)
    return {
        "names": len(entries),
        "mb": sum(stat.st_size for stat in entries) / 1e6,
        "mb_on_disk": sum(stat.st_blocks for stat in entries) * 512 / 1e6,
        "ms_publish": ms,
        "ms_publish_wall": ms_wall,
        "us_read": us,
        "us_read_wall": us_wall,
        "us_first": us_first,
    }


def _rows(one: Input, runs: list[dict[Packing, dict[str, float]]]) -> Iterator[dict[str, Any]]:
    """Yield a row for each form of an input: medians, and the median of the paired ratios."""
    for form in FORMS:
        figures = {name: median(run[form][name] for run in runs) for name in runs[0][form]}
        ratio = median(run["none"]["us_read"] / run[form]["us_read"] for run in runs)
        shown = "loose" if form == "none" else form
        yield {"input": one.source, "form": shown, **figures, "ratio": ratio}


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return CPU and wall seconds of `work`."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def _entries(path: Path) -> Iterator[os.stat_result]:
    """Yield the status of `path` and all that is in it."""
    yield path.stat()
    if path.is_dir():
        for below in path.iterdir():
            yield from _entries(below)


if __name__ == "__main__":
    main()

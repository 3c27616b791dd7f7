"""RGB frames: our worker against the old OpenCV path and against ffmpeg's command line.

`python bench/frames.py [--inputs NAME ...] [--rounds N]` in the project's environment. Inputs and
peers are made or fetched on the first run, outside the repository. README.md says how to read the
last line.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import Any, Final

import av
from cores import on_cores
from frame_quality import bars_error, chosen_frames, psnr, reference
from kinetics_like import INPUTS, Input, made, sides
from peer_ffmpeg import peer_ffmpeg, version_of
from peer_frames import Peer, running_peer
from results import report

from kinetics_assets.core.settings import FrameRecipe, Limits
from kinetics_assets.core.stages import Stage
from kinetics_assets.media.client import FrameFacts, MediaWorker
from kinetics_assets.media.decode import frames
from kinetics_assets.media.probe import Caps, open_video
from kinetics_assets.stages.frame_index import picture_names
from kinetics_assets.stages.picture_checks import verified_pictures
from kinetics_assets_tests.resources.media import colour_bars

SIZE: Final = "340x256"
"""What all frames become: the size that TSN's Kinetics frames have."""
CPU_CLOCK: Final = 2
"""What clock_gettime(3) calls the scheduler's count of a process, in the low bits of a clock id."""
JUDGED: Final = 4
"""Frames of a clip whose quality is judged."""
BARS: Final = {"601": ("601", False), "709": ("709", False), "full": ("601", True)}
MAKERS: Final = ("ours", "opencv", "ffmpeg")
COLUMNS: Final = {
    "ms_ours": "ours, CPU ms a frame",
    "ms_check": "and checked",
    "ms_decode": "decoding alone",
    "ms_opencv": "OpenCV, CPU ms",
    "ms_ffmpeg": "ffmpeg, CPU ms",
    "ratio": "OpenCV / ours",
    "ratio_checked": "OpenCV / ours checked",
    "ratio_threads": "OpenCV on all cores / ours",
    "ratio_ffmpeg": "ffmpeg / ours",
    "ratio_ffmpeg_threads": "ffmpeg on all cores / ours",
    "ceiling": "OpenCV / decoding alone",
    "wall": "OpenCV / ours, wall",
    **{f"rgb_{name}": f"{name}, RGB dB" for name in MAKERS},
    **{f"luma_{name}": f"{name}, luma dB" for name in MAKERS},
    **{f"kb_{name}": f"{name}, kB a frame" for name in MAKERS},
}
LEAST: Final = {
    "720p h264": 1.4,
    "720p vp9": 1.4,
    "480p h264": 1.4,
    "480p vp9": 1.4,
    "340x256 h264": 1.2,
    "340x256 vp9": 1.2,
}
AIMS: Final = {
    "ratio": {"least": LEAST},
    "ratio_threads": {"least": LEAST},
    "ratio_ffmpeg": {"least": 1.5},
    "ratio_ffmpeg_threads": {"least": 1.5},
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What something cost, in seconds."""

    cpu_s: float
    wall_s: float


class Ours:
    """Our worker: one child process for all clips, as in a run."""

    def __init__(self, folder: Path) -> None:
        """Let a child write below `folder`."""
        self._worker = MediaWorker(Limits(), writable=[folder])

    def make(self, source: Path, folder: Path, recipe: FrameRecipe) -> tuple[FrameFacts, Cost]:
        """Write the frames of `source`; return what is known of them and the cost."""
        cpu, wall = self._cpu_seconds(), time.perf_counter()
        facts = self._worker.rawframes(source, folder, recipe=recipe)
        return facts, Cost(self._cpu_seconds() - cpu, time.perf_counter() - wall)

    def check(self, folder: Path, facts: FrameFacts) -> Cost:
        """Return the cost of what the stage does before it publishes: hash all, decode some."""
        names = picture_names(Stage.RAWFRAMES, count=facts.frames, start_index=1)
        cpu, wall = self._cpu_seconds(), time.perf_counter()
        verified_pictures(folder, names, facts=facts, worker=self._worker)
        return Cost(self._cpu_seconds() - cpu, time.perf_counter() - wall)

    def close(self) -> None:
        """End the child."""
        self._worker.close()

    def _cpu_seconds(self) -> float:
        """Return what this process and its children have used so far; the peers are idle now."""
        tasks = Path("/proc/self/task").glob("*/children")
        children = {int(pid) for task in tasks for pid in task.read_text().split()}
        theirs = 0.0
        for pid in children:
            with suppress(OSError):  # it has just ended
                theirs += time.clock_gettime(~pid << 3 | CPU_CLOCK)
        return theirs + time.process_time()


class Contest:
    """All who make frames, and the folders that they make them in."""

    def __init__(
        self, folder: Path, ours: Ours, opencv: Peer, ffmpeg: str, *, cores: set[int], free: Peer
    ) -> None:
        """Work below `folder`; `free` is another OpenCV, on all `cores`."""
        self._folder, self._ours, self._opencv, self._ffmpeg = folder, ours, opencv, ffmpeg
        self._cores, self._free = cores, free

    def folder(self, name: str) -> Path:
        """Return the folder of one who makes frames."""
        return self._folder / name

    def round(self, source: Path, size: tuple[int, int]) -> dict[str, float]:
        """Return the cost of each maker for a frame, in CPU ms, and the ratios."""
        decode = decoding(source)
        facts, before = self.ours(source, size)
        check = self._ours.check(self.folder("ours"), facts)
        theirs = self._opencv.make("rgb", source, self._empty("opencv"), size)
        # what else the machine does comes and goes: ours is taken on both sides of the peer
        _, after = self.ours(source, size)
        ours = Cost(mean((before.cpu_s, after.cpu_s)), mean((before.wall_s, after.wall_s)))
        free = self._free.make("rgb", source, self._empty("free"), size)
        cli, cli_frames = self.ffmpeg(source, size)
        with on_cores(self._cores):
            free_cli, _ = self.ffmpeg(source, size)
        ms = 1000 / facts.frames
        return {
            "ms_ours": ours.cpu_s * ms,
            "ms_check": (ours.cpu_s + check.cpu_s) * ms,
            "ms_opencv": theirs.cpu_s * 1000 / theirs.frames,
            "ms_ffmpeg": cli.cpu_s * 1000 / cli_frames,
            "ms_decode": decode.cpu_s * ms,
            "ceiling": theirs.cpu_s / decode.cpu_s,
            "ratio": theirs.cpu_s / ours.cpu_s,
            "ratio_checked": theirs.cpu_s / (ours.cpu_s + check.cpu_s),
            "ratio_threads": free.cpu_s / ours.cpu_s,
            "ratio_ffmpeg": cli.cpu_s / ours.cpu_s,
            "ratio_ffmpeg_threads": free_cli.cpu_s / ours.cpu_s,
            "wall": theirs.wall_s / ours.wall_s,
        }

    def ours(
        self,
        source: Path,
        size: tuple[int, int],
        scaling: Any = "area",  # noqa: ANN401 - a Literal
    ) -> tuple[FrameFacts, Cost]:
        """Make the frames of `source` with our worker."""
        recipe = FrameRecipe(size=f"{size[0]}x{size[1]}", scaling=scaling)
        return self._ours.make(source, self._empty("ours"), recipe)

    def ffmpeg(self, source: Path, size: tuple[int, int]) -> tuple[Cost, int]:
        """Make the frames of `source` with the command line; return its cost and their number."""
        folder = self._empty("ffmpeg")
        argv = [self._ffmpeg, "-hide_banner", "-loglevel", "error", "-i", str(source)]
        argv += ["-vf", f"scale={size[0]}:{size[1]}", "-q:v", "2", str(folder / "img_%05d.jpg")]
        start, wall = os.times(), time.perf_counter()
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        end = os.times()
        cpu = end.children_user + end.children_system - start.children_user - start.children_system
        return Cost(cpu, time.perf_counter() - wall), len(list(folder.iterdir()))

    def quality(self, source: Path, size: tuple[int, int]) -> dict[str, float]:
        """Return PSNR and size of what the last round left, judged on a few frames."""
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in MAKERS}
        for at, frame in chosen_frames(source, JUDGED).items():
            wanted = reference(frame, size)
            for name in MAKERS:
                found[name].append(psnr(self.folder(name) / f"img_{at + 1:05d}.jpg", wanted))
        sizes = {
            name: mean(path.stat().st_size for path in self.folder(name).iterdir()) / 1000
            for name in MAKERS
        }
        return {
            **{f"rgb_{name}": mean(rgb for rgb, _ in found[name]) for name in MAKERS},
            **{f"luma_{name}": mean(luma for _, luma in found[name]) for name in MAKERS},
            **{f"kb_{name}": size_kb for name, size_kb in sizes.items()},
        }

    def bars(self) -> dict[str, dict[str, int]]:
        """Return the worst error of each maker on colour bars, in levels, by their tags."""
        found: dict[str, dict[str, int]] = {}
        for name, (matrix, is_full) in BARS.items():
            source = colour_bars(self._folder / f"{name}.mp4", matrix=matrix, full_range=is_full)
            self.round(source, (96, 32))
            found[name] = {
                maker: bars_error(self.folder(maker) / "img_00002.jpg") for maker in MAKERS
            }
        return found

    def tagged_709(self, source: Path, size: tuple[int, int]) -> dict[str, float]:
        """Return what the same stream costs when it is tagged 709, over what it costs untagged."""
        tagged = _tagged_709(source, self._folder / "709.mp4")
        plain, other, theirs = [], [], []
        for _ in range(3):
            plain.append(self.ours(source, size)[1].cpu_s)
            other.append(self.ours(tagged, size)[1].cpu_s)
            theirs.append(self._opencv.make("rgb", tagged, self._empty("opencv"), size).cpu_s)
        pairs = zip(plain, other, theirs, strict=True)
        ratios = [(b / a, c / b) for a, b, c in pairs]
        return {
            "cost_over_untagged": median(a for a, _ in ratios),
            "ratio_to_opencv": median(b for _, b in ratios),
        }

    def scalings(self, source: Path, size: tuple[int, int]) -> dict[str, float]:
        """Return what the other scalings cost over the default."""
        costs: dict[str, list[float]] = {"area": [], "bicubic": [], "denseflow": []}
        for _ in range(3):
            for name, found in costs.items():
                found.append(self.ours(source, size, name)[1].cpu_s)
        return {
            name: median(a / b for a, b in zip(found, costs["area"], strict=True))
            for name, found in costs.items()
        }

    def _empty(self, name: str) -> Path:
        """Return the folder `name`, empty."""
        folder = self.folder(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


def _tagged_709(source: Path, target: Path) -> Path:
    """Write the H.264 stream of `source` with other tags and nothing else changed."""
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        stream = given.streams.video[0]
        copied = out.add_stream_from_template(stream)
        tags = "colour_primaries=1:transfer_characteristics=1:matrix_coefficients=1"
        tag = av.BitStreamFilterContext(f"h264_metadata={tags}", stream, copied)
        for packet in [*given.demux(stream), None]:
            if packet is None or packet.dts is not None:
                for tagged in tag.filter(packet):
                    out.mux(tagged)
    return target


def decoding(source: Path) -> Cost:
    """Return what it costs to decode `source` as we do, and to do nothing with its frames."""
    limits = Limits()
    caps = Caps(max_side_px=limits.max_side_px, max_frames=limits.max_frames)
    cpu, wall = time.process_time(), time.perf_counter()
    with open_video(source, caps) as video:
        for _ in frames(video):
            pass
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def size_of(source: Path) -> tuple[int, int]:
    """Return the width and height that the frames of `source` become."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        return sides(stream.width, stream.height, SIZE)


def measure(contest: Contest, one: Input, rounds: int) -> dict[str, Any]:
    """Return the row of one input: medians over `rounds`, and quality."""
    source = made(one)
    size = size_of(source)
    found = [contest.round(source, size) for _ in range(rounds)]
    middle = {name: median(each[name] for each in found) for name in found[0]}
    row = {"input": one.name, "form": f"{one.size} {one.codec}", **middle}
    return row | contest.quality(source, size)


def scratch() -> str | None:
    """Return a folder in memory, so that no disk is measured; None where there is none."""
    memory = Path("/dev/shm")
    return str(memory) if os.access(memory, os.W_OK) else None


def main() -> None:
    """Measure every input and print the finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [one.name for one in INPUTS]
    parser.add_argument("--inputs", nargs="+", default=names, choices=names, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    ffmpeg = peer_ffmpeg()
    chosen = [one for one in INPUTS if one.name in options.inputs]
    for one in chosen:
        made(one)
    # one core for everybody: each then starts one thread, which is the least that it can cost
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    rows = []
    with (
        tempfile.TemporaryDirectory(dir=scratch()) as name,
        running_peer() as opencv,
        running_peer(cores) as free,
    ):
        folder = Path(name)
        ours = Ours(folder)
        contest = Contest(folder, ours, opencv, ffmpeg, cores=cores, free=free)
        bars = contest.bars()
        print("bars", bars, flush=True)
        for one in chosen:
            rows.append(measure(contest, one, options.rounds))
            shown = {key: round(rows[-1][key], 2) for key in COLUMNS}
            print(one.name, shown, flush=True)
        firsts = {one.size: one for one in reversed(chosen) if one.codec == "h264"}
        larger = [one for size, one in firsts.items() if size != SIZE]
        tagged = {one.name: contest.tagged_709(made(one), size_of(made(one))) for one in larger}
        scalings = {one.name: contest.scalings(made(one), size_of(made(one))) for one in larger}
        ours.close()
    details = {
        "what": "CPU ms for a frame of 340x256; ratios are peer over ours; PSNR to float bicubic",
        "rows": rows,
        "columns": COLUMNS,
        "aims": AIMS,
        "colour_bars_worst_levels": bars,
        "tagged_709": tagged,
        "cost_over_area_scaling": scalings,
        "medians": {key: median(row[key] for row in rows) for key in COLUMNS},
        "cores": len(cores),
        "files_in_memory": scratch() is not None,
        "load_average": os.getloadavg()[0],
        "rounds": options.rounds,
        "versions": {
            "av": version("av"),
            "simplejpeg": version("simplejpeg"),
            "ffmpeg": version_of(ffmpeg),
            "python": sys.version.split()[0],
            **opencv.versions,
        },
    }
    report("frames", details["medians"]["ratio"], details, keep=chosen == list(INPUTS))


if __name__ == "__main__":
    main()

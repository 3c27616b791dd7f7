"""Fetching the Kinetics-400 validation list: one process for all clips against one for each clip.

`python bench/fetch.py [--clips N] [--peer-clips N] [--list CSV]` in the project's environment. The
peer gets a venv of its own (outside the repository, built on the first run). The last line is one
JSON object; README.md says how to read it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import string
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from kinetics_assets.core.classes import class_names

HERE: Final = Path(__file__).parent
REAL_LIST: Final = HERE.parent.parent / "shared" / "data" / "kinetics-400_val.csv"
ROWS: Final = 19_906
HEADER: Final = ("label", "youtube_id", "time_start", "time_end", "split")
VARIANTS: Final = 4
SIDE_PX: Final = 64
FPS: Final = 25
SAMPLE_SECONDS: Final = 1.0
FLAT_SHARE: Final = 1.1
"""Memory is called flat when the last quarter's peak is at most this times the first quarter's."""


@dataclass
class Cost:
    """What a process and all its descendants took."""

    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    rss_bytes: list[tuple[float, int]] = field(default_factory=list)
    """(seconds since the start, resident memory of the whole process tree)."""
    lines: list[str] = field(default_factory=list)
    """What it said."""

    def peak_bytes(self, start: float, end: float) -> int:
        """Return the largest memory between two shares of the run."""
        low, high = start * self.wall_seconds, end * self.wall_seconds
        return max((size for at, size in self.rss_bytes if low <= at <= high), default=0)


def real_rows(path: Path) -> list[tuple[str, ...]]:
    """Return the rows of a list in one of the published dialects, with the columns of `HEADER`."""
    with path.open(encoding="utf-8", newline="") as file:
        return [tuple(row[name] for name in HEADER) for row in csv.DictReader(file)]


def made_up_rows() -> list[tuple[str, ...]]:
    """Return as many rows as the real list has, over the same classes, with made-up ids."""
    generator = random.Random(400)
    letters = string.ascii_letters + string.digits + "-_"
    labels = class_names("kinetics400")
    rows = []
    for number in range(ROWS):
        start = generator.randrange(300)
        name = "".join(generator.choices(letters, k=11))
        rows.append((labels[number % len(labels)], name, str(start), str(start + 10), "val"))
    return rows


def chosen_rows(rows: list[tuple[str, ...]], count: int) -> list[tuple[str, ...]]:
    """Return `count` rows, class by class; all for 0."""
    return sorted(rows)[: count or None]


def write_list(path: Path, rows: list[tuple[str, ...]]) -> Path:
    """Write the rows as an annotation list and return its path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([HEADER, *rows])
    return path


def make_clips(folder: Path) -> None:
    """Write the tiny clips that the replica serves: one second of noise each."""
    for number in range(VARIANTS):
        noise = np.random.default_rng(number)
        with av.open(folder / f"{number}.mp4", "w") as container:
            stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
            stream.width = stream.height = SIDE_PX
            stream.pix_fmt = "yuv420p"
            for _ in range(FPS):
                shape = (SIDE_PX, SIDE_PX, 3)
                picture = noise.integers(0, 255, shape, dtype=np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())


@contextmanager
def replica(folder: Path) -> Iterator[str]:
    """Yield ``host:port`` of a server of the clips in `folder`, in a process of its own."""
    argv = [sys.executable, str(HERE / "replica_server.py"), str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield f"127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


def peer_python(yt_dlp: str) -> Path:
    """Return the interpreter of the peer's venv, made on the first run."""
    base = os.environ.get("KINETICS_BENCH_CACHE")
    cache = Path(base) if base else Path.home() / ".cache" / "kinetics-assets-bench"
    home = cache / f"yt-dlp-{yt_dlp}"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        venv.create(home, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"yt-dlp=={yt_dlp}"], check=True, stdout=sys.stderr)
        (home / "ready").touch()
    return python


def measure(argv: list[str], *, stdin: str = "") -> Cost:
    """Return the cost of a program with all it starts.

    CPU time is what the kernel counted for the process and every descendant that was waited for.
    """
    cost, start = Cost(), time.monotonic()
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stopping = threading.Event()
        sampler = threading.Thread(target=_sample, args=(process.pid, cost, start, stopping))
        sampler.start()
        process.stdin.write(stdin)
        process.stdin.close()
        for line in process.stdout:
            cost.lines.append(line.strip())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        cost.wall_seconds = time.monotonic() - start
        cost.cpu_seconds = usage.ru_utime + usage.ru_stime
        stopping.set()
        sampler.join()
    if process.returncode:
        raise SystemExit(f"{argv[1]} ended with code {process.returncode}.")
    return cost


def _sample(pid: int, cost: Cost, start: float, stopping: threading.Event) -> None:
    """Note the memory of a process tree again and again."""
    while not stopping.wait(SAMPLE_SECONDS):
        cost.rss_bytes.append((time.monotonic() - start, tree_bytes(pid)))


def tree_bytes(pid: int) -> int:
    """Return the resident memory of a process and its descendants, in bytes."""
    children: dict[int, list[int]] = {}
    pages: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        number = int(path.parent.name)
        children.setdefault(int(fields[1]), []).append(number)
        pages[number] = int(fields[21])
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        total += pages.get(one, 0)
        waiting += children.get(one, [])
    return total * os.sysconf("SC_PAGE_SIZE")


def run_ours(folder: Path, rows: list[tuple[str, ...]], template: str) -> dict[str, Any]:
    """Return what the videos stage took for `rows`."""
    the_list = write_list(folder / "val.csv", rows)
    argv = [sys.executable, str(HERE / "fetch_ours.py"), str(folder / "root"), str(the_list)]
    cost = measure([*argv, template])
    told = [json.loads(line) for line in cost.lines]
    ok = sum(line["ok"] for line in told)
    if ok < len(rows):
        why = next((line["why"] for line in told if "why" in line), "no word")
        raise SystemExit(f"Only {ok} of {len(rows)} clips arrived: {why}")
    first, last = cost.peak_bytes(0, 0.25), cost.peak_bytes(0.75, 1)
    return {
        **figures(cost, ok),
        "classes": len(told),
        "rss_peak_first_quarter_mib": round(first / 2**20, 1),
        "rss_peak_last_quarter_mib": round(last / 2**20, 1),
        "memory_is_flat": last <= FLAT_SHARE * first,
        "degraded": sorted({text for line in told for text in line.get("degraded", ())}),
    }


def run_peer(
    folder: Path, rows: list[tuple[str, ...]], template: str, yt_dlp: str
) -> dict[str, Any]:
    """Return what one process for each clip took for `rows`."""
    folder.mkdir()
    addresses = [address_of(template, row) for row in rows]
    argv = [str(peer_python(yt_dlp)), str(HERE / "peer_crawler.py"), str(folder)]
    cost = measure(argv, stdin="\n".join(addresses))
    ok = int(cost.lines[-1])
    if ok < len(rows):
        raise SystemExit(f"The peer got only {ok} of {len(rows)} clips.")
    return figures(cost, ok)


def address_of(template: str, row: tuple[str, ...]) -> str:
    """Return the address of a clip."""
    _, name, start, end, _ = row
    address = template.replace("{id}", name)
    return address.replace("{start}", f"{int(start):06d}").replace("{end}", f"{int(end):06d}")


def figures(cost: Cost, clips: int) -> dict[str, Any]:
    """Return the cost per clip."""
    return {
        "clips": clips,
        "cpu_ms_per_clip": round(1e3 * cost.cpu_seconds / clips, 2),
        "clips_per_second": round(clips / cost.wall_seconds, 2),
        "wall_seconds": round(cost.wall_seconds, 1),
        "rss_peak_mib": round(cost.peak_bytes(0, 1) / 2**20, 1),
    }


def main() -> None:
    """Measure both and print the finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=0, help="clips that ours fetches (0: all)")
    parser.add_argument("--peer-clips", type=int, default=200, help="clips that the peer fetches")
    parser.add_argument("--list", type=Path, default=REAL_LIST, help="the validation list")
    options = parser.parse_args()
    is_real = options.list.is_file()
    if not is_real and options.list != REAL_LIST:
        parser.error(f"{options.list} is no file")
    rows = real_rows(options.list) if is_real else made_up_rows()
    yt_dlp = version("yt-dlp")
    peer_python(yt_dlp)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "clips").mkdir()
        make_clips(folder / "clips")
        with replica(folder / "clips") as host:
            template = f"http://{host}/{{id}}_{{start}}_{{end}}.mp4"
            sample = random.Random(1).sample(rows, min(options.peer_clips, len(rows)))
            peer = run_peer(folder / "peer", sample, template, yt_dlp)
            print("peer", peer, flush=True)
            ours = run_ours(folder, chosen_rows(rows, options.clips), template)
            print("ours", ours, flush=True)
    details = {
        "what": "CPU seconds per clip, peer over ours, all child processes included",
        "list": f"{len(rows)} rows of {'the real list' if is_real else 'a made-up list'}",
        "ours": ours,
        "peer": peer,
        "versions": {"yt-dlp": yt_dlp, "av": version("av"), "python": sys.version.split()[0]},
    }
    ratio = round(peer["cpu_ms_per_clip"] / ours["cpu_ms_per_clip"], 2)
    print(json.dumps({"ratio": ratio, "details": details}))


if __name__ == "__main__":
    main()

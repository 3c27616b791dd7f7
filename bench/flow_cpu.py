"""CPU flow engine against OpenCV's CPU TV-L1: same pairs, one thread, one core, one run.

`python bench/flow_cpu.py [--pairs N]` in the project's environment. The peer gets a venv of its own
(outside the repository, built on the first run). The last line is one JSON object; README.md says
how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from footage import fetch
from numpy.typing import NDArray

from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.engines import reference
from kinetics_assets.engines.cpu import CpuEngine, solve_pair
from kinetics_assets.engines.cpu_compiled.compiler import SWITCH
from kinetics_assets.engines.gray import bgr_to_gray, resize_gray
from kinetics_assets.engines.quantise import quantise

PEER_PACKAGE: Final = "opencv-contrib-python-headless==5.0.0.93"
CLIPS: Final = ("bikes", "carphone", "wolfgang", "face_noface", "sports2d", "ocean_mp4")
WIDTH_PX: Final = 340
HEIGHT_PX: Final = 256
BOUND_PX: Final = 20
CUT_LEVELS: Final = 40
ORACLE_EVERY: Final = 4
"""The oracle takes seconds per pair, so only each fourth pair is compared with it."""


class Peer:
    """The peer's process, answering one pair at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Take over a started process and read its versions."""
        self._process = process
        self.versions: dict[str, str] = json.loads(self._line())

    def solve(self, path: Path) -> tuple[float, NDArray[np.float32]]:
        """Return the CPU seconds and the flow of the pair stored at `path`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        seconds = float(self._line())
        return seconds, np.load(path.with_suffix(".flow.npy"))

    def _line(self) -> str:
        """Return the next line that the peer says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"The peer ended early with code {self._process.wait()}.")
        return line


@contextmanager
def running_peer() -> Iterator[Peer]:
    """Start the peer in its venv, made on the first run, and end it afterwards."""
    base = os.environ.get("KINETICS_BENCH_CACHE")
    cache = Path(base) if base else Path.home() / ".cache" / "kinetics-assets-bench"
    home = cache / PEER_PACKAGE.replace("==", "-")
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        venv.create(home, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, PEER_PACKAGE], check=True, stdout=sys.stderr)
        (home / "ready").touch()
    argv = [str(python), str(Path(__file__).with_name("peer_optflow.py"))]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        yield Peer(process)
        assert process.stdin is not None
        process.stdin.close()


def pairs_of(name: str, count: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield `count` pairs (2, H, W) of gray frames, evenly spread, with the first one's index."""
    import av

    with av.open(str(fetch(name)), metadata_errors="replace") as container:
        frames = [
            resize_gray(bgr_to_gray(frame.to_ndarray(format="bgr24")), WIDTH_PX, HEIGHT_PX)  # type: ignore[arg-type]  # bgr24 is uint8
            for frame in container.decode(video=0)
        ]
    for index in np.linspace(0, len(frames) - 2, count).astype(int).tolist():
        yield index, np.stack(frames[index : index + 2])


def kernels_here() -> dict[str, dict[str, str]]:
    """Return the versions of each kind of kernels that this machine can run, all compiled."""
    engine, found = CpuEngine(threads=1), {}
    for kind in ("numba", "compiled"):
        os.environ[SWITCH] = kind
        try:
            engine.warm_up()
        except ToolMissing as missing:
            print(missing, file=sys.stderr)
        else:
            found[kind] = engine.versions()
    return found


def solve(kind: str, pair: NDArray[np.uint8]) -> tuple[float, NDArray[np.float32]]:
    """Return our CPU seconds and flow of one pair, with one kind of kernels."""
    os.environ[SWITCH] = kind
    start = time.process_time()
    flow = solve_pair(*pair).flow
    return time.process_time() - start, flow


def measure(
    peer: Peer, kinds: list[str], pair: NDArray[np.uint8], folder: Path
) -> tuple[dict[str, Any], NDArray[np.float32], NDArray[np.float32]]:
    """Return the costs of one pair, our flow and the peer's.

    Ours is done before and after the peer's, so that drift cancels.
    """
    path = folder / "pair.npy"
    np.save(path, pair)
    before = {kind: solve(kind, pair) for kind in kinds}
    theirs, peer_flow = peer.solve(path)
    after = {kind: solve(kind, pair) for kind in reversed(kinds)}
    flows = [flow for _, flow in (*before.values(), *after.values())]
    assert all(flow.tobytes() == flows[0].tobytes() for flow in flows)
    row: dict[str, Any] = {"peer_s": theirs}
    for kind in kinds:
        row[f"{kind}_s"] = (before[kind][0] + after[kind][0]) / 2
        row[f"{kind}_ratio"] = theirs / row[f"{kind}_s"]
    return row, flows[0], peer_flow


def within_one_level(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the share of samples within one grey level after coding to 8 bits."""
    levels = [quantise(flow, bound_px=BOUND_PX).astype(np.int16) for flow in (a, b)]
    return float((np.abs(levels[0] - levels[1]) <= 1).mean())


def summary(kinds: list[str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of `rows`; quality over those that were compared with the oracle."""
    judged = [row for row in rows if "ours_within_1" in row]
    costs = {
        kind: {
            "ms": round(1e3 * median(row[f"{kind}_s"] for row in rows), 1),
            "ratio": round(median(row[f"{kind}_ratio"] for row in rows), 2),
            "ratio_min": round(min(row[f"{kind}_ratio"] for row in rows), 2),
            "ratio_max": round(max(row[f"{kind}_ratio"] for row in rows), 2),
        }
        for kind in kinds
    }
    return {
        "pairs": len(rows),
        "peer_ms": round(1e3 * median(row["peer_s"] for row in rows), 1),
        **{kind: costs.get(kind) for kind in ("numba", "compiled")},
        "ours_within_1_level_of_oracle": round(median(r["ours_within_1"] for r in judged), 5),
        "peer_within_1_level_of_oracle": round(median(r["peer_within_1"] for r in judged), 5),
    }


def main() -> None:
    """Measure all clips and print the finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=8, help="pairs per clip (default 8)")
    count = parser.parse_args().pairs
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})  # the peer inherits it; the two never run at the same time
    ours = kernels_here()
    kinds = list(ours)
    per_clip: dict[str, list[dict[str, Any]]] = {}
    with running_peer() as peer, tempfile.TemporaryDirectory() as folder:
        for name in CLIPS:
            rows = per_clip.setdefault(name, [])
            for place, (index, pair) in enumerate(pairs_of(name, count)):
                row, flow, peer_flow = measure(peer, kinds, pair, Path(folder))
                cut = np.abs(pair[0].astype(np.int16) - pair[1]).mean() > CUT_LEVELS
                if place % ORACLE_EVERY == 0 and not cut:
                    oracle = reference.solve_pair(*pair).flow
                    row["ours_within_1"] = within_one_level(flow, oracle)
                    row["peer_within_1"] = within_one_level(peer_flow, oracle)
                rows.append(row)
                print(name, index, {key: round(value, 4) for key, value in row.items()}, flush=True)
        versions = {"peer": peer.versions, **ours}
    every = summary(kinds, [row for rows in per_clip.values() for row in rows])
    details = {
        "what": "CPU time per pair, peer over ours, median over pairs; one thread on one core",
        "kernels": kinds[-1],
        "size": f"{WIDTH_PX}x{HEIGHT_PX}",
        "all": every,
        "clips": {name: summary(kinds, rows) for name, rows in per_clip.items()},
        "versions": versions,
    }
    print(json.dumps({"ratio": every[kinds[-1]]["ratio"], "details": details}))


if __name__ == "__main__":
    main()

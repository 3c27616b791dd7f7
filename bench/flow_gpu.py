"""CUDA flow engine against OpenCV CUDA's TV-L1: same pairs, one GPU, one run; and the pipeline.

`python bench/flow_gpu.py [--pairs N]` on a machine with a GPU and the extra `cuda`; the interpreter
may be one whose OpenCV has CUDA. The last line is one JSON object; README.md says how to read it.
Without a GPU it says so and its ratio is null.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from footage import fetch
from numpy.typing import NDArray

from kinetics_assets.engines import cpu, tvl1
from kinetics_assets.engines.cuda import probe
from kinetics_assets.engines.cuda.engine import CudaEngine
from kinetics_assets.engines.cuda.queue import BatchQueue
from kinetics_assets.engines.gray import bgr_to_gray, resize_gray
from kinetics_assets.engines.quantise import quantise
from kinetics_assets.stages.flow_pipeline import AHEAD

CLIPS: Final = ("bikes", "carphone", "wolfgang", "face_noface", "sports2d")
WIDTH_PX: Final = 340
HEIGHT_PX: Final = 256
BOUND_PX: Final = 20
REPEATS: Final = 3
PEER_PAIRS: Final = 40
"""The peers do one pair after another, so a few tell their speed."""

ITERATIONS_PER_TEST: Final = 10
"""Of OpenCV's stop rule: 84 tests in 852 iterations of a mean pair."""


def clips(pairs: int) -> list[NDArray[np.uint8]]:
    """Return gray clips, `pairs` pairs in all or as many as there are."""
    import av

    found = []
    for name in CLIPS:
        most = -(-pairs // len(CLIPS)) + 1
        with av.open(str(fetch(name)), metadata_errors="replace") as container:
            decoded = (
                frame.to_ndarray(format="bgr24")
                for _, frame in zip(range(most), container.decode(video=0), strict=False)
            )
            frames = [
                resize_gray(bgr_to_gray(frame.astype(np.uint8)), WIDTH_PX, HEIGHT_PX)
                for frame in decoded
            ]
        found.append(np.stack(frames))
    return found


def spread(footage: list[NDArray[np.uint8]], count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield `count` pairs (2, H, W), evenly spread over all clips."""
    every = [pair for clip in footage for pair in pairwise(clip)]
    for index in np.linspace(0, len(every) - 1, count).astype(int):
        yield np.stack(every[index])


def pairs_per_second(work: Callable[[], object], pairs: int) -> float:
    """Return the best rate of some repeats, after one that does not count."""
    work()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return pairs / min(seconds)


class Watched:
    """A device that knows when batches were under way on it."""

    def __init__(self, device: Any) -> None:  # noqa: ANN401 - any `Device`
        """Be `device`."""
        self._device = device
        self._lock = threading.Lock()
        self._running = 0
        self._since = 0.0
        self.busy_seconds = 0.0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the device has
        return getattr(self._device, name)

    def run(self, *arguments: object, **named: object) -> NDArray[np.int32]:
        """Run a batch and count the time in which there was at least one."""
        with self._lock:
            self._since = self._since if self._running else time.perf_counter()
            self._running += 1
        try:
            counts: NDArray[np.int32] = self._device.run(*arguments, **named)
            return counts
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self.busy_seconds += time.perf_counter() - self._since


def pipeline(device: Any, clips_at_a_time: int, copies: int) -> dict[str, Any]:  # noqa: ANN401
    """Return what videos cost from file to pictures, without Dagster, on all cores of the machine.

    Args:
        device: Where flow is computed.
        clips_at_a_time: Threads, as a flow step has them.
        copies: How often each video is done.
    """
    from kinetics_assets.core.settings import FrameRecipe, Limits
    from kinetics_assets.media.client import MediaWorker
    from kinetics_assets.stages.flow_pipeline import FlowPipeline

    watched = Watched(device)
    cores = len(os.sched_getaffinity(0))
    flow = FlowPipeline(
        CudaEngine(on=watched),
        recipe=FrameRecipe(size=f"{WIDTH_PX}x{HEIGHT_PX}"),
        bound_px=BOUND_PX,
        cores=cores,
    )
    videos = [fetch(name) for _ in range(copies) for name in CLIPS]
    with (
        tempfile.TemporaryDirectory(prefix="kinetics-flow-gpu-") as name,
        MediaWorker(Limits(), writable=[Path(name)], children=cores) as worker,
        ThreadPoolExecutor(clips_at_a_time) as pool,
    ):

        def make(index: int) -> int:
            folder = Path(name) / str(index)
            folder.mkdir()
            gray = folder.with_suffix(".npy")
            pairs = flow.make(videos[index], folder, worker=worker, gray=gray).frames
            worker.check_pictures(folder, sorted(path.name for path in folder.iterdir()))
            return pairs

        list(pool.map(make, range(len(CLIPS))))  # children, kernels and locked memory are there now
        for folder in Path(name).iterdir():
            shutil.rmtree(folder)
        watched.busy_seconds = 0.0
        with Utilisation() as driver:
            start = time.perf_counter()
            pairs = sum(pool.map(make, range(len(videos))))
            seconds = time.perf_counter() - start
    return {
        "cores": cores,
        "videos": len(videos),
        "pairs": pairs,
        "pairs_per_second": round(pairs / seconds, 1),
        "share_of_time_with_a_batch_on_the_device": round(watched.busy_seconds / seconds, 3),
        "gpu_utilisation_by_the_driver": driver.mean(),
    }


class Utilisation:
    """What the driver says of the first visible GPU, several times a second."""

    def __enter__(self) -> Self:
        """Begin to listen."""
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
        program = shutil.which("nvidia-smi")
        self._child = None
        if program is not None:
            argv = [program, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
            argv += ["-lms", "200", "-i", visible]
            self._child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self._said = ""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        if self._child is not None:
            self._child.terminate()
            self._said, _ = self._child.communicate()

    def mean(self) -> float | None:
        """Return the share of time in which a kernel ran; None where nobody tells."""
        shares = [int(line) / 100 for line in self._said.split() if line.isdecimal()]
        return round(sum(shares) / len(shares), 3) if shares else None


class LaunchPattern:
    """A stand-in that launches, copies and waits as OpenCV does: pair by pair, test by test.

    Per iteration two kernels in blocks of 32x8, per test a cleared sum, its kernel, a copy and a
    wait. Pyramids, warps and OpenCV's own overhead are left out, so OpenCV is slower than this.
    """

    def __init__(self) -> None:
        """Compile its kernels."""
        import cupy

        self._cupy = cupy
        source = Path(__file__).with_name("launch_pattern.cu").read_text(encoding="utf-8")
        module = cupy.RawModule(code=source, options=("-std=c++17",))
        self._primal, self._dual, self._sum = map(module.get_function, ("primal", "dual", "add_up"))

    def run_all(self, iterations: list[NDArray[np.int32]]) -> None:
        """Do as many iterations as each pair took, (levels, warps), one pair after another."""
        for pair in iterations:
            self._run(pair)

    def _run(self, iterations: NDArray[np.int32]) -> None:
        """Do as many iterations as one pair took."""
        cupy = self._cupy
        for level, (height, width) in enumerate(tvl1.level_sizes(HEIGHT_PX, WIDTH_PX)):
            planes = cupy.zeros(11 * height * width, np.float32)
            total = cupy.zeros(1, np.float64)
            size = (np.int32(height), np.int32(width))
            grid, block = (-(-width // 32), -(-height // 8), 1), (32, 8, 1)
            for count in iterations[level].tolist():
                for done in range(count):
                    tested = done % ITERATIONS_PER_TEST == ITERATIONS_PER_TEST - 1
                    self._primal(grid, block, (planes, *size, np.int32(tested)))
                    if tested:
                        total.data.memset(0, total.nbytes)
                        self._sum((64, 1, 1), (256, 1, 1), (planes, *size, total))
                        total.get()
                    self._dual(grid, block, (planes, *size))
        cupy.cuda.get_current_stream().synchronize()


def opencv_cuda() -> Any | None:  # noqa: ANN401  # the module, which has no types
    """Return cv2 if it was built with CUDA and sees a device."""
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError:
        return None
    has = hasattr(getattr(cv2, "cuda", None), "OpticalFlowDual_TVL1_create")
    return cv2 if has and cv2.cuda.getCudaEnabledDeviceCount() > 0 else None


def opencv_flow(cv2: Any, pair: NDArray[np.uint8]) -> NDArray[np.float32]:  # noqa: ANN401
    """Return the flow (2, H, W) of one pair as OpenCV computes it, on a stream of its own."""
    stream = cv2.cuda.Stream()
    images = []
    for frame in pair:
        image = cv2.cuda.GpuMat()
        image.upload(frame, stream)
        images.append(image)
    solver = cv2.cuda.OpticalFlowDual_TVL1_create()  # one per pair: it keeps a number of levels
    flow = solver.calc(*images, None, stream).download(stream)
    stream.waitForCompletion()
    return np.moveaxis(np.asarray(flow, np.float32), 2, 0)


def within_one_level(flow: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the share of samples within one grey level after coding to 8 bits."""
    a, b = (quantise(field, bound_px=BOUND_PX).astype(np.int16) for field in (flow, other))
    return float((np.abs(a - b) <= 1).mean())


def measured(pairs: int) -> dict[str, Any]:
    """Return all rates and agreements; needs a device."""
    from kinetics_assets.engines.cuda.device import CupyDevice

    footage = clips(pairs)
    total = sum(len(clip) - 1 for clip in footage)
    engine, device, pattern, cv2 = CudaEngine(), CupyDevice(), LaunchPattern(), opencv_cuda()
    ours = pairs_per_second(lambda: engine.flow_u8_of_clips(footage, bound_px=BOUND_PX), total)
    ring = CupyDevice()
    ring.limits = replace(ring.limits, in_registers=False)
    in_ring = CudaEngine(on=ring)
    ours_in_ring = pairs_per_second(
        lambda: in_ring.flow_u8_of_clips(footage, bound_px=BOUND_PX), total
    )
    sample = list(spread(footage, PEER_PAIRS))
    solved = BatchQueue(device).solve(sample, np.float32)
    oracle = [cpu.solve_pair(*pair) for pair in sample]
    same = sum(np.array_equal(s.flow[0], o.flow) for s, o in zip(solved, oracle, strict=True))
    stand_in = pairs_per_second(
        lambda: pattern.run_all([one.iterations[0] for one in solved]), len(sample)
    )
    found: dict[str, Any] = {
        "pairs": total,
        "ours_pairs_per_second": round(ours, 1),
        "ours_in_ring_pairs_per_second": round(ours_in_ring, 1),
        "ours_equal_to_the_cpu_engine": f"{same} of {len(sample)}",
        "launch_pattern_pairs_per_second": round(stand_in, 1),
        "ours_over_launch_pattern": round(ours / stand_in, 1),
        "opencv_cuda_pairs_per_second": None,
        "versions": engine.versions(),
    }
    found["pipeline"] = pipeline(device, len(os.sched_getaffinity(0)) + AHEAD, copies=8)
    if cv2 is not None:
        theirs = pairs_per_second(lambda: [opencv_flow(cv2, pair) for pair in sample], len(sample))
        agree = [
            within_one_level(opencv_flow(cv2, pair), one.flow)
            for pair, one in zip(sample, oracle, strict=True)
        ]
        found["opencv_cuda_pairs_per_second"] = round(theirs, 1)
        found["opencv_cuda_within_1_level_of_ours"] = round(float(np.median(agree)), 5)
        found["versions"] |= {"opencv": cv2.__version__}
        found["ratio"] = round(ours / theirs, 1)
    return found


def main() -> None:
    """Measure, or say why not, and print the finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1200, help="pairs in all (default 1200)")
    pairs = parser.parse_args().pairs
    details: dict[str, Any] = {
        "what": "pairs per second on one GPU, copies included: ours over OpenCV CUDA's",
        "size": f"{WIDTH_PX}x{HEIGHT_PX}",
    }
    if probe.usable():
        details |= measured(pairs)
    else:
        details["not run"] = "there is no CUDA device, or no CuPy"
    print(json.dumps({"ratio": details.pop("ratio", None), "details": details}))


if __name__ == "__main__":
    main()

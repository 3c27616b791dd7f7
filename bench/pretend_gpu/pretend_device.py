"""A device that takes time and computes nothing; see `sitecustomize`."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.engines.cuda.batches import Sample
from kinetics_assets.engines.cuda.memory import COUNTS
from kinetics_assets.engines.cuda.plan import BatchPlan, DeviceLimits


class PretendDevice:
    """As `CupyDevice` to its engine: two lanes, one device that processes take turns on."""

    lanes = 2
    pairs_at_a_time = 132

    def __init__(self) -> None:
        """Take as long as CuPy, a CUDA context and compiled kernels are taken to need."""
        settings = json.loads(os.environ["KINETICS_PRETEND_GPU"])
        self.limits = DeviceLimits(227 * 1024)
        self._pairs_per_second = settings["pairs_per_second"]
        self._turn = Path(settings["turn"])
        self._log = Path(settings["log"])
        time.sleep(settings["start_seconds"])

    def free_bytes(self) -> int:
        """Return what an H200 has."""
        return 140 << 30

    def host_arrays(
        self, lane: int, *, pixels: int, results: int, sample: type[Sample]
    ) -> tuple[NDArray[np.uint8], NDArray[Sample]]:
        """Return new arrays."""
        del lane
        return np.empty(pixels, np.uint8), np.full(results, 128, sample)

    def run(
        self,
        plan: BatchPlan,
        pixels: NDArray[np.uint8],
        results: NDArray[Sample],
        *,
        bound_px: float,
        lane: int,
    ) -> NDArray[np.int32]:
        """Hold the device for as long as the pairs of the batch need."""
        del pixels, results, bound_px, lane
        with self._turn.open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            begun = time.time()
            time.sleep(len(plan.pairs) / self._pairs_per_second)
            line = json.dumps([begun, time.time(), len(plan.pairs)]) + "\n"
            with self._log.open("a") as log:
                log.write(line)
        return np.zeros((len(plan.pairs), COUNTS), np.int32)

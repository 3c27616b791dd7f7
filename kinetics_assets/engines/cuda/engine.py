"""TV-L1 of the profile "opencv4-cuda" on a CUDA device.

Results are bit for bit those of `reference.py`, and so of the CPU engine, whatever the device, the
batch or its neighbours.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import numpy as np

from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.engines import base, tvl1
from kinetics_assets.engines.base import FlowField, FlowLevels, GrayFrames, checked_frames
from kinetics_assets.engines.cuda.batches import Device, Sample, Solved, unsolved
from kinetics_assets.engines.cuda.plan import REVISION
from kinetics_assets.engines.cuda.queue import BatchQueue
from kinetics_assets.engines.quantise import positive_bound

_CUPY_WHEELS: Final = ("cupy-cuda13x", "cupy-cuda12x", "cupy")


class CudaEngine:
    """The default engine where a GPU is.

    The device is taken at the first call and kept. Never falls back to the CPU: what the device
    cannot do is a fault of the environment. Pairs that threads ask for at the same time share
    batches, so give it many clips at a time, from one thread or several.
    """

    name: str = "cuda"
    profile: str = tvl1.PROFILE
    device: base.Device = "cuda"

    def __init__(self, *, on: Device | None = None, budget_bytes: int | None = None) -> None:
        """Compute on the device `on`, by default the first visible one behind CuPy.

        Args:
            on: Another device, for tests.
            budget_bytes: Device memory that a batch may take, by default its share of what is free.
        """
        self._on = on
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._queue: BatchQueue | None = None

    def versions(self) -> dict[str, str]:
        """Return the revision of the kernels and the version of CuPy.

        Raises:
            ToolMissing: CuPy is not installed.
        """
        for wheel in _CUPY_WHEELS:
            try:
                return {"cuda_kernels": REVISION, "cupy": version(wheel)}
            except PackageNotFoundError:
                continue
        raise ToolMissing("CuPy", "Run `pip install 'kinetics-assets[cuda]'`.")

    def warm_up(self) -> None:
        """Take the device and compile the kernels, so that no later call waits for it.

        Raises:
            DeviceLost: there is no device.
            ToolMissing: CuPy or its compiler is not installed.
        """
        self.flow(np.zeros((2, 32, 32), np.uint8))

    def flow(self, frames: GrayFrames) -> FlowField:
        """Return the flow in pixels, (T - 1, 2, H, W); see `FlowEngine.flow`.

        Raises:
            DeviceLost: the device is gone or was never there.
            ToolMissing: CuPy or its compiler is not installed.
        """
        return self._solve([frames], np.float32)[0].flow

    def flow_u8(self, frames: GrayFrames, *, bound_px: float) -> FlowLevels:
        """Return the flow as grey levels, (T - 1, 2, H, W); see `FlowEngine.flow_u8`.

        Raises:
            DeviceLost: the device is gone or was never there.
            ToolMissing: CuPy or its compiler is not installed.
        """
        return self.flow_u8_of_clips([frames], bound_px=bound_px)[0]

    def flow_u8_of_clips(self, clips: Sequence[GrayFrames], *, bound_px: float) -> list[FlowLevels]:
        """Return the flow of each clip as grey levels; sizes and lengths may differ.

        This is how to fill a device: some hundred pairs are worked on at the same time.

        Raises:
            as `flow_u8`.
        """
        solved = self._solve(clips, np.uint8, bound_px=positive_bound(bound_px))
        return [clip.flow for clip in solved]

    @property
    def waiting_pairs(self) -> int:
        """How many pairs wait behind those that the device works on."""
        return self._ready_queue().waiting_pairs

    def _solve(
        self, clips: Sequence[GrayFrames], sample: type[Sample], *, bound_px: float = 1.0
    ) -> list[Solved[Sample]]:
        """Return the flow of each clip and how it came about."""
        clips = [checked_frames(frames) for frames in clips]
        if all(len(frames) < 2 for frames in clips):
            return [unsolved(frames, sample) for frames in clips]
        return self._ready_queue().solve(clips, sample, bound_px=bound_px)

    def _ready_queue(self) -> BatchQueue:
        """Return the queue of the device, which is taken now if it was not yet."""
        with self._lock:
            if self._queue is None:
                device = self._on
                if device is None:
                    from kinetics_assets.engines.cuda.device import CupyDevice

                    device = CupyDevice()
                self._queue = BatchQueue(device, budget_bytes=self._budget_bytes)
            return self._queue

"""The one queue before a device: pairs of all clips that threads wait for, batch after batch.

There is no thread of its own: whoever waits for a clip runs batches, as long as pairs of that clip
are left, and so works for the others that wait. A batch begins when its lane is free and either the
device is idle or enough pairs have come together; while one batch runs, the next one gathers. So a
single clip starts at once, and many clips fill the device.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from kinetics_assets.core.errors import DeviceLost
from kinetics_assets.engines import tvl1
from kinetics_assets.engines.base import GrayFrames
from kinetics_assets.engines.cuda.batches import (
    Device,
    PendingClip,
    Sample,
    Segment,
    Solved,
    cut_batch,
    unsolved,
)
from kinetics_assets.engines.cuda.memory import MOST_PIXELS, clip_bytes
from kinetics_assets.engines.cuda.plan import plan_batch

_WAVES = 2
"""Batches that begin beside another one have at least so many pairs for each place on the device:
the slowest pair of a batch then has company for half of the time or more."""


class BatchQueue:
    """Clips to solve on one device; shared by threads.

    After a fault of the device, every call raises it.
    """

    def __init__(self, device: Device, *, budget_bytes: int | None = None) -> None:
        """Use `device`.

        Args:
            device: Where batches run.
            budget_bytes: Device memory that a batch may take, by default its share of what is free.
        """
        self._device = device
        self._changed = threading.Condition()
        self._waiting: list[Segment] = []
        self._free_lanes = list(range(device.lanes))
        self._most_running = device.lanes
        self._had_company: set[int] = set()
        self._budget_bytes = budget_bytes
        self._share_bytes = 0
        self._most_bytes: int | None = None
        self._fault: BaseException | None = None

    @property
    def waiting_pairs(self) -> int:
        """How many pairs wait for a batch."""
        with self._changed:
            return sum(segment.pairs for segment in self._waiting)

    def solve(
        self, clips: Sequence[GrayFrames], sample: type[Sample], *, bound_px: float = 1.0
    ) -> list[Solved[Sample]]:
        """Return the flow of each clip, as grey levels (uint8) or pixels (float32).

        Batches take pairs of as many clips as fit. When one does not fit after all, batches no
        longer overlap from then on; when that does not help, they are halved.

        Raises:
            DeviceLost: the device is gone, or has no room for a single pair.
            FloatingPointError: grey levels were asked for and the flow is not finite.
            ValueError: frames are too large.
        """
        pending = [_pending(frames, sample, bound_px) for frames in clips]
        mine = [clip for clip in pending if clip.pairs_left]
        with self._changed:
            self._waiting += [Segment(clip, 0, clip.pairs_left) for clip in mine]
            self._changed.notify_all()
        if len(mine) > 1:
            lanes = self._device.lanes
            with ThreadPoolExecutor(lanes, thread_name_prefix="flow") as pool:
                for done in [pool.submit(self._work_for, mine) for _ in range(lanes)]:
                    done.result()
        else:
            self._work_for(mine)
        return [clip.solved for clip in pending]  # type: ignore[misc]  # made of `sample` above

    def _work_for(self, mine: Sequence[PendingClip]) -> None:
        """Run batches until the clips `mine` are done, by whomever."""
        while (step := self._next(mine)) is not None:
            lane, batch = step
            try:
                self._run(lane, batch)
            except MemoryError as error:
                self._shrink(lane, batch, error)
            except BaseException as error:
                with self._changed:
                    self._fault = error
                raise
            finally:
                with self._changed:
                    self._free_lanes.append(lane)
                    self._had_company.discard(lane)
                    self._changed.notify_all()

    def _next(self, mine: Sequence[PendingClip]) -> tuple[int, list[Segment]] | None:
        """Return a lane and what to run in it, once there is both; None when `mine` are done.

        Raises:
            BaseException: what another thread met on the device.
        """
        own = {id(clip) for clip in mine}
        with self._changed:
            while True:
                if self._fault is not None:
                    raise self._fault
                if not any(clip.pairs_left for clip in mine):
                    return None
                if any(id(segment.clip) in own for segment in self._waiting) and self._may_begin():
                    batch, self._waiting = cut_batch(self._waiting, budget_bytes=self._budget())
                    lane = self._free_lanes.pop()
                    if self._running() > 1:
                        self._had_company = {*range(self._device.lanes)} - {*self._free_lanes}
                    return lane, batch
                self._changed.wait()

    def _may_begin(self) -> bool:
        """Return whether a batch should begin now; the lock is held."""
        running = self._running()
        pairs = sum(segment.pairs for segment in self._waiting)
        enough = pairs >= _WAVES * self._device.pairs_at_a_time
        return not running or (running < self._most_running and enough)

    def _running(self) -> int:
        """Return how many batches are under way; the lock is held."""
        return self._device.lanes - len(self._free_lanes)

    def _budget(self) -> int:
        """Return the device memory that the next batch may take; the lock is held."""
        if not self._running():
            self._share_bytes = self._device.free_bytes() // self._most_running
        budget = self._share_bytes if self._budget_bytes is None else self._budget_bytes
        return budget if self._most_bytes is None else min(budget, self._most_bytes)

    def _shrink(self, lane: int, batch: list[Segment], error: MemoryError) -> None:
        """Put `batch` back after memory was short in `lane`; what comes next takes less.

        Raises:
            DeviceLost: it was one pair, and alone from its beginning to its end.
        """
        with self._changed:
            self._waiting = [*batch, *self._waiting]
            if lane in self._had_company:  # which may have failed for the same reason, and be gone
                self._most_running = 1
                return
            if sum(segment.pairs for segment in batch) > 1:
                taken = sum(clip_bytes(segment.shape) for segment in batch)
                self._most_bytes = min(taken, self._budget()) // 2
                return
            size = "x".join(str(side) for side in batch[0].clip.frames.shape[:0:-1])
            self._fault = DeviceLost(
                f"The GPU has no room for the flow of one pair of {size} frames.",
                remedy="Free its memory, use fewer steps per GPU, or the flow engine 'cpu'.",
            )
            raise self._fault from error

    def _run(self, lane: int, batch: Sequence[Segment]) -> None:
        """Run one batch and hand its results out."""
        device, first = self._device, batch[0].clip
        sample = first.solved.flow.dtype.type
        shapes = [segment.shape for segment in batch]
        plan = plan_batch(shapes, device.limits, grey=sample is np.uint8)
        pixels, results = device.host_arrays(
            lane, pixels=plan.pixels, results=plan.results, sample=sample
        )
        np.concatenate(
            [one.clip.frames[one.start : one.start + one.pairs + 1].reshape(-1) for one in batch],
            out=pixels,
        )
        counts = device.run(plan, pixels, results, bound_px=first.bound_px, lane=lane)
        if counts[:, -1].any():
            raise FloatingPointError("Optical flow holds NaN: its engine is broken.")
        iterations = counts[:, :-1].reshape(len(counts), tvl1.SCALES, tvl1.WARPS)
        pair = sample_at = 0
        for clip, start, pairs in batch:
            flow = clip.solved.flow[start : start + pairs]
            flow[:] = results[sample_at : sample_at + flow.size].reshape(flow.shape)
            levels = clip.solved.iterations.shape[1]
            clip.solved.iterations[start : start + pairs] = iterations[pair : pair + pairs, :levels]
            pair += pairs
            sample_at += flow.size
        with self._changed:
            for clip, _, pairs in batch:
                clip.pairs_left -= pairs


def _pending(frames: GrayFrames, sample: type[Sample], bound_px: float) -> PendingClip:
    """Return a clip with room for its flow.

    Raises:
        ValueError: its frames are too large.
    """
    if frames[0:1].size > MOST_PIXELS:
        raise ValueError(f"Frames may have {MOST_PIXELS} pixels, got {frames.shape}.")
    solved = unsolved(frames, sample)
    return PendingClip(frames, solved, bound_px, max(len(frames) - 1, 0))  # type: ignore[arg-type]

"""Many clips, cut into batches of whole pairs that fit a device, and their results put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.core.errors import DeviceLost
from kinetics_assets.engines import tvl1
from kinetics_assets.engines.base import GrayFrames, flow_shape
from kinetics_assets.engines.cuda.memory import MOST_FRAMES, ClipShape, clip_bytes
from kinetics_assets.engines.cuda.plan import BatchPlan, DeviceLimits, plan_batch

Sample = TypeVar("Sample", bound=np.generic)

MOST_PAIRS: Final = 2048
"""Per batch: far more than any device works on at a time."""


class Device(Protocol):
    """Where batches run. Everything else about the engine is the same on all of them."""

    @property
    def limits(self) -> DeviceLimits:
        """What one block may have."""

    def free_bytes(self) -> int:
        """Return how much memory a batch may take now."""

    def run(
        self,
        plan: BatchPlan,
        pixels: NDArray[np.uint8],
        results: NDArray[Sample],
        *,
        bound_px: float,
    ) -> NDArray[np.int32]:
        """Run the launches of `plan`, fill `results` and return the counts, (pairs, COUNTS).

        Args:
            plan: Made for the type of `results`: grey levels or floats.
            pixels: All frames one after another, flat.
            results: The flow of all pairs one after another, flat.
            bound_px: Displacement that maps to the grey level 255.

        Raises:
            MemoryError: the batch does not fit; the device is as it was.
            DeviceLost: the device, or its context, is gone.
        """


class Segment(NamedTuple):
    """Consecutive pairs of one clip: `pairs` of them from frame `start` on."""

    clip: int
    start: int
    pairs: int


@dataclass(frozen=True, slots=True)
class Solved(Generic[Sample]):
    """The flow of one clip and how it came about.

    Attributes:
        flow: (T - 1, 2, H, W), grey levels or pixels.
        iterations: (T - 1, levels, warps) iterations that ran, finest level first.
    """

    flow: NDArray[Sample]
    iterations: NDArray[np.int32]


def solve_clips(
    device: Device,
    clips: Sequence[GrayFrames],
    sample: type[Sample],
    *,
    bound_px: float = 1.0,
    budget_bytes: int | None = None,
) -> list[Solved[Sample]]:
    """Return the flow of each clip, as grey levels (uint8) or pixels (float32).

    Batches take pairs of as many clips as fit into `budget_bytes`, by default what the device has
    free. One that does not fit after all is halved, and so are those after it.

    Raises:
        DeviceLost: the device is gone, or has no room for a single pair.
        FloatingPointError: grey levels were asked for and the flow is not finite.
        ValueError: frames are too large.
    """
    solved = [unsolved(frames, sample) for frames in clips]
    budget = device.free_bytes() if budget_bytes is None else budget_bytes
    waiting = [
        Segment(clip, 0, len(frames) - 1) for clip, frames in enumerate(clips) if len(frames) > 1
    ]
    while waiting:
        batch, rest = cut_batch(waiting, clips, budget_bytes=budget)
        try:
            _solve_batch(device, batch, clips, solved, bound_px=bound_px)
        except MemoryError as error:
            pairs = sum(segment.pairs for segment in batch)
            if pairs == 1:
                size = "x".join(str(side) for side in clips[batch[0].clip].shape[:0:-1])
                raise DeviceLost(
                    f"The GPU has no room for the flow of one pair of {size} frames.",
                    remedy="Free its memory, use fewer steps per GPU, or the flow engine 'cpu'.",
                ) from error
            budget = min(budget, _batch_bytes(batch, clips)) // 2
            continue
        waiting = rest
    return solved


def cut_batch(
    waiting: Sequence[Segment], clips: Sequence[GrayFrames], *, budget_bytes: int
) -> tuple[list[Segment], list[Segment]]:
    """Return the next batch, of one pair or more, and what is left after it.

    A clip is cut where the budget ends; the frame there is then part of two batches.
    """
    batch: list[Segment] = []
    frames = used = 0
    for index, segment in enumerate(waiting):
        _, height, width = clips[segment.clip].shape
        first = clip_bytes(ClipShape(2, height, width))
        each = clip_bytes(ClipShape(3, height, width)) - first
        fits = (budget_bytes - used - first) // each + 1 if used + first <= budget_bytes else 0
        room = min(fits, MOST_PAIRS - (frames - len(batch)), MOST_FRAMES - 1 - frames)
        taken = min(segment.pairs, max(room, 0 if batch else 1))
        if taken > 0:
            batch.append(Segment(segment.clip, segment.start, taken))
            frames += taken + 1
            used += first + (taken - 1) * each
        if taken < segment.pairs:
            left = Segment(segment.clip, segment.start + taken, segment.pairs - taken)
            return batch, [left, *waiting[index + 1 :]]
    return batch, []


def _solve_batch(
    device: Device,
    batch: Sequence[Segment],
    clips: Sequence[GrayFrames],
    solved: Sequence[Solved[Sample]],
    *,
    bound_px: float,
) -> None:
    """Run one batch and put its results into `solved`."""
    sample = solved[batch[0].clip].flow.dtype
    plan = plan_batch(_shapes(batch, clips), device.limits, grey=sample == np.uint8)
    parts = [clips[clip][start : start + pairs + 1].reshape(-1) for clip, start, pairs in batch]
    results = np.empty(plan.results, sample)
    counts = device.run(plan, np.concatenate(parts), results, bound_px=bound_px)
    if counts[:, -1].any():
        raise FloatingPointError("Optical flow holds NaN: its engine is broken.")
    iterations = counts[:, :-1].reshape(len(counts), tvl1.SCALES, tvl1.WARPS)
    pair = sample_at = 0
    for clip, start, pairs in batch:
        flow = solved[clip].flow[start : start + pairs]
        flow[:] = results[sample_at : sample_at + flow.size].reshape(flow.shape)
        levels = solved[clip].iterations.shape[1]
        solved[clip].iterations[start : start + pairs] = iterations[pair : pair + pairs, :levels]
        pair += pairs
        sample_at += flow.size


def _batch_bytes(batch: Sequence[Segment], clips: Sequence[GrayFrames]) -> int:
    """Return the device memory that a batch takes."""
    return sum(clip_bytes(shape) for shape in _shapes(batch, clips))


def _shapes(batch: Sequence[Segment], clips: Sequence[GrayFrames]) -> list[ClipShape]:
    """Return the shape of each segment, its last frame included."""
    return [ClipShape(pairs + 1, *clips[clip].shape[1:]) for clip, _, pairs in batch]


def unsolved(frames: GrayFrames, sample: type[Sample]) -> Solved[Sample]:
    """Return room for the flow of a clip; all there is to it for fewer than two frames."""
    shape = flow_shape(frames)
    levels = len(tvl1.level_sizes(*frames.shape[1:]))
    return Solved(np.empty(shape, sample), np.zeros((shape[0], levels, tvl1.WARPS), np.int32))

"""What a batch is: whole pairs of one clip or many, as many as fit a device and its host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.engines import tvl1
from kinetics_assets.engines.base import GrayFrames, flow_shape
from kinetics_assets.engines.cuda.memory import MOST_FRAMES, ClipShape, clip_bytes
from kinetics_assets.engines.cuda.plan import BatchPlan, DeviceLimits

Sample = TypeVar("Sample", bound=np.generic)

MOST_PAIRS: Final = 2048
"""Per batch: far more than any device works on at a time."""

HOST_BYTES: Final = 1 << 28
"""Of frames and results of one batch on the host, where they lie in locked memory: some thousand
pairs of 340x256 as grey levels."""


class Device(Protocol):
    """Where batches run. Everything else about the engine is the same on all of them.

    It has lanes, each with a stream and host memory of its own; batches in different lanes overlap.
    A lane is used by one thread at a time.
    """

    @property
    def limits(self) -> DeviceLimits:
        """What one block may have."""

    @property
    def lanes(self) -> int:
        """How many batches may be under way at a time."""

    @property
    def pairs_at_a_time(self) -> int:
        """How many pairs the device itself works on at the same moment."""

    def free_bytes(self) -> int:
        """Return how much memory the batches of all lanes may take now."""

    def host_arrays(
        self, lane: int, *, pixels: int, results: int, sample: type[Sample]
    ) -> tuple[NDArray[np.uint8], NDArray[Sample]]:
        """Return flat arrays for the frames and the results of the lane's next batch.

        Raises:
            MemoryError: the host has no room for them.
            DeviceLost: the device, or its context, is gone.
        """

    def run(
        self,
        plan: BatchPlan,
        pixels: NDArray[np.uint8],
        results: NDArray[Sample],
        *,
        bound_px: float,
        lane: int,
    ) -> NDArray[np.int32]:
        """Run the launches of `plan`, fill `results` and return the counts, (pairs, COUNTS).

        Args:
            plan: Made for the type of `results`: grey levels or floats.
            pixels: All frames one after another; of `host_arrays`.
            results: The flow of all pairs one after another; of `host_arrays`.
            bound_px: Displacement that maps to the grey level 255.
            lane: The lane to run in.

        Raises:
            MemoryError: the batch does not fit; the device is as it was.
            DeviceLost: the device, or its context, is gone.
        """


class Segment(NamedTuple):
    """Consecutive pairs of a clip: `pairs` of them from frame `start` on."""

    clip: PendingClip
    start: int
    pairs: int

    @property
    def shape(self) -> ClipShape:
        """Its frames, the last one included."""
        return ClipShape(self.pairs + 1, *self.clip.frames.shape[1:])


@dataclass(frozen=True, slots=True)
class Solved(Generic[Sample]):
    """The flow of one clip and how it came about.

    Attributes:
        flow: (T - 1, 2, H, W), grey levels or pixels.
        iterations: (T - 1, levels, warps) iterations that ran, finest level first.
    """

    flow: NDArray[Sample]
    iterations: NDArray[np.int32]


@dataclass(eq=False, slots=True)
class PendingClip:
    """A clip that is being worked on.

    Attributes:
        frames: (T, H, W).
        solved: Filled batch by batch.
        bound_px: Displacement that maps to the grey level 255.
        pairs_left: Pairs whose flow is not there yet.
    """

    frames: GrayFrames
    solved: Solved[np.generic]
    bound_px: float
    pairs_left: int

    def goes_with(self, other: PendingClip) -> bool:
        """Return whether both may be in one batch."""
        same_type = self.solved.flow.dtype == other.solved.flow.dtype
        return same_type and self.bound_px == other.bound_px


def cut_batch(
    waiting: Sequence[Segment], *, budget_bytes: int, host_bytes: int = HOST_BYTES
) -> tuple[list[Segment], list[Segment]]:
    """Return the next batch, of one pair or more, and what is left after it, in order.

    A clip is cut where a budget ends; the frame there is then part of two batches. Clips that do
    not go with the first one are left.

    Args:
        waiting: At least one segment.
        budget_bytes: Device memory that a batch may take.
        host_bytes: Host memory that its frames and results may take.
    """
    batch: list[Segment] = []
    left: list[Segment] = []
    frames = used = held = 0
    for index, segment in enumerate(waiting):
        if not segment.clip.goes_with(waiting[0].clip):
            left.append(segment)
            continue
        _, height, width = segment.clip.frames.shape
        first = clip_bytes(ClipShape(2, height, width))
        each = clip_bytes(ClipShape(3, height, width)) - first
        kept = height * width * (1 + 2 * segment.clip.solved.flow.dtype.itemsize)
        room = min(
            (budget_bytes - used - first) // each + 1 if used + first <= budget_bytes else 0,
            (host_bytes - held) // kept,
            MOST_PAIRS - (frames - len(batch)),
            MOST_FRAMES - 1 - frames,
        )
        taken = min(segment.pairs, max(room, 0 if batch else 1))
        if taken > 0:
            batch.append(segment._replace(pairs=taken))
            frames += taken + 1
            used += first + (taken - 1) * each
            held += taken * kept
        if taken < segment.pairs:
            start = segment.start + taken
            rest = segment._replace(start=start, pairs=segment.pairs - taken)
            return batch, [*left, rest, *waiting[index + 1 :]]
    return batch, left


def unsolved(frames: GrayFrames, sample: type[Sample]) -> Solved[Sample]:
    """Return room for the flow of a clip; all there is to it for fewer than two frames."""
    shape = flow_shape(frames)
    levels = len(tvl1.level_sizes(*frames.shape[1:]))
    return Solved(np.empty(shape, sample), np.zeros((shape[0], levels, tvl1.WARPS), np.int32))

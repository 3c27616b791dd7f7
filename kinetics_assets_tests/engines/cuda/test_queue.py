"""The queue before a device: threads share batches, batches overlap, faults reach everyone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kinetics_assets.core.errors import DeviceLost
from kinetics_assets.engines import reference
from kinetics_assets.engines.cuda.queue import BatchQueue
from kinetics_assets_tests.engines.cuda.shim import ShimDevice
from kinetics_assets_tests.engines.moving import moving_texture

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kinetics_assets.engines.base import FlowField
    from kinetics_assets.engines.cuda.batches import Sample
    from kinetics_assets.engines.cuda.plan import BatchPlan

PAIR = moving_texture(0.4, 0.2, width_px=20, height_px=18)
CLIP = np.concatenate([PAIR, PAIR])
ORACLE = reference.ReferenceEngine().flow(CLIP)
_SECONDS = 120


class Gated(ShimDevice):
    """A device that asks before each batch runs, and knows how many do at a time.

    Attributes:
        gate: Called by the thread that runs a batch, with the number of its pairs.
        most: Most batches that were under way at a time.
    """

    def __init__(self, gate: Callable[[int], None], **options: int) -> None:
        """Be a device with that gate."""
        super().__init__(threads=32, **options)  # type: ignore[arg-type]
        self.gate = gate
        self.most = 0
        self._inside: set[int] = set()
        self._lock = threading.Lock()

    def run(
        self,
        plan: BatchPlan,
        pixels: NDArray[np.uint8],
        results: NDArray[Sample],
        *,
        bound_px: float,
        lane: int,
    ) -> NDArray[np.int32]:
        """Run a batch once the gate lets it pass."""
        with self._lock:
            assert lane not in self._inside, "a lane is one thread's at a time"
            self._inside.add(lane)
            self.most = max(self.most, len(self._inside))
        try:
            self.gate(len(plan.pairs))
            return super().run(plan, pixels, results, bound_px=bound_px, lane=lane)
        finally:
            with self._lock:
                self._inside.remove(lane)


def test_what_comes_while_a_batch_runs_shares_the_next_one() -> None:
    """The first clip starts at once; those of other threads gather behind it into one batch."""
    first_runs, rest_waits = threading.Event(), threading.Event()

    def gate(pairs: int) -> None:
        if pairs == 1:
            first_runs.set()
            assert rest_waits.wait(_SECONDS)

    on = Gated(gate)
    on.pairs_at_a_time = 100  # so that nothing begins beside another batch
    queue = BatchQueue(on)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(queue.solve, [PAIR], np.float32)
        assert first_runs.wait(_SECONDS)
        rest = [pool.submit(queue.solve, [CLIP], np.float32) for _ in range(3)]
        while queue.waiting_pairs < 9:
            threading.Event().wait(0.01)
        rest_waits.set()
        flows = [one.result()[0].flow for one in [first, *rest]]
    assert on.batches == [1, 9]
    assert on.most == 1
    assert np.array_equal(flows[0], ORACLE[:1])
    assert all(np.array_equal(flow, ORACLE) for flow in flows[1:])


def test_batches_overlap_when_there_is_enough_to_do() -> None:
    """Two batches are under way at a time, in lanes of their own, when both are large enough."""
    begun, both = threading.Event(), threading.Barrier(2, timeout=_SECONDS)

    def gate(_: int) -> None:
        begun.set()
        both.wait()

    on = Gated(gate)
    on.pairs_at_a_time = 1
    flows = _one_after_the_other(BatchQueue(on), begun)
    assert on.most == 2
    assert all(np.array_equal(flow, ORACLE) for flow in flows)


def test_batches_do_not_overlap_where_memory_is_short() -> None:
    """What had no room beside another batch is done after it, whole."""
    begun, refused = threading.Event(), threading.Event()

    def gate(_: int) -> None:
        if refused.is_set():
            return
        if begun.is_set():
            refused.set()
            raise MemoryError
        begun.set()
        assert refused.wait(_SECONDS)

    on = Gated(gate)
    on.pairs_at_a_time = 1
    queue = BatchQueue(on)
    flows = _one_after_the_other(queue, begun)
    assert on.batches == [3, 3]
    assert on.most == 2
    on.most = 0
    flows += _one_after_the_other(queue, begun)
    assert on.most == 1
    assert all(np.array_equal(flow, ORACLE) for flow in flows)


def test_two_that_take_each_others_memory_have_room_alone() -> None:
    """One pair that failed for want of memory beside another one is tried alone before it counts.

    Regression: the later of the two was found without company, and the step failed.
    """
    both, calls = threading.Barrier(2, timeout=_SECONDS), iter(range(9))

    def gate(_: int) -> None:
        number = next(calls)
        if number < 2:
            both.wait()
            while number == 1 and not queue.waiting_pairs:
                threading.Event().wait(0.01)
            threading.Event().wait(0.1 * number)  # so that the other has left its lane, too
            raise MemoryError

    on = Gated(gate)
    on.pairs_at_a_time = 0
    queue = BatchQueue(on)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(queue.solve, [PAIR], np.float32) for _ in range(2)]
        assert all(np.array_equal(one.result()[0].flow, ORACLE[:1]) for one in asked)
    assert sum(on.batches) == 2


def test_a_lost_device_is_lost_for_all_who_wait() -> None:
    """Whoever waits behind the batch that failed, or comes later, gets the same error."""
    runs, others_wait = threading.Event(), threading.Event()

    def gate(_: int) -> None:
        runs.set()
        assert others_wait.wait(_SECONDS)
        raise DeviceLost("The GPU failed: gone.", remedy="Look at it.")

    on = Gated(gate)
    on.pairs_at_a_time = 100
    queue = BatchQueue(on)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(queue.solve, [CLIP], np.uint8)]
        assert runs.wait(_SECONDS)
        waiting += [pool.submit(queue.solve, [CLIP], np.uint8) for _ in range(2)]
        while queue.waiting_pairs < 6:
            threading.Event().wait(0.01)
        others_wait.set()
        for one in waiting:
            with pytest.raises(DeviceLost, match="gone"):
                one.result()
    with pytest.raises(DeviceLost, match="gone"):
        queue.solve([CLIP], np.uint8)


def test_types_and_bounds_do_not_share_a_batch() -> None:
    """Grey levels of two bounds and pixels, asked for at the same time, are each their own."""
    on = ShimDevice(threads=32)
    engine = reference.ReferenceEngine()
    queue = BatchQueue(on)
    with ThreadPoolExecutor(3) as pool:
        narrow = pool.submit(queue.solve, [CLIP], np.uint8, bound_px=2.0)
        wide = pool.submit(queue.solve, [CLIP], np.uint8, bound_px=20.0)
        pixels = pool.submit(queue.solve, [CLIP], np.float32)
        assert np.array_equal(narrow.result()[0].flow, engine.flow_u8(CLIP, bound_px=2))
        assert np.array_equal(wide.result()[0].flow, engine.flow_u8(CLIP, bound_px=20))
        assert np.array_equal(pixels.result()[0].flow, ORACLE)


def test_frames_too_large_are_refused_alone() -> None:
    """Who asks for too much is told; the queue is as it was."""
    queue = BatchQueue(ShimDevice(threads=32))
    huge = np.lib.stride_tricks.as_strided(
        np.zeros(1, np.uint8), (2, 1 << 15, 1 << 13), (0, 0, 0), writeable=False
    )
    with pytest.raises(ValueError, match="may have"):
        queue.solve([huge], np.uint8)
    assert np.array_equal(queue.solve([CLIP], np.float32)[0].flow, ORACLE)


def _one_after_the_other(queue: BatchQueue, begun: threading.Event) -> list[FlowField]:
    """Return the flow of two clips; the second one is asked for when the first has begun."""
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(queue.solve, [CLIP], np.float32)
        assert begun.wait(_SECONDS)
        second = pool.submit(queue.solve, [CLIP], np.float32)
        return [one.result()[0].flow for one in (first, second)]

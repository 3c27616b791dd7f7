"""Clips cut into batches: every pair once, in order, within the budget."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.engines.cuda import batches
from kinetics_assets.engines.cuda.batches import Segment, cut_batch
from kinetics_assets.engines.cuda.memory import MOST_FRAMES, ClipShape, clip_bytes

sizes = st.tuples(st.integers(2, 9), st.integers(1, 40), st.integers(1, 40))


@given(st.lists(sizes, min_size=1, max_size=6), st.integers(0, 2_000_000))
def test_every_pair_is_in_one_batch(clips: list[tuple[int, int, int]], budget: int) -> None:
    """Batches follow one another without gap; only a batch of one pair may exceed the budget."""
    frames = [np.zeros(shape, np.uint8) for shape in clips]
    waiting = [Segment(clip, 0, len(one) - 1) for clip, one in enumerate(frames)]
    seen = []
    while waiting:
        batch, waiting = cut_batch(waiting, frames, budget_bytes=budget)
        pairs = [(clip, start + at) for clip, start, count in batch for at in range(count)]
        need = sum(clip_bytes(ClipShape(count + 1, *clips[clip][1:])) for clip, _, count in batch)
        assert pairs
        assert need <= budget or len(pairs) == 1
        seen += pairs
    assert seen == [(clip, at) for clip, one in enumerate(frames) for at in range(len(one) - 1)]


def test_a_batch_ends_where_a_grid_does() -> None:
    """However much memory there is, a batch has no more pairs than are of use."""
    long = [np.zeros((5000, 1, 1), np.uint8), np.zeros((70_000, 1, 1), np.uint8)]
    waiting = [Segment(clip, 0, len(one) - 1) for clip, one in enumerate(long)]
    counts = []
    while waiting:
        batch, waiting = cut_batch(waiting, long, budget_bytes=1 << 60)
        counts.append(sum(segment.pairs for segment in batch))
        assert sum(segment.pairs + 1 for segment in batch) <= MOST_FRAMES
    assert max(counts) == batches.MOST_PAIRS
    assert sum(counts) == 4999 + 69_999

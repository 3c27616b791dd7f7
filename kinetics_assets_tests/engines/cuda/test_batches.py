"""Clips cut into batches: every pair once, in order, within the budget."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.engines.cuda import batches
from kinetics_assets.engines.cuda.batches import PendingClip, Segment, cut_batch, unsolved
from kinetics_assets.engines.cuda.memory import MOST_FRAMES, ClipShape, clip_bytes

sizes = st.tuples(st.integers(2, 9), st.integers(1, 40), st.integers(1, 40))
clips = st.tuples(sizes, st.sampled_from([np.uint8, np.float32]), st.sampled_from([1.0, 2.0]))


def _waiting(
    *found: tuple[tuple[int, int, int], type[np.generic], float],
) -> list[Segment]:
    """Return clips of those shapes, types and bounds, all to be done."""
    pending = []
    for shape, sample, bound_px in found:
        frames = np.zeros(shape, np.uint8)
        clip = PendingClip(frames, unsolved(frames, sample), bound_px, shape[0] - 1)
        pending.append(Segment(clip, 0, shape[0] - 1))
    return pending


@given(st.lists(clips, min_size=1, max_size=6), st.integers(0, 2_000_000), st.integers(0, 100_000))
def test_every_pair_is_in_one_batch(
    found: list[tuple[tuple[int, int, int], type[np.generic], float]], budget: int, host: int
) -> None:
    """Each clip's pairs follow one another without gap, in batches of one type and bound.

    Only a batch of one pair may exceed the budgets.
    """
    waiting = all_clips = _waiting(*found)
    seen: dict[int, list[int]] = {id(one.clip): [] for one in all_clips}
    while waiting:
        batch, waiting = cut_batch(waiting, budget_bytes=budget, host_bytes=host)
        need = sum(
            clip_bytes(ClipShape(pairs + 1, *one.frames.shape[1:])) for one, _, pairs in batch
        )
        held = 0
        for clip, start, count in batch:
            seen[id(clip)] += range(start, start + count)
            one_pair = clip.frames[0].size + 2 * clip.frames[0].size * clip.solved.flow.itemsize
            held += count * one_pair
        total = sum(one.pairs for one in batch)
        assert total
        assert (need <= budget and held <= host) or total == 1
        assert len({(one.clip.solved.flow.dtype, one.clip.bound_px) for one in batch}) == 1
    for one in all_clips:
        assert seen[id(one.clip)] == list(range(one.pairs))


def test_a_batch_ends_where_a_grid_does() -> None:
    """However much memory there is, a batch has no more pairs than are of use."""
    waiting = _waiting(((5000, 1, 1), np.uint8, 1.0), ((70_000, 1, 1), np.uint8, 1.0))
    counts = []
    while waiting:
        batch, waiting = cut_batch(waiting, budget_bytes=1 << 60)
        counts.append(sum(segment.pairs for segment in batch))
        assert sum(segment.pairs + 1 for segment in batch) <= MOST_FRAMES
    assert max(counts) == batches.MOST_PAIRS
    assert sum(counts) == 4999 + 69_999

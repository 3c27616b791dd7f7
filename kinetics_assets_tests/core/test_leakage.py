"""What two sets of clips share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.core.clips import Clip, ClipId
from kinetics_assets.core.leakage import leakage


def _clip(video: str, start: int, label: str = "x", *, seconds: int = 10) -> Clip:
    """Return a row of a video whose id is `video` eleven times over."""
    return Clip(ClipId(video * 11, start, start + seconds), label)


SOME_ROWS = st.lists(
    st.builds(
        _clip,
        st.sampled_from("AB"),
        st.integers(0, 12),
        st.sampled_from("xy"),
        seconds=st.integers(1, 9),
    ),
    max_size=8,
)


def test_each_way_of_sharing_is_told() -> None:
    """The same clip, a part of it, another part of its video under another label, nothing."""
    first = [_clip("A", 0), _clip("B", 0), _clip("C", 0), _clip("D", 0)]
    other = [_clip("A", 0), _clip("B", 6, "y"), _clip("C", 10), _clip("E", 0)]
    found = leakage(first, other)
    assert [(one.clip, one.other, one.shared_seconds, one.share) for one in found.shared] == [
        (first[0], other[0], 10, 1.0),
        (first[1], other[1], 4, 0.4),
        (first[2], other[2], 0, 0.0),
    ]
    assert found.counts() == {
        "rows": 4,
        "rows_other": 4,
        "videos": 3,
        "same_video": 3,
        "overlapping": 2,
        "same_span": 1,
        "other_label": 1,
        "seconds": 30,
        "shared_seconds": 14,
    }
    assert found.classes() == {"x": {"same_video": 3, "overlapping": 2}}


def test_several_clips_of_a_video_cover_no_second_twice() -> None:
    """The clip named is the one that has most; seconds are those that any of them has."""
    others = [_clip("A", 0, seconds=4), _clip("A", 2, seconds=5), _clip("A", 9, seconds=5)]
    (one,) = leakage([_clip("A", 0)], [*others, _clip("A", 2, "y", seconds=5)]).shared
    assert (one.shared_seconds, one.other) == (8, others[1])


@given(SOME_ROWS, SOME_ROWS)
def test_seconds_are_those_of_a_count_by_hand(first: list[Clip], other: list[Clip]) -> None:
    """Second by second, whatever the order of the rows and however often one is there."""
    found = leakage(first, other)
    videos = {clip.id.youtube_id for clip in other}
    assert [one.clip for one in found.shared] == sorted(
        clip for clip in first if clip.id.youtube_id in videos
    )
    for one in found.shared:
        there = {
            second
            for clip in other
            if clip.id.youtube_id == one.clip.id.youtube_id
            for second in range(clip.id.start_seconds, clip.id.end_seconds)
        }
        span = range(one.clip.id.start_seconds, one.clip.id.end_seconds)
        assert one.shared_seconds == len(there.intersection(span))
    back = leakage(other, first)
    assert bool(back.shared) == bool(found.shared)
    assert bool(back.overlapping) == bool(found.overlapping)


@given(SOME_ROWS, SOME_ROWS)
def test_neither_order_nor_repetition_matters(first: list[Clip], other: list[Clip]) -> None:
    """What is shared depends on which clips there are in the other set, and on nothing else."""
    assert leakage(first[::-1], [*other, *other][::-1]).shared == leakage(first, other).shared

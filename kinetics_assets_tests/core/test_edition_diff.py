"""The difference of two lists."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.core.annotations import class_row_hashes
from kinetics_assets.core.clips import Clip, ClipId
from kinetics_assets.core.edition_diff import Change, ClassChanges, diff_rows


def _clip(video: str, start: int, label: str, *, seconds: int = 10) -> Clip:
    """Return a row of a video whose id is `video` eleven times over."""
    return Clip(ClipId(video * 11, start, start + seconds), label)


SOME_ROWS = st.lists(
    st.builds(_clip, st.sampled_from("AB"), st.integers(0, 12), st.sampled_from("xyz")),
    max_size=8,
)


def test_each_kind_of_change_is_told() -> None:
    """One row of each kind, and one that stays, whatever its neighbours do."""
    stays, goes, comes = _clip("A", 0, "x"), _clip("B", 0, "x"), _clip("C", 0, "y")
    cut, cut_anew = _clip("D", 5, "x"), _clip("D", 7, "x")
    named, renamed = _clip("E", 5, "x"), _clip("E", 5, "z")
    diff = diff_rows([goes, stays, cut, named], [renamed, cut_anew, comes, stays])
    assert (diff.added, diff.removed) == ((comes,), (goes,))
    assert diff.retimed == (Change(cut, cut_anew),)
    assert diff.relabelled == (Change(named, renamed),)
    assert (diff.unchanged, diff.rows_before, diff.rows_after) == (1, 4, 4)
    assert diff.classes == {
        "x": ClassChanges(removed=1, retimed=1, relabelled_from=1),
        "y": ClassChanges(added=1),
        "z": ClassChanges(relabelled_to=1),
    }
    assert diff.counts() == {
        "added": 1,
        "removed": 1,
        "retimed": 1,
        "relabelled": 1,
        "unchanged": 1,
        "classes": 3,
    }


def test_another_order_of_the_same_rows_is_no_change() -> None:
    """Official lists are sorted by video, the crawler's by label; both are one list."""
    rows = [_clip(video, 0, label) for video in "ABC" for label in "xy"]
    diff = diff_rows(rows, reversed(rows))
    assert diff.is_empty
    assert (diff.unchanged, diff.classes) == (6, {})


def test_a_row_that_was_there_twice_is_counted_twice() -> None:
    """Lists are bags: of two equal rows one may go."""
    row = _clip("A", 0, "x")
    diff = diff_rows([row, row], [row])
    assert (diff.removed, diff.unchanged) == ((row,), 1)
    assert diff_rows([row], [row, row, row]).added == (row, row)


def test_clips_of_one_video_are_matched_with_what_they_share_most_time_with() -> None:
    """Of three clips one is dropped and two move by a second: the dropped one is told."""
    before = [_clip("A", start, "x") for start in (0, 20, 40)]
    after = [_clip("A", start, "x") for start in (21, 41)]
    diff = diff_rows(before, after)
    assert diff.removed == (before[0],)
    assert diff.retimed == (Change(before[1], after[0]), Change(before[2], after[1]))


def test_a_clip_far_from_all_others_goes_with_the_nearest() -> None:
    """Where no time is shared, distance decides."""
    before, after = [_clip("A", 100, "x")], [_clip("A", 0, "x"), _clip("A", 120, "x")]
    diff = diff_rows(before, after)
    assert diff.retimed == (Change(before[0], after[1]),)
    assert diff.added == (after[0],)


def test_another_label_is_told_before_another_time() -> None:
    """A clip that is there under a new label was renamed, though its old label has a new span."""
    before = [_clip("A", 0, "x")]
    after = [_clip("A", 0, "y"), _clip("A", 2, "x")]
    diff = diff_rows(before, after)
    assert diff.relabelled == (Change(before[0], after[0]),)
    assert diff.added == (after[1],)


def test_another_label_and_another_time_is_another_row() -> None:
    """Nothing says that these are the same, so nothing is claimed."""
    diff = diff_rows([_clip("A", 0, "x")], [_clip("A", 2, "y")])
    assert (len(diff.removed), len(diff.added)) == (1, 1)


def test_a_video_with_thousands_of_clips_is_matched_in_order_of_time() -> None:
    """A list that names one video over and over costs no more than its sorting."""
    before = [_clip("A", start, "x") for start in range(0, 40_000, 10)]
    after = [_clip("A", start + 3, "x") for start in range(0, 40_000, 10)]
    diff = diff_rows(before, reversed(after))
    assert diff.retimed == tuple(map(Change, before, after))


@given(SOME_ROWS, SOME_ROWS, st.randoms(use_true_random=False))
def test_the_difference_is_exact_and_knows_no_order(
    before: list[Clip], after: list[Clip], random: object
) -> None:
    """Applied to the older rows it gives the newer ones; shuffled lists give the same difference.

    The classes it names are those whose hash differs, no more and no fewer.
    """
    diff = diff_rows(before, after)
    rows = Counter(before)
    rows.subtract([*diff.removed, *(c.before for c in (*diff.retimed, *diff.relabelled))])
    assert min(rows.values(), default=0) >= 0
    rows.update([*diff.added, *(c.after for c in (*diff.retimed, *diff.relabelled))])
    assert +rows == Counter(after)
    assert (diff.rows_before, diff.rows_after) == (len(before), len(after))
    old, new = class_row_hashes(before), class_row_hashes(after)
    assert set(diff.classes) == {label for label in old | new if old.get(label) != new.get(label)}
    shuffled_before, shuffled_after = list(before), list(after)
    random.shuffle(shuffled_before)  # type: ignore[attr-defined] # hypothesis gives a Random
    random.shuffle(shuffled_after)  # type: ignore[attr-defined]
    assert diff_rows(shuffled_before, shuffled_after) == diff


@given(SOME_ROWS, SOME_ROWS)
def test_what_is_called_retimed_or_relabelled_is_so(before: list[Clip], after: list[Clip]) -> None:
    """And where both are possible nothing is left over that could have been matched."""
    diff = diff_rows(before, after)
    for change in diff.retimed:
        old, new = change.before, change.after
        assert (old.id.youtube_id, old.label) == (new.id.youtube_id, new.label)
        assert old.id != new.id
    for change in diff.relabelled:
        assert change.before.id == change.after.id
        assert change.before.label != change.after.label
    gone, come = diff.removed, diff.added
    assert not {clip.id for clip in gone} & {clip.id for clip in come}
    assert not {(c.id.youtube_id, c.label) for c in gone} & {
        (c.id.youtube_id, c.label) for c in come
    }


@pytest.mark.parametrize("empty", ["before", "after"])
def test_a_list_from_nothing_and_to_nothing(empty: str) -> None:
    """A split that got its first list gained all rows; one that lost its list lost all."""
    rows = [_clip("A", 0, "x"), _clip("B", 0, "y")]
    diff = diff_rows([], rows) if empty == "before" else diff_rows(rows, [])
    assert (diff.added if empty == "before" else diff.removed) == tuple(rows)
    assert list(diff.classes) == ["x", "y"]

"""Lists of clips to leave out: what they rule out, and that none is believed which is not whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinetics_assets.core.clips import Clip, ClipId
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.exclusions import (
    Exclusion,
    exclusion_name,
    exclusion_path,
    exclusion_text,
    parse_exclusion,
)
from kinetics_assets.core.leakage import leakage

CLIPS = st.builds(
    lambda video, start, length: ClipId(video * 11, start, start + length),
    st.sampled_from("AB-"),
    st.integers(0, 12),
    st.integers(1, 9),
)
SETS = st.lists(st.builds(Clip, CLIPS, st.sampled_from("xy")), max_size=8)


def parsed(text: str) -> frozenset[ClipId]:
    """Return the clips of a list."""
    return parse_exclusion(text.encode(), name="x", where="/w/x.csv").clips


@settings(max_examples=50)
@given(SETS, SETS)
def test_a_list_of_what_leaks_rules_just_that_out(first: list[Clip], other: list[Clip]) -> None:
    """Written and read back it has each shared clip once; without them nothing is shared."""
    found = leakage(first, other)
    data, rows = exclusion_text(found.shared, about={"of": "a\nb"}, other='odd, "name"\n')
    read = parse_exclusion(data, name="x", where="x")
    assert (len(read.clips), read.clips) == (rows, frozenset(one.clip.id for one in found.shared))
    for by_overlap in (False, True):
        excluded = Exclusion((read,), by_overlap=by_overlap)
        left = [clip for clip in first if not excluded.covers(clip.id)]
        assert leakage(left, other).counts()["same_video"] == 0
    assert excluded.covered(clip.id.name for clip in first) == {
        clip.id.name for clip in first if excluded.covers(clip.id)
    }


@settings(max_examples=50)
@given(SETS, SETS)
def test_the_other_set_as_it_is_rules_out_by_time(first: list[Clip], other: list[Clip]) -> None:
    """By overlap, an annotation list takes out the clips that share time with it and no others."""
    header = "label,youtube_id,time_start,time_end,split"
    lines = [
        f"{one.label},{one.id.youtube_id},{one.id.start_seconds},{one.id.end_seconds},val"
        for one in other
    ]
    read = parse_exclusion("\n".join([header, *lines]).encode(), name="x", where="x")
    found = leakage(first, other)
    excluded = Exclusion((read,), by_overlap=True)
    covered = {clip for clip in first if excluded.covers(clip.id)}
    assert covered == {one.clip for one in found.overlapping}
    excluded = Exclusion((read,))
    assert {c for c in first if excluded.covers(c.id)} == {one.clip for one in found.shared}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", None, "the file is empty"),
        ("# nothing but words\n", None, "the file is empty"),
        ("AAAAAAAAAAA,1,11\n", 1, "no header"),
        ("# one\nyoutube_id,time_start,time_end\nAAAAAAAAAAA,1,11\nAAAAAAAA", 4, "1 fields"),
        ("youtube_id,time_start,time_end\n\nAAAAAAAAAA,1,11\n", 3, "no YouTube id"),
        ("youtube_id,time_start,time_end\nAAAAAAAAAAA,11,1\n", 2, "not after its start"),
        ("# a\n# rows: 2\nyoutube_id,time_start,time_end\nAAAAAAAAAAA,1,11\n", 2, "2 rows"),
    ],
    ids=["empty", "comments", "no-header", "cut", "id", "times", "cut-between-rows"],
)
def test_a_list_that_is_not_whole_is_refused(text: str, line: int | None, says: str) -> None:
    """File, line and remedy are told, in lines as the file counts them."""
    place = f", line {line}" if line else ""
    with pytest.raises(AnnotationError, match=rf"/w/x\.csv{place}: .*{says}") as caught:
        parsed(text)
    assert caught.value.remedy
    assert caught.value.line == line


def test_no_clip_is_a_list_too() -> None:
    """Two sets that share nothing give a list without rows, which rules nothing out."""
    data, rows = exclusion_text((), about={}, other="b")
    assert (rows, parsed(data.decode())) == (0, frozenset())
    excluded = Exclusion((parse_exclusion(data, name="x", where="x"),))
    assert excluded
    assert not excluded.covers(ClipId("A" * 11, 0, 1))


def test_lists_are_paths_or_splits(tmp_path: Path) -> None:
    """DATASET/SPLIT is its annotation list; all else a path, of which no machine's part is told."""
    there = tmp_path / "kinetics400" / "annotations" / "kinetics_val.csv"
    assert exclusion_path(tmp_path, "kinetics400/val") == there
    assert exclusion_path(tmp_path, "kinetics400/x.csv") == tmp_path / "kinetics400" / "x.csv"
    assert exclusion_path(tmp_path, "/elsewhere/x.csv") == Path("/elsewhere/x.csv")
    assert exclusion_name("/elsewhere/x.csv") == "x.csv"
    assert exclusion_name("mine/x.csv") == "mine/x.csv"

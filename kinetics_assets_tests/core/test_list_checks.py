"""Whether a list is whole, and about as long as known ones."""

from __future__ import annotations

import pytest

from kinetics_assets.core.annotations import parse_list
from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import Split
from kinetics_assets.core.list_checks import cut_short, remarks
from kinetics_assets.core.settings import AnnotationSettings

HEADER = "label,youtube_id,time_start,time_end,split\n"


def _list(rows: int, *, first: int = 0) -> bytes:
    """Return a list of `rows` rows."""
    lines = [f"zumba,{number:011},1,11,train\n" for number in range(first, first + rows)]
    return (HEADER + "".join(lines)).encode()


@pytest.mark.parametrize(
    ("data", "before", "says"),
    [
        (_list(100)[:-12], None, "middle of line 101"),
        (_list(100)[:-12], _list(100), "middle of line 101"),
        (_list(60), _list(100), "cut off after 61 of 101 lines"),
        (_list(49, first=500), _list(100), "49 rows where the list of before has 100"),
    ],
    ids=["within-a-row", "within-a-row-again", "between-rows", "mostly-gone"],
)
def test_half_a_list_is_told_from_a_whole_one(data: bytes, before: bytes | None, says: str) -> None:
    """Cut within a row, cut between rows, and another list that lost most of its rows."""
    assert says in cut_short(data, before=before, min_share=0.5)


@pytest.mark.parametrize(
    ("data", "before"),
    [
        (_list(100), None),
        (_list(100), _list(100)),
        (_list(100)[:-1], None),
        (_list(99), _list(100)),
        (_list(80, first=20), _list(100)),
        (_list(300), _list(100)),
        (_list(1), _list(2)),
    ],
    ids=["first", "same", "no-end", "last-gone", "shrunk", "grown", "tiny"],
)
def test_a_list_that_loses_rows_as_lists_do_is_taken(data: bytes, before: bytes | None) -> None:
    """The official lists lose rows for good: that is a new edition, no accident."""
    assert cut_short(data, before=before, min_share=0.5) == ""


def test_half_of_a_longer_list_is_not_taken_for_a_shorter_one() -> None:
    """By default: half of the 19,906 rows of Kinetics-400 val is more than half of 18,035."""
    default = AnnotationSettings().min_share
    assert "annotations.min_share is" in cut_short(
        _list(9_953, first=50_000), before=_list(18_035), min_share=default
    )
    assert cut_short(_list(18_035), before=_list(19_906, first=9), min_share=default) == ""


def test_any_list_is_taken_where_the_setting_says_so() -> None:
    """With a share of 0 a list may shrink to a single row."""
    assert cut_short(_list(1, first=900), before=_list(100), min_share=0) == ""


def test_counts_that_nobody_knows_are_remarked_on() -> None:
    """Too few rows, classes without any, and many rejected lines are each said."""
    parsed = parse_list(
        (HEADER + "abseiling,AAAAAAAAAAA,1,11,val\nnonsense\n").encode(),
        dataset="kinetics400",
        split=Split.VAL,
        name="val.csv",
    )
    rows, classes, rejected = remarks(parsed, dataset="kinetics400", split=Split.VAL)
    assert "2 rows; known editions of kinetics400 val have 19,906 and 18,035" in rows
    assert "399 of 400 classes" in classes
    assert "line 3" in rejected


def test_a_list_with_every_class_and_no_known_count_is_fine() -> None:
    """The demo's lists, and Kinetics-700 of 2019, were never counted: nothing to say."""
    lines = [f"{name},AAAAAAAAAAA,1,11,val\n" for name in class_names("demo")]
    data = (HEADER + "".join(lines)).encode()
    parsed = parse_list(data, dataset="demo", split=Split.VAL, name="val.csv")
    assert remarks(parsed, dataset="demo", split=Split.VAL) == ()
    unlabelled = b"youtube_id,time_start,time_end,split\nAAAAAAAAAAA,1,11,test\n"
    parsed = parse_list(unlabelled, dataset="demo", split=Split.TEST, name="test.csv")
    assert remarks(parsed, dataset="demo", split=Split.TEST) == ()

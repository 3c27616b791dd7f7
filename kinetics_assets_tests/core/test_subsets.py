"""Subsets of lists by ids."""

from __future__ import annotations

import pytest

from kinetics_assets.core.annotations import parse_list
from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.subsets import Subset, parse_subset, rows_in

LIST = (
    b"label,youtube_id,time_start,time_end,split\r\n"
    b"zumba,AAAAAAAAAAA,1,11,train\r\n"
    b"zumba,AAAAAAAAAAA,20,30,train\r\n"
    b"broken\r\n"
    b'"zumba",-BBBBBBBBBB,1,11,train\r\n'
    b"zumba,CCCCCCCCCCC,1,11,train"
)


@pytest.mark.parametrize(
    ("text", "videos", "clips"),
    [
        ("AAAAAAAAAAA\n-BBBBBBBBBB\n", {"AAAAAAAAAAA", "-BBBBBBBBBB"}, set()),
        ("youtube_id,label\nAAAAAAAAAAA,zumba\n", {"AAAAAAAAAAA"}, set()),
        ("# mine\n\n-BBBBBBBBBB_000001_000011\n", set(), {ClipId("-BBBBBBBBBB", 1, 11)}),
        ("train/zumba/AAAAAAAAAAA.mp4 3\n", {"AAAAAAAAAAA"}, set()),
        (
            "zumba/AAAAAAAAAAA_000001_000011.mp4 3\r\nAAAAAAAAAAA\r\n",
            {"AAAAAAAAAAA"},
            {ClipId("AAAAAAAAAAA", 1, 11)},
        ),
    ],
)
def test_ids_and_clip_names_are_read_as_people_write_them(
    text: str, videos: set[str], clips: set[ClipId]
) -> None:
    """Bare, as file names, in folders, with an index or a label behind them."""
    subset = parse_subset(text.encode(), name="mini.txt")
    assert (subset.videos, subset.clips) == (videos, clips)


@pytest.mark.parametrize(
    ("text", "says"), [("AAAAAAAAAAA\nzumba\n", "line 2"), ("# nothing\n", "names no video")]
)
def test_what_is_no_id_is_an_error_that_names_its_line(text: str, says: str) -> None:
    """A subset that is another kind of file does not become an empty dataset."""
    with pytest.raises(AnnotationError, match=says) as caught:
        parse_subset(text.encode(), name="mini.txt")
    assert caught.value.remedy


def test_the_rows_of_a_subset_are_untouched_lines() -> None:
    """The header, then the named rows as they were; what is not found is told."""
    subset = Subset(frozenset({"-BBBBBBBBBB", "DDDDDDDDDDD"}), frozenset({ClipId("A" * 11, 1, 11)}))
    parsed = parse_list(LIST, dataset="demo", split=Split.TRAIN, name="list")
    data = rows_in(LIST, parsed, subset)
    lines = LIST.split(b"\r\n")
    assert data == b"\n".join([lines[0], lines[1], lines[4], b""])
    kept = parse_list(data, dataset="demo", split=Split.TRAIN, name="list")
    assert subset.missing({row.clip.id for row in kept.rows}) == ("DDDDDDDDDDD",)

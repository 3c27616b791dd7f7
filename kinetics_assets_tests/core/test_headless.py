"""Lists without a header."""

from __future__ import annotations

import pytest

from kinetics_assets.core.annotations import parse_list
from kinetics_assets.core.clips import Clip, ClipId, Split
from kinetics_assets.core.headless import with_header

CLIP = Clip(ClipId("-AAAAAAAAAA", 4, 14), "punching person (boxing)")
LABEL, NAME = CLIP.label, CLIP.id.name


@pytest.mark.parametrize(
    "line",
    [
        f"{LABEL},-AAAAAAAAAA,4,14,train",
        f'"{LABEL}",-AAAAAAAAAA,4,14',
        f"-AAAAAAAAAA,4.0,14.0,{LABEL}",
        f"{LABEL}\t-AAAAAAAAAA\t4\t14\ttrain",
        f"something,{LABEL},-AAAAAAAAAA,4,14",
        f"{LABEL}/{NAME}.mp4",
        f"train/{LABEL.replace(' ', '_')}/{NAME}.mp4 17",
        f"{LABEL.replace(' ', '_')}/{NAME}",
        f"{NAME}.mp4 {LABEL}",
        f"train/{NAME},{LABEL.replace(' ', '_')}",
        f"{LABEL} -AAAAAAAAAA 4 14 train",
        f"-AAAAAAAAAA 4 14 {LABEL}",
    ],
    ids=[
        *("csv", "quoted", "other-order", "tabs", "more", "path", "path-and-index", "no-ending"),
        *("class-behind", "class-behind-comma", "blanks", "blanks-class-behind"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_row_is_told_by_what_is_in_it(line: str, end: str) -> None:
    """Whichever way a row is written, it becomes the row that it is; a bad line is rejected."""
    data = with_header(f"{line}\nnonsense\n{line}{end}".encode(), dataset="demo")
    assert data is not None
    parsed = parse_list(data, dataset="demo", split=Split.TRAIN, name="train.txt")
    assert [row.clip for row in parsed.rows] == [CLIP]
    assert [line.line for line in parsed.rejected] == [3, 4]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"label,youtube_id,time_start,time_end,split\nzumba,AAAAAAAAAAA,1,11,train\n",
        b"youtube_id,time_start,time_end,split\nAAAAAAAAAAA,1,11,test\n",
        b"video-id,start-time,end-time,label-name\nAAAAAAAAAAA,1,11,zumba\n",
        b"AAAAAAAAAAA\nBBBBBBBBBBB\n",
        b"no_class_of_ours/AAAAAAAAAAA_000001_000011.mp4\n",
        b'{"AAAAAAAAAAA": {}}',
        b"AAAAAAAAAAA_000001_000011.mp4 17\n",
    ],
    ids=["empty", "official", "unlabelled", "old", "only-ids", "other-class", "json", "index"],
)
def test_what_has_a_header_or_no_known_form_is_left_alone(data: bytes) -> None:
    """Nothing is guessed where nothing tells."""
    assert with_header(data, dataset="demo") is None


def test_tabs_between_named_columns_become_commas() -> None:
    """A list with a header and tabs is read as one with commas."""
    data = b"youtube_id\tlabel\ttime_start\ttime_end\n-AAAAAAAAAA\tzumba\t4\t14\n"
    found = with_header(data, dataset="demo")
    assert found is not None
    parsed = parse_list(found, dataset="demo", split=Split.TRAIN, name="train.txt")
    assert [row.clip for row in parsed.rows] == [Clip(CLIP.id, "zumba")]

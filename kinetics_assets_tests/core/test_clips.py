"""Clip names and the fields of a list: what is accepted, and that nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.core.clips import (
    MAX_SECONDS,
    Clip,
    ClipId,
    Split,
    parse_clip_id,
    parse_clip_name,
    parse_seconds,
    parse_split,
    parse_youtube_id,
)
from kinetics_assets.core.errors import UnknownSplit

YOUTUBE_IDS = st.from_regex(r"[A-Za-z0-9_-]{11}", fullmatch=True)
CLIPS = st.builds(
    lambda youtube_id, ends: ClipId(youtube_id, min(ends), max(ends)),
    YOUTUBE_IDS,
    st.lists(st.integers(0, MAX_SECONDS), min_size=2, max_size=2, unique=True),
)


@given(CLIPS)
def test_a_clip_name_reads_back(clip: ClipId) -> None:
    """Every clip has a file name that stands for it and for no other clip."""
    assert parse_clip_name(clip.name) == clip


def test_a_clip_name_is_that_of_mmaction2() -> None:
    """Seconds are six digits with zeros in front; an id may begin with a hyphen."""
    clip = ClipId("-0IErS_cisg", 7, 17)
    assert clip.name == "-0IErS_cisg_000007_000017"
    assert clip.duration_seconds == 10


@given(st.text(max_size=40))
def test_what_is_no_clip_name_is_none(text: str) -> None:
    """A name either reads back to itself or is no clip name; nothing in between."""
    clip = parse_clip_name(text)
    assert clip is None or clip.name == text


@pytest.mark.parametrize(
    "name",
    [
        "abcdefghijk_000010_000010",
        "abcdefghijk_000011_000010",
        "abcdefghijk_000001_000010.mp4",
        "abcdefghijk_1_10",
        "abcdefghij_000001_000010",
        "abcdefghijk_00000\u0661_000010",
        "../abcdefgh_000001_000010",
        "abcdefghijk_000001_000010\n",
    ],
)
def test_a_malformed_clip_name_is_refused(name: str) -> None:
    """Empty spans, suffixes, short ids, other digits, paths and line ends are no clip names."""
    assert parse_clip_name(name) is None


@given(st.text(max_size=20))
def test_a_youtube_id_is_safe_in_a_path(text: str) -> None:
    """What passes as an id has eleven characters and none that a path or a URL gives a meaning."""
    try:
        accepted = parse_youtube_id(text)
    except ValueError:
        return
    assert len(accepted) == 11
    assert accepted.isascii()
    assert not set(accepted) & set("/\\.%?&#\0 \n")


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("10", 10), ("10.0", 10), ("10.9", 10), ("000123", 123)]
)
def test_seconds_drop_their_fraction(text: str, seconds: int) -> None:
    """A fraction of a second is cut off, as MMAction2's file names do."""
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "-1", "1e3", "nan", "inf", " 1", "1 ", "1_0", "+1", "1000000", "\u0661", "0x10", "1."],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """Signs, exponents, spaces, other digits and times beyond six digits are refused."""
    with pytest.raises(ValueError, match="is no time in seconds"):
        parse_seconds(text)


def test_a_clip_without_length_is_refused() -> None:
    """A clip ends after it starts, counted in whole seconds."""
    with pytest.raises(ValueError, match="not after its start"):
        parse_clip_id("abcdefghijk", "10.2", "10.8")


def test_a_bad_id_is_quoted_short() -> None:
    """An endless field of a hostile list does not end up in the message."""
    with pytest.raises(ValueError, match="is no YouTube id") as caught:
        parse_clip_id("x" * 100_000, "0", "10")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("train", Split.TRAIN),
        ("val", Split.VAL),
        ("validate", Split.VAL),
        ("validation", Split.VAL),
        ("test", Split.TEST),
        ("holdout", Split.TEST),
    ],
)
def test_published_split_spellings_are_known(text: str, split: Split) -> None:
    """Every spelling that published lists use names its split."""
    assert parse_split(text) is split


def test_an_unknown_split_lists_the_known_ones() -> None:
    """The message of a wrong split is enough to correct it."""
    with pytest.raises(UnknownSplit, match="train, val, test"):
        parse_split("training")


def test_clips_sort_by_id_then_time_then_label() -> None:
    """Sorting clips, on which list order and data versions rest, is by id, start, end, label."""
    clips = [
        Clip(ClipId("bbbbbbbbbbb", 0, 1), "a"),
        Clip(ClipId("aaaaaaaaaaa", 5, 6), "a"),
        Clip(ClipId("aaaaaaaaaaa", 0, 9), "b"),
        Clip(ClipId("aaaaaaaaaaa", 0, 9), "a"),
    ]
    assert sorted(clips) == clips[::-1]

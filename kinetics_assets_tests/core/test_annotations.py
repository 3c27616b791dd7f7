"""Reading annotation lists: every line is a row or a rejected line."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinetics_assets.core.annotations import (
    Dialect,
    ParsedList,
    class_row_hashes,
    edition_sha256,
    hash_of_names,
    parse_list,
    split_list,
)
from kinetics_assets.core.classes import class_indices, class_names, folder_name
from kinetics_assets.core.clips import Clip, ClipId, Split
from kinetics_assets.core.errors import AnnotationError

OFFICIAL = b"label,youtube_id,time_start,time_end,split\n"
ROW = b"abseiling,0wR5jVB-WPk,417,427,val"
QUOTED = b"""split,"time_end",time_start,"youtube_id",label
val,114,104,--nQbRBEz2s,\"\"\"air drumming\"\"\"
"""
REAL = Path(__file__).parents[2].parent / "shared" / "data"
needs_real_lists = pytest.mark.skipif(
    not REAL.is_dir(), reason="the real lists are not beside this checkout (../shared/data)"
)


def _parse(data: bytes, *, split: Split = Split.VAL, dataset: str = "kinetics400") -> ParsedList:
    """Return the parsed list `data`."""
    return parse_list(data, dataset=dataset, split=split, name="list.csv")


@cache
def _real(name: str, dataset: str) -> ParsedList:
    """Return a parsed real list."""
    data = (REAL / name).read_bytes()
    return parse_list(data, dataset=dataset, split=Split.VAL, name=name)


def _clips(parsed: ParsedList) -> list[tuple[str, str]]:
    """Return (clip name, label) of each row."""
    return [(row.clip.id.name, row.clip.label) for row in parsed.rows]


def _only_reason(parsed: ParsedList) -> str:
    """Return the reason of the one rejected line of a list without rows."""
    assert not parsed.rows
    (rejected,) = parsed.rejected
    return rejected.reason


@pytest.mark.parametrize(
    ("data", "dialect", "is_cc"),
    [
        (OFFICIAL + b"air drumming,--nQbRBEz2s,104,114,validate\n", Dialect.OFFICIAL, None),
        (
            OFFICIAL.replace(b"\n", b",is_cc\n") + b'"air drumming",--nQbRBEz2s,104,114,val,1\n',
            Dialect.CRAWLER,
            True,
        ),
        (
            b"video-id,start-time,end-time,label-name\n--nQbRBEz2s,104.0,114.0,air drumming\n",
            Dialect.OLD,
            None,
        ),
        (
            QUOTED,
            Dialect.OFFICIAL,
            None,
        ),
    ],
    ids=["official", "crawler", "old", "other-order"],
)
def test_every_dialect_gives_the_same_row(
    data: bytes, *, dialect: Dialect, is_cc: bool | None
) -> None:
    """Columns are found by name; quotes, float times and column order make no difference."""
    parsed = _parse(data)
    assert _clips(parsed) == [("--nQbRBEz2s_000104_000114", "air drumming")]
    assert (parsed.dialect, parsed.rows[0].is_cc, parsed.rows[0].line) == (dialect, is_cc, 2)
    assert not parsed.rejected


def test_a_test_list_may_have_no_labels() -> None:
    """The label-less test list, and empty or NaN labels of a test list, give unlabelled rows."""
    bare = _parse(
        b"youtube_id,time_start,time_end,split\n--6bJUbfpnQ,17,27,test\n", split=Split.TEST
    )
    assert _clips(bare) == [("--6bJUbfpnQ_000017_000027", "")]
    assert bare.dialect is Dialect.UNLABELLED
    empty = _parse(
        OFFICIAL + b",--6bJUbfpnQ,17,27,test\nNaN,--8YXc8iCt8,2,12,test\n", split=Split.TEST
    )
    assert [label for _, label in _clips(empty)] == ["", ""]


def test_a_training_list_needs_labels() -> None:
    """Without a label column the list is refused, with an empty label the line is."""
    with pytest.raises(AnnotationError, match=r"list\.csv, line 1: .*label column"):
        _parse(
            b"youtube_id,time_start,time_end,split\n--6bJUbfpnQ,17,27,train\n", split=Split.TRAIN
        )
    assert "empty" in _only_reason(_parse(OFFICIAL + b",--6bJUbfpnQ,17,27,val\n"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"abseiling,0wR5jVB-WPk,417,427", "4 fields where the header has 5"),
        (b"abseiling,0wR5jVB-WPk,417,427,val,0", "6 fields where the header has 5"),
        (b'"abseiling,0wR5jVB-WPk,417,427,val', "bad quoting"),
        (b'"abseiling"x,0wR5jVB-WPk,417,427,val', "bad quoting"),
        (b'"' + b"x" * 200_000 + b'",0wR5jVB-WPk,417,427,val', "bad quoting"),
        (b"x" * 200_000 + b",0wR5jVB-WPk,417,427,val", "has no class"),
        (b"abseil\0ing,0wR5jVB-WPk,417,427,val", "NUL"),
        (b"caf\xe9,0wR5jVB-WPk,417,427,val", "'caf\xe9'"),
        (b"Abseiling,0wR5jVB-WPk,417,427,val", "Did you mean 'abseiling'?"),
        (b"../../x,0wR5jVB-WPk,417,427,val", "has no class"),
        (b"abseiling,short,417,427,val", "no YouTube id"),
        (b"abseiling,0wR5jVB-WP/,417,427,val", "no YouTube id"),
        (b"abseiling,0wR5jVB-WPk,1_0,427,val", "no time"),
        ("abseiling,0wR5jVB-WPk,\uff11\uff12,427,val".encode(), "no time"),
        (b"abseiling,0wR5jVB-WPk,nan,427,val", "no time"),
        (b"abseiling,0wR5jVB-WPk,-1,427,val", "no time"),
        (b"abseiling,0wR5jVB-WPk,1,1000000000,val", "no time"),
        (b"abseiling,0wR5jVB-WPk,427,427,val", "not after its start"),
        (b"abseiling,0wR5jVB-WPk,417,427,train", "a row of train in the val list"),
        (b"abseiling,0wR5jVB-WPk,417,427,=cmd()", "no split"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_a_bad_line_is_rejected_alone(line: bytes, reason: str) -> None:
    """A bad line is kept with its number, its digest and a reason; the lines around it are rows."""
    before, after = b"abseiling,AAAAAAAAAAA,1,11,val\n", b"\nabseiling,BBBBBBBBBBB,1,11,val\n"
    parsed = _parse(OFFICIAL + before + line + after)
    assert [row.line for row in parsed.rows] == [2, 4]
    (rejected,) = parsed.rejected
    assert reason in rejected.reason
    assert len(rejected.reason) < 500
    assert (rejected.line, rejected.raw_sha256) == (3, hashlib.sha256(line).hexdigest())


def test_a_repeated_row_names_the_first_and_a_second_label_stays() -> None:
    """An exact duplicate is rejected; the same clip under another label is a row of its own."""
    other = ROW.replace(b"abseiling", b"zumba")
    parsed = _parse(OFFICIAL + b"\n".join([ROW, other, ROW]))
    assert [row.clip.label for row in parsed.rows] == ["abseiling", "zumba"]
    assert parsed.rejected[0].line == 4
    assert "line 2" in parsed.rejected[0].reason


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_line_ends_and_a_byte_order_mark_make_no_difference(end: bytes) -> None:
    """BOM, any line end, mixed with others, and blank lines change nothing but line numbers."""
    data = b"\xef\xbb\xbf" + end.join(
        [OFFICIAL.strip(), ROW, b"", b"zumba,AAAAAAAAAAA,1,11,val\r\n"]
    )
    parsed = _parse(data)
    assert [(row.clip.label, row.line) for row in parsed.rows] == [("abseiling", 2), ("zumba", 4)]
    assert not parsed.rejected


def test_a_list_with_a_header_only_has_no_records() -> None:
    """A header alone is read as a list of nothing."""
    assert _parse(OFFICIAL).records == 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\n\r\n  \n", "empty"),
        (ROW, "lacks youtube_id"),
        (b"label;youtube_id;time_start\n", "lacks youtube_id, time_start, time_end"),
        (b"youtube_id,video_id,time_start,time_end\n", "two columns for youtube_id"),
        (b"<!DOCTYPE html>\n", "web page"),
        (b'{"0wR5jVB-WPk": {}}', "JSON"),
        (b"\x1f\x8b\x08\0", "gzip"),
        ("label,youtube_id".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_without_a_header_is_refused_with_a_remedy(data: bytes, says: str) -> None:
    """The error names the file and the line, says what is wrong and what a header looks like."""
    with pytest.raises(AnnotationError, match=says) as caught:
        _parse(data)
    assert caught.value.message.startswith("list.csv, line") or not data.strip()
    assert "label,youtube_id,time_start,time_end,split" in caught.value.remedy


def test_many_unknown_names_do_not_slow_the_reading_down() -> None:
    """Only the first hundred unknown class names are looked up for a near one."""
    lines = b"".join(b"abseilin%d,0wR5jVB-WPk,%d,427,val\n" % (n, n % 400) for n in range(3000))
    parsed = _parse(OFFICIAL + lines)
    assert len(parsed.rejected) == 3000
    assert "Did you mean" in parsed.rejected[0].reason
    assert "Did you mean" not in parsed.rejected[-1].reason


_FIELD = st.one_of(
    st.sampled_from(["abseiling", "zumba", "0wR5jVB-WPk", "1", "11", "val", "validate", "", '"']),
    st.text(max_size=12),
)
_LINE = st.one_of(
    st.lists(_FIELD, max_size=7).map(lambda fields: ",".join(fields).encode()),
    st.binary(max_size=40),
)


@settings(max_examples=80, deadline=None)
@given(lines=st.lists(_LINE, max_size=12), end=st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_every_line_is_a_row_or_a_rejected_line(lines: list[bytes], end: bytes) -> None:
    """Whatever the lines are: accepted + rejected = lines that are not blank, by number."""
    parsed = _parse(OFFICIAL + end.join(lines))
    text = end.join(lines).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    numbers = {number for number, line in enumerate(text, start=2) if line.strip()}
    accepted = [row.line for row in parsed.rows]
    rejected = [line.line for line in parsed.rejected]
    assert sorted(accepted + rejected) == sorted(numbers)
    for row in parsed.rows:
        assert row.clip.label in class_indices("kinetics400")


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Bytes of any kind give a list or an `AnnotationError`, nothing else."""
    with suppress(AnnotationError):
        assert _parse(data).records >= 0


def test_a_mixed_list_is_parted_without_losing_a_line() -> None:
    """Each line is in exactly one part, bytes untouched; a line of no split goes to the first."""
    lines = [b"zumba,AAAAAAAAAAA,1,11,test", b"junk", ROW, ROW.replace(b"val", b"train")]
    parts = split_list(OFFICIAL + b"\r\n".join(lines), name="all.csv")
    assert list(parts) == [Split.TRAIN, Split.VAL, Split.TEST]
    got = [line for part in parts.values() for line in part.splitlines()[1:]]
    assert sorted(got) == sorted(lines)
    assert b"junk" in parts[Split.TRAIN]
    assert all(part.startswith(OFFICIAL) for part in parts.values())


def test_a_list_of_one_split_is_not_rewritten() -> None:
    """Its bytes, and so its edition, stay those of the file."""
    data = OFFICIAL + b"junk\r\n" + ROW
    assert split_list(data, name="all.csv") == {Split.VAL: data}


def test_a_list_that_names_no_split_is_refused() -> None:
    """Without a split column the message says how to name the file."""
    with pytest.raises(AnnotationError, match=r"train\.csv"):
        split_list(b"label,youtube_id,time_start,time_end\n", name="all.csv")


def test_the_hash_of_a_class_follows_its_rows_only() -> None:
    """Order does not matter; a changed time changes the class's hash and no other's."""
    one = Clip(ClipId("AAAAAAAAAAA", 1, 11), "zumba")
    two = Clip(ClipId("BBBBBBBBBBB", 1, 11), "zumba")
    moved = Clip(ClipId("BBBBBBBBBBB", 2, 12), "zumba")
    other = Clip(ClipId("AAAAAAAAAAA", 1, 11), "abseiling")
    hashes = class_row_hashes([one, two, other])
    assert hashes == class_row_hashes([other, two, one])
    changed = class_row_hashes([one, moved, other])
    assert changed["zumba"] != hashes["zumba"]
    assert changed["abseiling"] == hashes["abseiling"]
    assert hash_of_names([]) == hashlib.sha256(b"").hexdigest()


def test_an_edition_is_the_digest_of_the_bytes() -> None:
    """The edition is the list's sha256."""
    assert edition_sha256(b"x") == hashlib.sha256(b"x").hexdigest()


@needs_real_lists
@pytest.mark.parametrize(
    ("name", "dataset", "rows", "dialect", "classes"),
    [
        ("kinetics-400_val.csv", "kinetics400", 19_906, Dialect.CRAWLER, 400),
        ("kinetics400_validate_current.csv", "kinetics400", 18_035, Dialect.OFFICIAL, 400),
        ("kinetics-600_val.csv", "kinetics600", 30_000, Dialect.OFFICIAL, 600),
    ],
)
def test_no_row_of_the_real_lists_is_lost(
    name: str, dataset: str, rows: int, dialect: Dialect, classes: int
) -> None:
    """Every line of three published lists is a row, in as many classes as the dataset has."""
    parsed = _real(name, dataset)
    assert (len(parsed.rows), parsed.rejected, parsed.dialect) == (rows, (), dialect)
    assert len(parsed.rows) == len((REAL / name).read_bytes().splitlines()) - 1
    assert len({row.clip.label for row in parsed.rows}) == classes
    assert len({row.clip for row in parsed.rows}) == rows


@needs_real_lists
def test_videos_of_two_classes_stay_two_rows() -> None:
    """Six videos of the K600 list feed two classes each; none overwrites the other."""
    parsed = _real("kinetics-600_val.csv", "kinetics600")
    labels: dict[str, set[str]] = {}
    for row in parsed.rows:
        labels.setdefault(row.clip.id.youtube_id, set()).add(row.clip.label)
    assert [len(of_video) for of_video in labels.values() if len(of_video) > 1] == [2] * 6


@needs_real_lists
def test_the_licence_column_of_the_real_list_is_read() -> None:
    """519 rows of the original K400 list are under Creative Commons."""
    parsed = _real("kinetics-400_val.csv", "kinetics400")
    assert sum(row.is_cc is True for row in parsed.rows) == 519
    assert sum(row.is_cc is None for row in parsed.rows) == 0


@needs_real_lists
@pytest.mark.parametrize("number", [400, 600, 700])
def test_class_indices_are_those_of_the_label_maps(number: int) -> None:
    """The shipped index of each class is its line in the field's label map."""
    names = (REAL / f"label_map_k{number}.txt").read_text().splitlines()
    assert list(class_names(f"kinetics{number}")) == names


@needs_real_lists
def test_a_list_of_three_classes_keeps_the_full_indices() -> None:
    """Leaving classes out of a list renumbers none of those that stay."""
    name = "kinetics-400_val.csv"
    kept = ("abseiling", "massaging person's head", "zumba")
    lines = (REAL / name).read_text().splitlines(keepends=True)
    data = "".join(
        line
        for number, line in enumerate(lines)
        if not number or line.replace('"', "").startswith(kept)
    )
    parsed = parse_list(data.encode(), dataset="kinetics400", split=Split.VAL, name=name)
    indices = class_indices("kinetics400")
    names = (REAL / "label_map_k400.txt").read_text().splitlines()
    assert {row.clip.label: indices[row.clip.label] for row in parsed.rows} == {
        label: names.index(label) for label in kept
    }
    assert folder_name("massaging person's head") == "massaging_person's_head"

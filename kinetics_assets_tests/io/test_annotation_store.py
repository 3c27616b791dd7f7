"""Editions on the disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from kinetics_assets.core.annotations import edition_sha256, parse_list
from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import Clip, ClipId, Split
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.layout import Layout
from kinetics_assets.io.annotation_store import (
    class_versions,
    load_class_rows,
    load_rows,
    read_current,
    set_current,
    splits_present,
    store_list,
)

HEADER = b"label,youtube_id,time_start,time_end,split\n"
LIST = (
    HEADER
    + b"zumba,BBBBBBBBBBB,1,11,val\nabseiling,-AAAAAAAAAA,5,15,val\nzumba,AAAAAAAAAAA,9,19,val\n"
    + b"broken\n"
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Paths of a demo dataset without anything in it."""
    return Layout(tmp_path, "demo", "256p_dense_cache")


def _store(layout: Layout, data: bytes = LIST, split: Split = Split.VAL) -> None:
    """Make `data` the current list of `split`."""
    parsed = parse_list(data, dataset="demo", split=split, name="list.csv")
    current = read_current(layout) if splits_present(layout) else {}
    info = store_list(layout, data, parsed, name="list.csv", source_address="/a/list.csv")
    set_current(layout, current | {split: info})


def test_a_class_comes_back_sorted_with_its_edition(layout: Layout) -> None:
    """Rows of a class, and only they, with the list's sha256; a class without rows is empty."""
    _store(layout)
    got = load_class_rows(layout, Split.VAL, "zumba")
    assert got.edition == edition_sha256(LIST)
    assert got.clips == (
        Clip(ClipId("AAAAAAAAAAA", 9, 19), "zumba"),
        Clip(ClipId("BBBBBBBBBBB", 1, 11), "zumba"),
    )
    assert load_class_rows(layout, Split.VAL, "air drumming").clips == ()


def test_all_rows_come_at_once_with_their_lines(layout: Layout) -> None:
    """The rows of all classes, sorted, each with its line in the list as published."""
    _store(layout)
    table = load_rows(layout, Split.VAL)
    assert table["label"].to_pylist() == ["abseiling", "zumba", "zumba"]
    assert table["youtube_id"].to_pylist() == ["-AAAAAAAAAA", "AAAAAAAAAAA", "BBBBBBBBBBB"]
    lines: list[int] = table["line"].to_numpy().tolist()
    assert [line - lines[0] for line in lines] == [0, 1, -1]


def test_licences_come_with_the_rows_where_the_list_tells_them(layout: Layout) -> None:
    """Clips given as 1 are Creative Commons; 0, or anything unclear, is not."""
    lines = [f"zumba,{name * 11},0,10,val,{cc}" for name, cc in zip("ABC", "10?", strict=True)]
    header = HEADER.decode().strip() + ",is_cc"
    lines = [header, "abseiling,DDDDDDDDDDD,0,10,val,?", *lines, ""]
    _store(layout, "\n".join(lines).encode())
    got = load_class_rows(layout, Split.VAL, "zumba")
    assert len(got.clips) == 3
    assert got.creative_commons == {ClipId("A" * 11, 0, 10)}
    assert load_class_rows(layout, Split.VAL, "abseiling").creative_commons == frozenset()


def test_a_list_without_the_column_tells_no_licences(layout: Layout) -> None:
    """That is another answer than 'none of them is free'."""
    _store(layout)
    assert load_class_rows(layout, Split.VAL, "zumba").creative_commons is None


def test_the_edition_folder_keeps_the_bytes_and_the_rejected_lines(layout: Layout) -> None:
    """The list as published, every rejected line with its number and digest, and the counts."""
    _store(layout)
    info = read_current(layout)[Split.VAL]
    assert (info.rows, info.rejected, info.classes, info.dialect) == (3, 1, 2, "official")
    assert (layout.edition(info.sha256) / "list.csv").read_bytes() == LIST
    (rejected,) = pq.read_table(layout.edition_rejected(info.sha256)).to_pylist()
    assert (rejected["line"], rejected["raw_sha256"]) == (5, hashlib.sha256(b"broken").hexdigest())
    assert "fields" in rejected["reason"]


def test_a_step_reads_only_its_class(layout: Layout) -> None:
    """With every byte of the other class destroyed, a class is still read whole."""
    _store(layout)
    path = layout.edition_rows(edition_sha256(LIST))
    other = pq.read_metadata(path).row_group(0)
    columns = [other.column(number) for number in range(other.num_columns)]
    data = bytearray(path.read_bytes())
    for column in columns:
        start = column.dictionary_page_offset or column.data_page_offset
        data[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(data)
    assert len(load_class_rows(layout, Split.VAL, "zumba").clips) == 2
    with pytest.raises(AnnotationError, match="damaged"):
        load_class_rows(layout, Split.VAL, "abseiling")


def test_every_class_has_a_version(layout: Layout) -> None:
    """Classes without rows have one too; a test split also has the unlabelled rows."""
    _store(layout)
    versions = class_versions(layout, Split.VAL)
    assert list(versions) == list(class_names("demo"))
    assert versions["air drumming"] == hashlib.sha256(b"").hexdigest()
    assert len({versions[label] for label in ("abseiling", "zumba", "air drumming")}) == 3
    _store(layout, b"youtube_id,time_start,time_end,split\nAAAAAAAAAAA,1,11,test\n", Split.TEST)
    versions = class_versions(layout, Split.TEST)
    assert list(versions) == [*class_names("demo"), ""]
    assert versions[""] != versions["zumba"] == hashlib.sha256(b"").hexdigest()
    assert len(load_class_rows(layout, Split.TEST, "").clips) == 1


def test_a_change_in_one_class_changes_its_version_only(layout: Layout) -> None:
    """A moved clip gives its class a new version; all others keep theirs in the new edition."""
    _store(layout)
    before = class_versions(layout, Split.VAL)
    _store(layout, LIST.replace(b"5,15", b"6,16"))
    after = class_versions(layout, Split.VAL)
    assert {label for label in before if before[label] != after[label]} == {"abseiling"}
    assert len(list((layout.annotations / "editions").iterdir())) == 2


def test_storing_again_touches_nothing(layout: Layout) -> None:
    """The same list leaves every file as it was, its time included."""
    _store(layout)
    before = {p: p.stat().st_mtime_ns for p in layout.base.rglob("*") if p.is_file()}
    _store(layout)
    assert {p: p.stat().st_mtime_ns for p in layout.base.rglob("*") if p.is_file()} == before


def test_before_the_first_run_the_remedy_is_named(layout: Layout) -> None:
    """Without annotations there is no split, and whoever asks is told which command makes them."""
    assert splits_present(layout) == ()
    for ask in (
        lambda: load_class_rows(layout, Split.VAL, "zumba"),
        lambda: class_versions(layout, Split.VAL),
        lambda: read_current(layout),
    ):
        with pytest.raises(AnnotationError, match="kinetics prepare demo"):
            ask()


def test_a_missing_split_lists_those_that_are_there(layout: Layout) -> None:
    """Asking for a split without a list names the others."""
    _store(layout)
    assert splits_present(layout) == (Split.VAL,)
    with pytest.raises(AnnotationError, match="no train list, only: val"):
        load_class_rows(layout, Split.TRAIN, "zumba")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"val": {"sha256": 1}}', b'{"val": 3}'])
def test_a_damaged_record_is_an_error_with_a_remedy(layout: Layout, damage: bytes) -> None:
    """A cut or foreign edition.json is never taken for a dataset without rows."""
    _store(layout)
    layout.current_edition.write_bytes(damage)
    with pytest.raises(AnnotationError, match="kinetics prepare demo"):
        load_class_rows(layout, Split.VAL, "zumba")


@pytest.mark.parametrize("name", ["rows.parquet", "classes.json"])
def test_a_missing_file_of_an_edition_is_an_error_with_a_remedy(layout: Layout, name: str) -> None:
    """Half an edition folder is never taken for an empty class."""
    _store(layout)
    (layout.edition(edition_sha256(LIST)) / name).unlink()
    with pytest.raises(AnnotationError, match="kinetics prepare demo"):
        load_class_rows(layout, Split.VAL, "zumba")
    with pytest.raises(AnnotationError, match="kinetics prepare demo"):
        load_rows(layout, Split.VAL)

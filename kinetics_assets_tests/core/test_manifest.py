"""Manifests: rows read back, damage is seen, every expected clip has exactly one row."""

from __future__ import annotations

import io
from dataclasses import fields, replace
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.core.clips import Clip
from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.manifest import (
    SCHEMA,
    ManifestRow,
    Status,
    _rows_sha256,
    data_version,
    decode_columns,
    decode_manifest,
    encode_manifest,
    from_record,
    reconcile,
    status_of,
    summarise,
    to_record,
)
from kinetics_assets.core.reasons import Kind, Reason
from kinetics_assets_tests.core.rows import NOW, ROWS, clip, row

FIFTY_ROWS = encode_manifest([row(number, reason_text="x" * 50) for number in range(50)])
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@given(st.lists(ROWS, max_size=4, unique_by=lambda r: r.clip))
def test_rows_read_back_as_written(rows: list[ManifestRow]) -> None:
    """No field of any row is lost or changed by the file format."""
    expected = sorted(rows, key=lambda r: r.annotation)
    assert decode_manifest(encode_manifest(rows)) == expected


@given(ROWS)
def test_a_record_has_the_columns_of_the_schema(any_row: ManifestRow) -> None:
    """The schema and the row have the same fields; none can be added to one alone."""
    assert set(to_record(any_row)) == set(SCHEMA.names)
    assert from_record(to_record(any_row)) == any_row


def test_the_schema_has_a_column_for_every_field() -> None:
    """Every field of a row is a column, the clip as three."""
    names = {f.name for f in fields(ManifestRow)} - {"clip"}
    assert names | {"youtube_id", "start_seconds", "end_seconds"} == set(SCHEMA.names)


def test_equal_rows_give_equal_bytes() -> None:
    """The order in which clips finished does not show in the file."""
    rows = [row(number) for number in range(5)]
    assert encode_manifest(rows) == encode_manifest(rows[::-1])


def test_a_manifest_of_a_former_version_is_read() -> None:
    """A column that was added later has its default."""
    record = to_record(row(tools="av 1"))
    del record["tools"]
    assert from_record(record).tools == ""


@given(st.data())
def test_a_flipped_byte_is_never_read_as_other_rows(data: st.DataObject) -> None:
    """A damaged manifest is an error or reads as before, wherever the damage is.

    Regression: Parquet has no checksum of its footer, so a changed column name read as a column
    that was missing, and its values as the defaults.
    """
    encoded = bytearray(FIFTY_ROWS)
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_manifest(bytes(encoded))
    except InternalError:
        return
    assert found == decode_manifest(FIFTY_ROWS)


@given(st.data())
def test_a_flipped_bit_is_never_read_as_other_values(data: st.DataObject) -> None:
    """The same where only some columns are read: an error, or what was written.

    All bits of every fifth byte of such a file were tried once, with that outcome.
    """
    encoded = bytearray(FIFTY_ROWS)
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    names = ("youtube_id", "status", "frames_decoded")
    try:
        found = decode_columns(bytes(encoded), names)
    except InternalError:
        return
    assert found.equals(decode_columns(FIFTY_ROWS, names))


def test_columns_are_those_of_the_rows() -> None:
    """Some columns are read alone, in the order of the schema, also of a file of other columns."""
    rows = [row(number, reason_text=f"{number}") for number in range(3)]
    names = ("reason_text", "youtube_id")
    expected = [{"youtube_id": r.clip.youtube_id, "reason_text": r.reason_text} for r in rows]
    data = encode_manifest(rows)
    assert decode_columns(data, names).to_pylist() == expected
    former = pq.read_table(io.BytesIO(data)).drop_columns(["tools"])
    former = former.replace_schema_metadata({b"rows_sha256": _rows_sha256(former)})
    sink = io.BytesIO()
    pq.write_table(former, sink)
    found = decode_columns(sink.getvalue(), ("tools", *names))
    assert found.to_pylist() == [{**one, "tools": ""} for one in expected]


def test_a_changed_column_name_is_seen() -> None:
    """As above, at the very place: the column is there under another name."""
    damaged = FIFTY_ROWS.replace(b"source_address", b"source_addresz")
    assert damaged != FIFTY_ROWS
    with pytest.raises(InternalError, match="not those that were written"):
        decode_manifest(damaged)


@pytest.mark.parametrize("length", [0, 3, 100, -1])
def test_a_cut_manifest_is_an_error(length: int) -> None:
    """A manifest without its end is reported as damaged."""
    data = encode_manifest([row()])
    with pytest.raises(InternalError, match="damaged"):
        decode_manifest(data[:length])


def test_page_checksums_are_written() -> None:
    """Other readers see damage too: every compressed page carries a checksum."""
    place = FIFTY_ROWS.rindex(_ZSTD_MAGIC) + 12
    damaged = bytearray(FIFTY_ROWS)
    damaged[place] ^= 1
    with pytest.raises(OSError, match=r"CRC checksum"):
        pq.read_table(io.BytesIO(damaged), page_checksum_verification=True)


@given(
    st.lists(st.integers(0, 20), unique=True, max_size=10),
    st.lists(st.integers(0, 20), unique=True, max_size=10),
)
def test_reconcile_gives_one_row_per_expected_clip(expected: list[int], known: list[int]) -> None:
    """Exactly the expected clips, in their order: known rows kept, new ones pending."""
    clips = [Clip(clip(number), "zumba") for number in expected]
    rows = reconcile(clips, [row(number) for number in known], edition="new")
    assert list(rows) == [c.id for c in clips]
    for number in expected:
        found = rows[clip(number)]
        assert found.edition == "new"
        assert found.status is (Status.OK if number in known else Status.PENDING)


def test_reconcile_takes_the_new_label() -> None:
    """A clip whose label changed has the new one; nothing else of its row changes."""
    old = row(1, label="zumba", path="videos_train/zumba/x.mp4")
    rows = reconcile([Clip(old.clip, "yoga")], [old], edition=old.edition)
    assert rows[old.clip] == replace(old, label="yoga")


def test_reconcile_is_idempotent() -> None:
    """Doing it twice changes nothing."""
    clips = [Clip(clip(number), "zumba") for number in range(4)]
    once = reconcile(clips, [row(2)], edition="e")
    assert reconcile(clips, once.values(), edition="e") == once


@pytest.mark.parametrize(
    ("status", "not_before", "due"),
    [
        (Status.PENDING, None, True),
        (Status.PENDING, NOW, True),
        (Status.PENDING, NOW - timedelta(seconds=1), True),
        (Status.PENDING, NOW + timedelta(seconds=1), False),
        (Status.BLOCKED, None, True),
        (Status.OK, None, False),
        (Status.UNAVAILABLE, None, False),
        (Status.CORRUPT, None, False),
        (Status.SKIPPED, None, False),
    ],
)
def test_only_open_rows_are_due(status: Status, not_before: object, due: bool) -> None:
    """A rerun asks for pending rows whose time has come and for blocked ones, for no other."""
    assert row(status=status, not_before=not_before).is_due(NOW) is due


def test_a_summary_counts_every_row_once() -> None:
    """Counts by status add up to the rows; size and frames are those of ok rows."""
    rows = [
        row(0, size_bytes=10, frames_decoded=5),
        row(1, size_bytes=20, frames_decoded=6),
        row(2, Status.PENDING, reason=Reason.NETWORK, size_bytes=99),
        row(3, Status.UNAVAILABLE, reason=Reason.GONE),
        row(4, Status.SKIPPED, reason=Reason.FILTERED),
    ]
    summary = summarise(rows)
    assert sum(summary.counts.values()) == summary.rows == 5
    assert (summary.ok, summary.permanent) == (2, 1)
    assert (summary.size_bytes, summary.frames) == (30, 11)
    assert summary.reasons == {Reason.NETWORK: 1, Reason.GONE: 1, Reason.FILTERED: 1}
    assert summary.completeness == pytest.approx(2 / 3)


def test_a_class_whose_losses_are_permanent_is_complete() -> None:
    """What nobody can have does not hold a class back; neither does an empty class."""
    assert summarise([row(0, Status.UNAVAILABLE), row(1, Status.CORRUPT)]).completeness == 1
    assert summarise([]).completeness == 1


def test_a_dead_link_does_not_hold_back_later_stages() -> None:
    """A row blocked by a permanent loss is itself one; a row blocked by a pending one is not."""
    upstream = [row(0, Status.UNAVAILABLE), row(1, Status.PENDING)]
    rows = [row(0, Status.BLOCKED), row(1, Status.BLOCKED), row(2)]
    summary = summarise(rows, upstream=iter(upstream))
    assert summary.permanent == 1
    assert summary.completeness == pytest.approx(1 / 2)


def test_the_data_version_is_of_ok_bytes_alone() -> None:
    """It changes with the bytes of an ok clip, and with nothing else."""
    rows = [row(0), row(1), row(2, Status.PENDING)]
    version = data_version(rows)
    assert data_version(rows[::-1]) == version
    assert data_version([replace(r, attempts=9, finished_at=NOW) for r in rows]) == version
    assert data_version([*rows[:2], row(2, Status.CORRUPT, reason=Reason.TRUNCATED)]) == version
    assert data_version([rows[0], replace(rows[1], sha256="f" * 64)]) != version
    assert data_version([row(0), row(1), row(2)]) != version


@pytest.mark.parametrize("may_heal", [True, False])
@pytest.mark.parametrize("reason", [r for r in Reason if r.kind is not Kind.ENVIRONMENT])
def test_a_reason_becomes_a_status(reason: Reason, may_heal: bool) -> None:
    """Permanent reasons end a row, retryable ones keep it open, policy is neither."""
    status = status_of(reason, source_may_heal=may_heal)
    if reason is Reason.UPSTREAM:
        assert status is Status.BLOCKED
    elif reason in {Reason.FILTERED, Reason.TAKEN_DOWN}:
        assert status is Status.SKIPPED
    elif reason.kind is Kind.PERMANENT:
        assert status in {Status.UNAVAILABLE, Status.CORRUPT}
    elif may_heal or reason.kind is Kind.CREDENTIALS:
        assert status is Status.PENDING
    else:
        assert status in {Status.PENDING, Status.CORRUPT}


def test_cut_bytes_heal_only_where_a_source_may_heal() -> None:
    """A cut download is asked for again; a cut file in a local folder stays what it is."""
    assert status_of(Reason.TRUNCATED, source_may_heal=True) is Status.PENDING
    assert status_of(Reason.TRUNCATED, source_may_heal=False) is Status.CORRUPT
    assert status_of(Reason.UNDECODABLE, source_may_heal=True) is Status.CORRUPT


@pytest.mark.parametrize("reason", [r for r in Reason if r.kind is Kind.ENVIRONMENT])
def test_a_fault_of_the_machine_never_reaches_a_row(reason: Reason) -> None:
    """A full disk as the verdict on a clip would be a lie; it is refused."""
    with pytest.raises(InternalError, match="no verdict on a clip"):
        status_of(reason, source_may_heal=True)

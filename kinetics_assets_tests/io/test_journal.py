"""Journals: a verdict that was reported is on the disk, whatever happens next."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.io.journal import Journal, discard_journal, read_journal
from kinetics_assets_tests.core.rows import NOW, ROWS, row
from kinetics_assets_tests.io.children import child, run, said

APPEND = """
import sys, pathlib
from kinetics_assets.io.journal import Journal
from kinetics_assets_tests.core.rows import row
with Journal(pathlib.Path(sys.argv[1])) as journal:
    for number in range(10_000):
        journal.append(row(number))
        print(number, flush=True)
"""


@given(st.lists(ROWS, max_size=5))
def test_rows_read_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list[ManifestRow]
) -> None:
    """Every field of every row comes back, in the order written."""
    path = tmp_path_factory.mktemp("journal") / "x.journal"
    with Journal(path) as journal:
        for any_row in rows:
            journal.append(any_row)
    assert read_journal(path) == rows


def test_no_journal_is_no_rows(tmp_path: Path) -> None:
    """A stage that never ran has no journal, and that is no error."""
    assert read_journal(tmp_path / "x.journal") == []
    discard_journal(tmp_path / "x.journal")


def test_sigkill_loses_no_reported_verdict(tmp_path: Path) -> None:
    """What the process had reported when it was killed is in the journal, complete."""
    path = tmp_path / "x.journal"
    with child(APPEND, path) as writer:
        reported = [said(writer) for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
    rows = read_journal(path)
    assert len(rows) >= 20
    assert reported == [str(number) for number in range(20)]
    assert rows == [row(number) for number in range(len(rows))]


@pytest.mark.parametrize("cut", [1, 2, 50, 200])
def test_a_torn_line_is_left_out_and_does_not_hurt_the_next(tmp_path: Path, cut: int) -> None:
    """A write that a power loss cut in half costs that verdict and no other."""
    path = tmp_path / "x.journal"
    with Journal(path) as journal:
        journal.append(row(1))
        journal.append(row(2))
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path) as journal:
        journal.append(row(3))
    kept = [row(1), row(2), row(3)] if cut == 1 else [row(1), row(3)]
    assert read_journal(path) == kept


def test_foreign_bytes_are_left_out(tmp_path: Path) -> None:
    """Zeros after a crash, other JSON and unknown codes are no rows, and no crash either."""
    path = tmp_path / "x.journal"
    with Journal(path) as journal:
        journal.append(row(1))
    good = path.read_bytes()
    other = good.replace(b'"ok"', b'"splendid"')
    path.write_bytes(
        b"\0" * 512 + b'\n[]\n7\nnull\n{}\n{"status": "ok"}\n\xff\xfe\n' + other + good
    )
    assert read_journal(path) == [row(1)]


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    """Rows of several threads are whole lines each."""
    path = tmp_path / "x.journal"
    with Journal(path) as journal:

        def write(first: int) -> None:
            for number in range(first, first + 25):
                journal.append(row(number, reason_text="x" * 500))

        threads = [threading.Thread(target=write, args=(100 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = sorted(int(r.clip.youtube_id) for r in read_journal(path))
    assert found == [100 * n + k for n in range(4) for k in range(25)]


def test_a_full_disk_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    """No verdict is dropped in silence: the limit is real, and what was written before is kept."""
    code = """
import resource, sys, pathlib
from kinetics_assets.core.errors import DiskFull
from kinetics_assets.io.journal import Journal
from kinetics_assets_tests.core.rows import row
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
with Journal(pathlib.Path(sys.argv[1])) as journal:
    for number in range(100):
        try:
            journal.append(row(number))
        except DiskFull:
            print(number)
            break
"""
    path = tmp_path / "x.journal"
    written = int(run(code, path))
    assert 0 < written < 100
    with Journal(path) as journal:
        journal.append(row(99))
    assert read_journal(path) == [*(row(number) for number in range(written)), row(99)]


def test_times_and_reasons_survive(tmp_path: Path) -> None:
    """The fields that JSON has no type for come back as what they were."""
    path = tmp_path / "x.journal"
    pending = row(1, Status.PENDING, reason=Reason.NETWORK, not_before=NOW, finished_at=NOW)
    with Journal(path) as journal:
        journal.append(pending)
    assert read_journal(path) == [pending]


def test_a_discarded_journal_is_gone(tmp_path: Path) -> None:
    """After folding, the next step starts with an empty journal."""
    path = tmp_path / "x.journal"
    with Journal(path) as journal:
        journal.append(row(1))
    discard_journal(path)
    assert not path.exists()
    assert read_journal(path) == []

"""Tests of reading Parquet without Arrow's threads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kinetics_assets.core.parquet import read_row_group, read_table

LOOK = """
import os, sys
from pathlib import Path
from kinetics_assets.core.parquet import read_table
before = len(os.listdir("/proc/self/task"))
for path in sys.argv[1:]:
    read_table(Path(path))
    read_table(Path(path).read_bytes())
sys.exit(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.fixture
def table_file(tmp_path: Path) -> Path:
    """A table of four columns and two row groups, checksummed."""
    table = pa.table({name: list(range(2000)) for name in "abcd"})
    path = tmp_path / "table.parquet"
    pq.write_table(table, path, row_group_size=1000, write_page_checksum=True)
    return path


def test_reading_starts_no_thread_and_the_process_ends_well(table_file: Path) -> None:
    """A process that reads and ends at once ends with its own exit code.

    Cause: Arrow's pools, begun by a read, could abort the command while it exited.
    """
    for _ in range(5):
        argv = [sys.executable, "-c", LOOK, str(table_file)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_row_groups(table_file: Path) -> None:
    """A row group is read alone, and all of them make the table."""
    footer = pq.read_metadata(table_file)
    parts = [read_row_group(table_file, number, footer=footer) for number in range(2)]
    assert [part.num_rows for part in parts] == [1000, 1000]
    assert pa.concat_tables(parts).equals(read_table(table_file))


def test_a_flipped_bit_is_an_error(table_file: Path) -> None:
    """Damage in a page is found by its checksum."""
    data = bytearray(table_file.read_bytes())
    data[len(data) // 3] ^= 8
    with pytest.raises((pa.ArrowException, OSError)):
        read_table(bytes(data))

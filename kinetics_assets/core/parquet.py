"""Reading Parquet in the caller's own thread.

Arrow's thread pools are made for large tables. Ours are small, a process with such threads must not
be forked, and one that ends soon after a read can die of SIGABRT in the pools' destruction.
"""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def read_table(source: Path | bytes) -> pa.Table:
    """Return the table in a Parquet file or in its bytes, page checksums verified.

    Raises:
        pyarrow.ArrowException: The file is damaged.
        OSError: It is damaged, or cannot be read.
    """
    given = io.BytesIO(source) if isinstance(source, bytes) else source
    with pq.ParquetFile(given, page_checksum_verification=True, pre_buffer=False) as file:
        return file.read(use_threads=False)


def read_row_group(path: Path, number: int, *, footer: pq.FileMetaData) -> pa.Table:
    """Return one row group of a Parquet file whose footer was read before.

    Raises:
        pyarrow.ArrowException: The file is damaged.
        OSError: It is damaged, or cannot be read.
    """
    with pq.ParquetFile(
        path, metadata=footer, page_checksum_verification=True, pre_buffer=False
    ) as file:
        return file.read_row_group(number, use_threads=False)

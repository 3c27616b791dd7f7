"""The journal of a running step: one durable line per verdict.

A verdict is on the disk before the step goes on to the next clip, so that a SIGKILL loses none. At
the end of the step, and at the start of the next one, the lines are folded into the manifest.
"""

from __future__ import annotations

import json
import os
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from kinetics_assets.core.manifest import ManifestRow, from_record, to_record
from kinetics_assets.io.atomic import os_faults, sync

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_TIMES = ("not_before", "finished_at")


class Journal:
    """Appends rows to the journal at `path`; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open (and create) the journal for appending."""
        self.path = path
        self._guard = threading.Lock()
        with os_faults(f"opening {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            sync(path.parent)

    def append(self, row: ManifestRow) -> None:
        """Write `row` and wait until it is on the disk.

        Raises:
            EnvironmentFault: The disk is full or read-only.
        """
        line = (json.dumps(_plain(row), separators=(",", ":")) + "\n").encode()
        with self._guard, os_faults(f"writing {self.path}"):
            # A leading newline ends a torn line that a crash or a full disk may have left.
            view = memoryview(b"\n" + line)
            while view:
                view = view[os.write(self._fd, view) :]
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file; the journal stays on the disk until `discard_journal`."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()


def read_journal(path: Path) -> list[ManifestRow]:
    """Return the complete rows of a journal, in the order written; a torn line is left out."""
    if not path.exists():
        return []
    rows = []
    with os_faults(f"reading {path}"):
        data = path.read_bytes()
    for line in data.split(b"\n"):
        row = _parse(line)
        if row is not None:
            rows.append(row)
    return rows


def discard_journal(path: Path) -> None:
    """Delete a journal whose rows are in the manifest."""
    with os_faults(f"deleting {path}"):
        path.unlink(missing_ok=True)
        sync(path.parent)


def _plain(row: ManifestRow) -> dict[str, Any]:
    """Return `row` as JSON-able record, times as ISO text."""
    record = to_record(row)
    return record | {name: value.isoformat() for name in _TIMES if (value := record[name])}


def _parse(line: bytes) -> ManifestRow | None:
    """Return the row of one line, None when the line is empty or torn."""
    try:
        record = json.loads(line)
        times = {n: datetime.fromisoformat(record[n]) for n in _TIMES if record[n]}
        return from_record(record | times)
    except (ValueError, KeyError, TypeError):
        return None

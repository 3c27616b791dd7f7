"""Rows whose outputs are no longer wanted: the files are moved out, the rows kept.

That is what becomes of clips that left the list, and of clips that `cc_only` rules out. Of a clip
that was taken down no file is kept, only the row.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.manifest import ManifestRow, Status, decode_manifest, encode_manifest
from kinetics_assets.core.reasons import Reason
from kinetics_assets.io.atomic import os_faults, write_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kinetics_assets.stages.job import StageJob
    from kinetics_assets.stages.order import ClassOrder
    from kinetics_assets.stages.ruled_out import Rules


def retire_rows(
    job: StageJob, order: ClassOrder, gone: Sequence[ManifestRow], *, rules: Rules
) -> int:
    """Move the outputs of `gone` to the retired folder, keep their rows there, return how many.

    The rows are written first: a crash in between leaves a file in its old place whose row is both
    in the manifest and in the retired one, and the next run moves it.
    """
    if not gone:
        return 0
    path = order.layout.retired_manifest(order.split, job.stage, order.label)
    entries = {row.clip: rules.takedowns.entry_of(order.settings.dataset, row.clip) for row in gone}
    keep_rows(
        path,
        [
            row if (entry := entries[row.clip]) is None else taken_down_row(row, entry.text)
            for row in gone
        ],
    )
    folder = order.layout.retired_class(order.split, job.stage, order.label)
    for row in gone:
        if row.status is Status.OK:
            job.remove(row, into=folder if entries[row.clip] is None else None)
    return len(gone)


def keep_rows(path: Path, rows: Iterable[ManifestRow]) -> None:
    """Put `rows` into the retired manifest at `path`, in place of older ones of the same clips."""
    kept = {row.clip: row for row in read_retired(path)}
    before = dict(kept)
    kept.update({row.clip: row for row in rows})
    if kept != before:
        write_file(path, encode_manifest(kept.values()))


def read_retired(path: Path) -> list[ManifestRow]:
    """Return the rows of the retired manifest at `path`, none if there is no such file.

    Raises:
        InternalError: The file is damaged; the message names it.
    """
    if not path.exists():
        return []
    with os_faults(f"reading {path}"):
        data = path.read_bytes()
    try:
        return decode_manifest(data)
    except InternalError as error:
        raise InternalError(
            f"{path}: {error.message}",
            remedy="Delete the file and run again: clips that left the list are then made anew if"
            " they return.",
        ) from error


def taken_down_row(row: ManifestRow, text: str) -> ManifestRow:
    """Return what is kept of a clip that was taken down: what it was, and that it is gone."""
    if row.reason is Reason.TAKEN_DOWN:
        return row
    return replace(
        row,
        status=Status.SKIPPED,
        reason=Reason.TAKEN_DOWN,
        reason_text=text,
        not_before=None,
    )

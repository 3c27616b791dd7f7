"""Rows that are no longer in the list: their files are moved out, their rows kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.core.manifest import ManifestRow, Status, decode_manifest, encode_manifest
from kinetics_assets.io.atomic import write_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinetics_assets.stages.job import StageJob
    from kinetics_assets.stages.order import ClassOrder


def retire_rows(job: StageJob, order: ClassOrder, gone: Sequence[ManifestRow]) -> int:
    """Move the outputs of `gone` to the retired folder, keep their rows there, return how many.

    The rows are written first: a crash in between leaves a file in its old place whose row is both
    in the manifest and in the retired one, and the next run moves it.
    """
    if not gone:
        return 0
    path = order.layout.retired_manifest(order.split, job.stage, order.label)
    kept = {r.clip: r for r in decode_manifest(path.read_bytes())} if path.exists() else {}
    kept.update({row.clip: row for row in gone})
    write_file(path, encode_manifest(kept.values()))
    for row in gone:
        if row.status is Status.OK:
            folder = order.layout.retired_class(order.split, job.stage, order.label)
            job.remove(row, into=folder)
    return len(gone)

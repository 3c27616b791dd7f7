"""Outputs of rows that return: they are put back from the retired folder instead of made again.

A row returns when a list has it again, or when `cc_only` does not rule it out any more. Whether
what is put back is still what would be made is then asked like of any other output; only its bytes
are checked here. What is retired stays until the manifest with the returned rows is written: a
crash in between leaves it in both places, and the next run puts it back again.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from kinetics_assets.core.manifest import ManifestRow, Status, encode_manifest
from kinetics_assets.io.atomic import os_faults, sync, write_file
from kinetics_assets.io.journal import Journal
from kinetics_assets.stages.put_in_place import put_in_place
from kinetics_assets.stages.retire import read_retired

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from kinetics_assets.core.clips import ClipId
    from kinetics_assets.stages.job import StageJob
    from kinetics_assets.stages.order import ClassOrder
    from kinetics_assets.stages.ruled_out import Rules


def returning(
    job: StageJob,
    rows: Mapping[ClipId, ManifestRow],
    *,
    inputs: Mapping[ClipId, ManifestRow],
    rules: Rules,
) -> set[ClipId]:
    """Return the clips that are wanted and not there, so that a former output would be of use.

    Args:
        job: The stage.
        rows: One row per clip of the list, as far as known.
        inputs: Rows of the stage's input; without an ok input nothing is wanted.
        rules: What rules clips out.
    """
    needs_input = job.upstream is not None and not job.works_without_input
    return {
        clip
        for clip, row in rows.items()
        if row.status is not Status.OK
        and (not needs_input or (clip in inputs and inputs[clip].status is Status.OK))
        and rules.ruling(clip) is None
    }


def bring_back(job: StageJob, order: ClassOrder, wanted: Collection[ClipId]) -> list[ManifestRow]:
    """Return the retired rows of the class's clips that are `wanted`, their outputs put back."""
    retired = read_retired(order.layout.retired_manifest(order.split, job.stage, order.label))
    back = [row for row in retired if row.clip in wanted and row.status is Status.OK and row.path]
    if not back:
        return []
    with Journal(order.layout.journal(order.split, job.stage, order.label)) as journal:
        put = (
            put_in_place(job, order, row, kept=_kept(job, order, row), journal=journal)
            for row in back
        )
        return [row for row in put if row is not None]


def drop_returned(job: StageJob, order: ClassOrder, rows: Mapping[ClipId, ManifestRow]) -> None:
    """Delete what is retired of clips that are ok again; their `rows` are in the manifest by now.

    The retired row goes last, so that a crash leaves no file without one.
    """
    path = order.layout.retired_manifest(order.split, job.stage, order.label)
    retired = read_retired(path)
    back = [row for row in retired if row.clip in rows and rows[row.clip].status is Status.OK]
    if not back:
        return
    for row in back:
        kept = _kept(job, order, row)
        with os_faults(f"deleting {kept}"):
            if row.path and kept.is_dir():
                shutil.rmtree(kept)
            elif row.path:
                kept.unlink(missing_ok=True)
    stay = [row for row in retired if row not in back]
    if stay:
        write_file(path, encode_manifest(stay))
        return
    with os_faults(f"deleting {path}"):
        path.unlink()
        sync(path.parent)


def _kept(job: StageJob, order: ClassOrder, row: ManifestRow) -> Path:
    """Return where the output of a retired row is."""
    name = row.path.rpartition("/")[2]
    return order.layout.retired_class(order.split, job.stage, order.label) / name

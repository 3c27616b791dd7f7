"""Outputs of rows that return: they are put back from the retired folder instead of made again.

A row returns when a list has it again, or when `cc_only` does not rule it out any more. Whether
what is put back is still what would be made is then asked like of any other output; only its bytes
are checked here. What is retired stays until the manifest with the returned rows is written: a
crash in between leaves it in both places, and the next run puts it back again.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from kinetics_assets.core.manifest import ManifestRow, Status, encode_manifest
from kinetics_assets.io.atomic import (
    link_or_copy,
    os_faults,
    publish_file,
    sha256_of,
    sync,
    temp_path,
    write_file,
)
from kinetics_assets.stages.frame_folders import FolderStore
from kinetics_assets.stages.frame_index import picture_names
from kinetics_assets.stages.retire import read_retired

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from kinetics_assets.core.clips import Clip, ClipId
    from kinetics_assets.stages.job import StageJob
    from kinetics_assets.stages.order import ClassOrder
    from kinetics_assets.stages.ruled_out import Rules


def bring_back(
    job: StageJob,
    order: ClassOrder,
    expected: Sequence[Clip],
    *,
    known: Iterable[ManifestRow],
    inputs: Mapping[ClipId, ManifestRow],
    rules: Rules,
) -> list[ManifestRow]:
    """Return the retired rows of clips that are wanted again, their outputs put back.

    Args:
        job: The stage.
        order: The class.
        expected: Its clips by the list.
        known: Rows of its manifest; of clips that are ok nothing is put back.
        inputs: Rows of the stage's input; without an ok input nothing is put back.
        rules: What rules clips out.
    """
    retired = read_retired(order.layout.retired_manifest(order.split, job.stage, order.label))
    if not retired:
        return []
    wanted = {clip.id for clip in expected} - {r.clip for r in known if r.status is Status.OK}
    if job.upstream is not None and not job.works_without_input:
        wanted &= {clip for clip, row in inputs.items() if row.status is Status.OK}
    return [
        row
        for row in retired
        if row.clip in wanted
        and row.status is Status.OK
        and rules.ruling(row.clip) is None
        and _put_back(job, order, row)
    ]


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


def _put_back(job: StageJob, order: ClassOrder, row: ManifestRow) -> bool:
    """Put the output of a retired row where it was; return whether it is the one recorded."""
    if not row.path:
        return False
    kept, final = _kept(job, order, row), order.layout.base / row.path
    if kept.is_dir():
        return _put_back_folder(job, order, row, kept=kept, final=final)
    if not kept.is_file() or kept.is_symlink() or sha256_of(kept) != row.sha256:
        return False
    temp = temp_path(final, stage=job.stage)
    try:
        link_or_copy(kept, temp)
        publish_file(temp, final)
    finally:
        temp.unlink(missing_ok=True)
    return True


def _put_back_folder(
    job: StageJob, order: ClassOrder, row: ManifestRow, *, kept: Path, final: Path
) -> bool:
    """Put loose pictures back beside those of the other stage."""
    store = FolderStore(job.stage, order)
    temp = temp_path(final, stage=job.stage)
    try:
        with os_faults(f"creating {temp}"):
            temp.mkdir()
        index = store.take_out(replace(row, path=order.layout.relative(kept)), temp)
        if index is None:
            return False
        names = picture_names(job.stage, count=index.count, start_index=index.start_index)
        store.hold(temp, names, final=final, index=index).publish()
    finally:
        shutil.rmtree(temp, ignore_errors=True)
    return True

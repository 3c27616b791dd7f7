"""Outputs that were made before: they get their place again, after their bytes were checked.

What they are taken from is left as it is, so that a crash can lose nothing. The journal line is
written before the place is filled, as for what is made: the next step knows of it then, and takes
it away should no list want it any more.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from kinetics_assets.io.atomic import (
    link_or_copy,
    os_faults,
    publish_file,
    sha256_of,
    temp_path,
)
from kinetics_assets.stages.frame_index import picture_names
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.picture_stores import PictureStores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.io.journal import Journal
    from kinetics_assets.stages.job import StageJob
    from kinetics_assets.stages.order import ClassOrder


def put_in_place(
    job: StageJob, order: ClassOrder, row: ManifestRow, *, kept: Path, journal: Journal
) -> ManifestRow | None:
    """Return the row of the output `kept` after it was put where `row` says, None if it is not so.

    Args:
        job: The stage.
        order: The class.
        row: What must be true of the output; its path is where it shall be.
        kept: File or folder of pictures in the dataset's folder; may be moved at any moment.
        journal: Of the step.
    """
    final = order.layout.base / row.path
    temp = temp_path(final, stage=job.stage)
    try:
        try:
            publish = _ready(job, order, row, kept=kept, temp=temp)
        except FileNotFoundError:
            return None  # another step took it away meanwhile
        if publish is None:
            return None
        checked = replace(row, finished_at=now_utc())  # a copy is younger than the old verdict
        journal.append(checked)
        publish()
    finally:
        if temp.is_dir():
            shutil.rmtree(temp, ignore_errors=True)
        else:
            temp.unlink(missing_ok=True)
    return checked


def _ready(
    job: StageJob, order: ClassOrder, row: ManifestRow, *, kept: Path, temp: Path
) -> Callable[[], None] | None:
    """Return what gives `temp`, a link or copy of `kept`, its name; None if it is not `row`'s."""
    final = order.layout.base / row.path
    if not kept.is_dir():
        if not kept.is_file() or kept.is_symlink():
            return None
        link_or_copy(kept, temp)
        return partial(publish_file, temp, final) if sha256_of(temp) == row.sha256 else None
    store = PictureStores(job.stage, order).of(row)
    with os_faults(f"creating {temp}"):
        temp.mkdir()
    index = store.take_out(replace(row, path=order.layout.relative(kept)), temp)
    if index is None:
        return None
    names = picture_names(job.stage, count=index.count, start_index=index.start_index)
    return store.hold(temp, names, final=final, index=index).publish

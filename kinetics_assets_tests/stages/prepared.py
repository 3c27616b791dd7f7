"""A small tree as two stages would leave it, written without decoding: for tests that look at it.

Files hold a few bytes that are no media, and rows say that they were verified an hour ago.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import WHOLE, ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import (
    AnnotationSettings,
    Limits,
    Settings,
    SourceSettings,
    Thresholds,
)
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import load_class_rows
from kinetics_assets.io.manifests import read_manifest, write_manifest
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.jobs import job_for
from kinetics_assets.stages.order import ClassOrder

NOW = datetime(2020, 11, 22, 12, tzinfo=UTC)
"""Before whatever the clock of the machine says."""
AGES_HOURS = 300_000.0
"""So long before `NOW` everything is due, so long after it nothing, by any machine's clock."""
VERDICT_AT = NOW - timedelta(hours=1)
CLASSES = (
    "abseiling",
    "air drumming",
    "massaging person's head",
    "punching person (boxing)",
    "zumba",
)
_CLIPS = 4


def prepared(
    folder: Path,
    *,
    splits: Iterable[Split] = (Split.TRAIN, Split.VAL),
    dataset: str = "demo",
) -> Settings:
    """Return settings of a root in which videos and resized of five classes are complete."""
    lists, local = folder / "lists", folder / "local"
    lists.mkdir(parents=True)
    local.mkdir()
    for split in splits:
        lines = ["label,youtube_id,time_start,time_end,split"]
        lines += [
            f"{c},{clip.youtube_id},0,10,{split}" for c in CLASSES for clip in clips(split, c)
        ]
        (lists / f"{split}.csv").write_text("\n".join(lines))
    settings = Settings(
        root=folder / "root",
        dataset=dataset,
        annotations=AnnotationSettings(source=str(lists)),
        sources=SourceSettings(order=("local",), local_folders=(local,)),
        thresholds=Thresholds(min_completeness=0.5),
        limits=Limits(min_free_bytes=0, workers=1),
    )
    settings.root.mkdir()
    run_annotations(settings)
    for split in splits:
        for label in CLASSES:
            _fill(ClassOrder(settings, split, label))
    return settings


def clips(split: Split, label: str) -> list[ClipId]:
    """Return the clips of a class."""
    number = CLASSES.index(label)
    return [ClipId(f"{split[:2]}{number:08d}{clip}", 0, 10) for clip in range(_CLIPS)]


def output(settings: Settings, split: Split, stage: Stage, label: str, number: int = 0) -> Path:
    """Return the file of a clip."""
    name = f"{clips(split, label)[number].name}.mp4"
    return Layout.of(settings).class_folder(split, stage, label) / name


def fail(
    settings: Settings,
    split: Split,
    label: str,
    *reasons: Reason,
    hours: float = 0.0,
    status: Status = Status.PENDING,
) -> None:
    """Let the first videos of a class have failed; they are due `hours` after `NOW`.

    The resized clips are blocked, as a run would have left them.
    """
    layout = Layout.of(settings)
    order = ClassOrder(settings, split, label)
    rows = read_manifest(layout, split, Stage.VIDEOS, label)
    for number, reason in enumerate(reasons):
        row = ManifestRow(
            rows[number].clip,
            label,
            rows[number].edition,
            status,
            reason,
            reason_text=f"local: {reason} in words",
            attempts=1,
            not_before=NOW + timedelta(hours=hours) if status is Status.PENDING else None,
            finished_at=VERDICT_AT,
        )
        rows[number] = replace(row, digest=job_for(Stage.VIDEOS, order).attempt_digest(row, None))
    write_manifest(layout, split, Stage.VIDEOS, label, rows=rows)
    _fill(order, stages=(Stage.RESIZED,))


def _fill(order: ClassOrder, stages: Iterable[Stage] = (Stage.VIDEOS, Stage.RESIZED)) -> None:
    """Write files and manifests of a class."""
    layout, split, label = order.layout, order.split, order.label
    for stage in stages:
        annotated = load_class_rows(layout, split, label)
        inputs = {row.clip: row for row in read_manifest(layout, split, Stage.VIDEOS, label)}
        rows = []
        for clip in annotated.clips:
            source = inputs.get(clip.id) if stage is Stage.RESIZED else None
            if source is not None and source.status is not Status.OK:
                text = f"the input is {source.status}: {source.reason}"
                blocked = ManifestRow(
                    clip.id, label, annotated.edition, Status.BLOCKED, Reason.UPSTREAM, text
                )
                rows.append(replace(blocked, finished_at=VERDICT_AT))
                continue
            rows.append(_ok_row(order, stage, clip.id, source, edition=annotated.edition))
        write_manifest(layout, split, stage, label, rows=rows)


def _ok_row(
    order: ClassOrder, stage: Stage, clip: ClipId, source: ManifestRow | None, *, edition: str
) -> ManifestRow:
    """Write a clip's file and return its row."""
    path = order.layout.class_folder(order.split, stage, order.label) / f"{clip.name}.mp4"
    data = f"{stage} {clip.name}".encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    seconds = (VERDICT_AT - timedelta(minutes=1)).timestamp()
    os.utime(path, (seconds, seconds))
    row = ManifestRow(
        clip,
        order.label,
        edition,
        Status.OK,
        attempts=1,
        source="local",
        path=order.layout.relative(path),
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        frames_decoded=1,
        finished_at=VERDICT_AT,
    )
    if stage is Stage.VIDEOS:
        return replace(row, digest=WHOLE)
    return replace(row, digest=job_for(stage, order).attempt_digest(row, source))

"""A class most of whose files lie or break off: each gets its verdict, its siblings are made."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.errors import ClipError
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import AnnotationSettings, Limits, SourceSettings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.atomic import sha256_of
from kinetics_assets.io.manifests import read_manifest, write_manifest
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.processes import MARK, marked, new_mark
from kinetics_assets_tests.resources import hostile
from kinetics_assets_tests.resources.hostile import CASES

SIBLINGS = 2
GOOD = (Status.OK, None)
LIMITS = Limits(
    workers=2,
    max_side_px=1024,
    memory_bytes=2**30,
    clip_wall_seconds=120,
    clip_cpu_seconds=60,
    min_free_bytes=0,
)


def clip(number: int) -> ClipId:
    """Return the clip of a case, or of a sibling behind all of them."""
    return ClipId(f"hostile{number:04d}", 0, 1)


@pytest.fixture
def hostile_class(
    order: ClassOrder, changed: Callable[..., ClassOrder], tmp_path: Path
) -> ClassOrder:
    """A class of one hostile file of each kind and `SIBLINGS` good ones, in a local folder."""
    pool = tmp_path / "pool" / order.label
    pool.mkdir(parents=True)
    makes = [case.make for case in CASES] + [hostile.sound] * SIBLINGS
    lines = ["label,youtube_id,time_start,time_end,split"]
    for number, make in enumerate(makes):
        make(pool / f"{clip(number).name}.mp4")
        lines.append(f"{order.label},{clip(number).youtube_id},0,1,train")
    listed = tmp_path / "train.csv"
    listed.write_text("\n".join([*lines, ""]), encoding="utf-8")
    made = changed(
        annotations=AnnotationSettings(source=str(listed)),
        sources=SourceSettings(order=("local",), local_folders=(pool.parent,), connections=2),
        limits=LIMITS,
    )
    run_annotations(made.settings)
    return made


def run(
    stage: Stage, order: ClassOrder, monkeypatch: pytest.MonkeyPatch
) -> dict[ClipId, ManifestRow]:
    """Return the rows after a run of `stage`, which leaves no process behind."""
    mark = new_mark()
    monkeypatch.setenv(MARK, mark)
    rows = {row.clip: row for row in run_stage(stage, order).rows}
    assert marked(mark) == {}
    return rows


def expect(rows: dict[ClipId, ManifestRow], verdicts: list[tuple[Status, Reason | None]]) -> None:
    """Assert the verdict on each case, and that the siblings are ok."""
    names = [*(case.name for case in CASES), *["sibling"] * SIBLINGS]
    verdicts = [*verdicts, *[GOOD] * SIBLINGS]
    for number, (name, verdict) in enumerate(zip(names, verdicts, strict=True)):
        row = rows[clip(number)]
        assert (name, (row.status, row.reason)) == (name, verdict)
        assert bool(row.path) == (verdict == GOOD)
        assert bool(row.reason_text) == (verdict != GOOD)


def bad_bytes(error: type[ClipError] | None) -> tuple[Status, Reason | None]:
    """Return the verdict on a file that `error` is said of; None is said of a good one."""
    return GOOD if error is None else (Status.CORRUPT, error.reason)


def test_a_source_of_hostile_files(
    hostile_class: ClassOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file has its verdict and reason, siblings are taken, no other file is published.

    A second run tries none of them again.
    """
    rows = run(Stage.VIDEOS, hostile_class, monkeypatch)
    expect(rows, [bad_bytes(case.verdict) for case in CASES])
    folder = hostile_class.layout.class_folder(
        hostile_class.split, Stage.VIDEOS, hostile_class.label
    )
    good = sorted(row.path for row in rows.values() if row.status is Status.OK)
    assert sorted(Path(path).name for path in good) == sorted(
        path.name for path in folder.iterdir()
    )
    assert run(Stage.VIDEOS, hostile_class, monkeypatch) == rows


def test_hostile_files_among_the_videos(
    hostile_class: ClassOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What slipped into the videos costs later stages that clip alone; siblings are made."""
    order, layout = hostile_class, hostile_class.layout
    rows = run(Stage.VIDEOS, order, monkeypatch)
    like = rows[clip(len(CASES))]
    pool = order.settings.sources.local_folders[0] / order.label
    slipped_in = [case.encoded is None for case in CASES]
    for number in (number for number, slipped in enumerate(slipped_in) if slipped):
        bad = clip(number)
        path = layout.video(order.split, order.label, bad)
        path.unlink(missing_ok=True)
        shutil.copyfile(pool / path.name, path)
        rows[bad] = replace(
            like,
            clip=bad,
            path=layout.relative(path),
            sha256=sha256_of(path),
            size_bytes=path.stat().st_size,
            frames_decoded=CASES[number].frames,
        )
    write_manifest(layout, order.split, Stage.VIDEOS, order.label, rows=rows.values())
    verdicts = [
        bad_bytes(case.error) if slipped else (Status.BLOCKED, Reason.UPSTREAM)
        for case, slipped in zip(CASES, slipped_in, strict=True)
    ]
    for stage in (Stage.RESIZED, Stage.RAWFRAMES):
        expect(run(stage, order, monkeypatch), verdicts)
    known = read_manifest(layout, order.split, Stage.RAWFRAMES, order.label)
    made = {row.frames_decoded for row in known if row.status is Status.OK}
    assert made == {1, hostile.FRAMES}

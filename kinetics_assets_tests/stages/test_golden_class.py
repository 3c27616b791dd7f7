"""A class of videos in odd forms, from a local folder to frames: rows and pictures are right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.settings import (
    AnnotationSettings,
    FrameRecipe,
    Limits,
    ResizeRecipe,
    SourceSettings,
    VideoRecipe,
)
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.media.test_golden_frames import (
    SHORT_PX,
    check_pictures,
    check_video,
    jpegs,
    small_size,
)
from kinetics_assets_tests.resources.golden import CASES

NAMES = {
    *("turned 90", "wide, turned", "odd", "hevc 10 bit", "uneven, B-frames", "709 full"),
    *("edited middle", "late TS", "interlaced"),
}


def test_odd_forms_from_source_to_frames(
    order: ClassOrder, changed: Callable[..., ClassOrder], tmp_path: Path
) -> None:
    """Each is kept byte for byte, resized and drawn by the rules, and its rows say so."""
    cases = {
        ClipId(f"golden{number:05d}", 0, 1): case
        for number, case in enumerate(CASES)
        if case.name in NAMES
    }
    pool = tmp_path / "pool" / order.label
    pool.mkdir(parents=True)
    written = {clip: case.write(pool / f"{clip.name}.mp4") for clip, case in cases.items()}
    lines = [f"{order.label},{clip.youtube_id},0,1,train" for clip in cases]
    listed = tmp_path / "train.csv"
    listed.write_text(
        "\n".join(["label,youtube_id,time_start,time_end,split", *lines, ""]), encoding="utf-8"
    )
    golden = changed(
        annotations=AnnotationSettings(source=str(listed)),
        sources=SourceSettings(order=("local",), local_folders=(pool.parent,), connections=2),
        videos=VideoRecipe(min_duration_share=0),
        resized=ResizeRecipe(short_side_px=SHORT_PX),
        rawframes=FrameRecipe(size=str(SHORT_PX)),
        limits=Limits(workers=2, min_free_bytes=0),
    )
    run_annotations(golden.settings)
    reports = {
        stage: run_stage(stage, golden) for stage in (Stage.VIDEOS, Stage.RESIZED, Stage.RAWFRAMES)
    }
    assert len(cases) == len(NAMES)
    for stage, report in reports.items():
        assert len(report.rows) == len(cases)
        for row in report.rows:
            case, path = cases[row.clip], golden.layout.base / row.path
            assert (case.name, row.status) == (case.name, Status.OK)
            assert row.frames_decoded == len(case.shown)
            size = (row.width_px or 0, row.height_px or 0)
            if stage is Stage.VIDEOS:
                assert path.read_bytes() == written[row.clip].read_bytes()
            elif stage is Stage.RESIZED:
                assert size == small_size(case)
                check_video(path, case, size=size)
            else:
                check_pictures(jpegs(path), case, size=size)

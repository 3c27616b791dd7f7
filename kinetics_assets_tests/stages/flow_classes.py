"""A class whose name has an apostrophe and whose clips a test writes, its videos in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.settings import (
    AnnotationSettings,
    FlowRecipe,
    FrameRecipe,
    Limits,
    Settings,
    SourceSettings,
    VideoRecipe,
)
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.handmade import HEAD

Writer = Callable[[Path], object]


def class_of(folder: Path, clips: Mapping[str, Writer | None], *, size: str = "32") -> ClassOrder:
    """Return the class of `clips`, by YouTube id, with its videos in place.

    Args:
        folder: Empty; the root and the originals are put into it.
        clips: What writes each original; None for one that cannot be had.
        size: Of frames and flow.
    """
    lists, local = folder / "lists", folder / "local" / HEAD
    lists.mkdir()
    local.mkdir(parents=True)
    lines = ["label,youtube_id,time_start,time_end,split"]
    for name, write in clips.items():
        lines.append(f"{HEAD},{name},0,1,train")
        if write is not None:
            write(local / f"{ClipId(name, 0, 1).name}.mp4")
    (lists / "train.csv").write_text("\n".join(lines))
    settings = Settings(
        root=folder / "root",
        dataset="demo",
        annotations=AnnotationSettings(source=str(lists)),
        videos=VideoRecipe(min_duration_share=0.0),
        sources=SourceSettings(order=("local",), local_folders=(local.parent,)),
        rawframes=FrameRecipe(size=size),
        flow=FlowRecipe(engine="cpu"),
        limits=Limits(min_free_bytes=0, workers=2),
    )
    settings.root.mkdir()
    run_annotations(settings)
    order = ClassOrder(settings, Split.TRAIN, HEAD)
    run_stage(Stage.VIDEOS, order)
    return order


def with_flow(order: ClassOrder, **fields: object) -> ClassOrder:
    """Return the order under changed settings of flow."""
    flow = replace(order.settings.flow, **fields)  # type: ignore[arg-type] # named by the caller
    return replace(order, settings=replace(order.settings, flow=flow))


def with_sources(order: ClassOrder, **fields: object) -> ClassOrder:
    """Return the order under changed settings of sources."""
    sources = replace(order.settings.sources, **fields)  # type: ignore[arg-type] # named by the caller
    return replace(order, settings=replace(order.settings, sources=sources))


def by_id(rows: tuple[ManifestRow, ...]) -> dict[str, ManifestRow]:
    """Return rows by YouTube id."""
    return {row.clip.youtube_id: row for row in rows}


def makers(rows: tuple[ManifestRow, ...]) -> dict[str, str]:
    """Return the engine of each ok row by YouTube id."""
    return {row.clip.youtube_id: row.engine for row in rows if row.status is Status.OK}

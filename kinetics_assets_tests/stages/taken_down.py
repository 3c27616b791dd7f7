"""Two datasets with the same clips, the second linked to the first: for tests of takedowns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.settings import (
    AnnotationSettings,
    FrameRecipe,
    Limits,
    ListSettings,
    ResizeRecipe,
    Settings,
    SourceSettings,
    StorageSettings,
)
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.takedown import Outcome, Scope, take_down

OTHER = "kinetics400"
LABEL = "abseiling"


def settings_in(folder: Path, local: Path) -> list[Settings]:
    """Return the settings of the two datasets in a folder."""
    first = Settings(
        root=folder / "root",
        dataset="demo",
        annotations=AnnotationSettings(source=str(folder / "demo lists")),
        sources=SourceSettings(order=("local",), local_folders=(local,), connections=2),
        resized=ResizeRecipe(short_side_px=64),
        rawframes=FrameRecipe(size="64"),
        filelists=ListSettings(min_share=0.0),
        limits=Limits(workers=1, min_free_bytes=0),
    )
    second = replace(
        first,
        dataset=OTHER,
        annotations=AnnotationSettings(source=str(folder / "train.csv")),
        sources=SourceSettings(order=("siblings",)),
        storage=StorageSettings(rawframes_folder=folder / "other disk"),
    )
    return [first, second]


def order_of(settings: Settings) -> ClassOrder:
    """Return the class that the tests work on."""
    return ClassOrder(settings, Split.TRAIN, LABEL)


def rows_of(settings: Settings, stage: Stage) -> dict[ClipId, ManifestRow]:
    """Return the rows of a manifest."""
    return {r.clip: r for r in read_manifest(Layout.of(settings), Split.TRAIN, stage, LABEL)}


def ok_clip(settings: Settings) -> ClipId:
    """Return a clip that is there."""
    rows = rows_of(settings, Stage.VIDEOS)
    return next(clip for clip, row in rows.items() if row.status is Status.OK)


def taken(datasets: list[Settings], *what: str, dataset: str = "") -> Outcome:
    """Take clips down."""
    concerned = [one for one in datasets if dataset in {"", one.dataset}]
    scope = Scope(datasets[0].root, concerned, frozenset(what), dataset)
    return take_down(scope, reason="asked", tell=lambda _: None)


def left_of(folder: Path, clip: ClipId) -> list[Path]:
    """Return what is called like the clip below `folder`."""
    return sorted(folder.rglob(f"{clip.name}*"))

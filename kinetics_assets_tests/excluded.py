"""A Kinetics-700 that shares videos with Kinetics-400's validation, with manifests and no files."""

from __future__ import annotations

from pathlib import Path

from kinetics_assets.core.classes import folder_name
from kinetics_assets.core.clips import Clip, ClipId, Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import WHOLE, ManifestRow, Status
from kinetics_assets.core.settings import AnnotationSettings, ListSettings, Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import read_current
from kinetics_assets.io.manifests import write_manifest
from kinetics_assets.stages.annotations import run_annotations

SAME = Clip(ClipId("AAAAAAAAAAA", 1, 11), "zumba")
PART = Clip(ClipId("BBBBBBBBBBB", 6, 16), "abseiling")
ELSEWHERE = Clip(ClipId("CCCCCCCCCCC", 50, 60), "zumba")
OWN = (
    Clip(ClipId("DDDDDDDDDDD", 1, 11), "zumba"),
    Clip(ClipId("EEEEEEEEEEE", 1, 11), "air drumming"),
)
TRAIN = (SAME, PART, ELSEWHERE, *OWN)
"""Training clips: the very clip of Kinetics-400's validation, one that overlaps another of it, one
from elsewhere in a video of it, and two that it does not share."""
VALIDATION = tuple(Clip(ClipId(letter * 11, 1, 11), "zumba") for letter in "ABCX")
"""Kinetics-400's validation."""
_STAGES = (Stage.VIDEOS, Stage.RAWFRAMES, Stage.FLOW)


def annotate(
    folder: Path, dataset: str, lists: dict[Split, tuple[Clip, ...]], *, root: Path
) -> Settings:
    """Return settings of a dataset with these annotation lists, which are in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, clips in lists.items():
        lines = ["label,youtube_id,time_start,time_end,split"]
        lines += [
            f"{one.label},{one.id.youtube_id},{one.id.start_seconds},{one.id.end_seconds},{split}"
            for one in clips
        ]
        (folder / f"{split}.csv").write_text("\n".join([*lines, ""]))
    settings = Settings(root, dataset, annotations=AnnotationSettings(source=str(folder)))
    run_annotations(settings)
    return settings


def fill(settings: Settings, split: Split, clips: tuple[Clip, ...]) -> None:
    """Write manifests that say that videos, frames and flow of all clips are there."""
    layout = Layout.of(settings)
    edition = read_current(layout)[split].sha256
    for label in sorted({one.label for one in clips}):
        for stage in _STAGES:
            root = layout.relative(layout.stage_root(split, stage))
            end = ".mp4" if stage is Stage.VIDEOS else ""
            rows = [
                ManifestRow(
                    one.id,
                    label,
                    edition,
                    Status.OK,
                    path=f"{root}/{folder_name(label)}/{one.id.name}{end}",
                    size_bytes=1,
                    sha256="0" * 64,
                    frames_decoded=250 - (stage is Stage.FLOW),
                    digest=WHOLE,
                    engine="unknown" if stage is Stage.FLOW else "",
                    profile="unknown" if stage is Stage.FLOW else "",
                )
                for one in sorted(clips)
                if one.label == label
            ]
            write_manifest(layout, split, stage, label, rows=rows)


def leaking(folder: Path, *, dataset: str = "kinetics700", **lists: object) -> Settings:
    """Return settings of a dataset beside Kinetics-400; `lists` are those of the file lists."""
    root = folder / "root"
    annotate(folder / "400", "kinetics400", {Split.VAL: VALIDATION}, root=root)
    given = {Split.TRAIN: TRAIN, Split.VAL: (OWN[1],)}
    plain = annotate(folder / "own", dataset, given, root=root)
    fill(plain, Split.TRAIN, TRAIN)
    return Settings(
        root,
        dataset,
        annotations=plain.annotations,
        filelists=ListSettings(**lists),  # type: ignore[arg-type]  # fields are named by the caller
    )

"""Three versions under one root that share videos, with lists but without a single clip."""

from __future__ import annotations

from pathlib import Path

from kinetics_assets.core.classes import class_indices
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import AnnotationSettings, Settings
from kinetics_assets.stages.annotations import run_annotations

NAMES = ("kinetics400", "kinetics600", "kinetics700")


def video(number: int) -> str:
    """Return a YouTube id."""
    return f"video{number:06d}"


def version(root: Path, dataset: str, rows: dict[Split, list[int]], *, label: str) -> Settings:
    """Return settings of a dataset whose annotation lists have `rows`, and lists of all but one.

    The last clip of each split could not be had, so that it is annotated and not listed.
    """
    lists = root.parent / f"{dataset}-lists"
    lists.mkdir(parents=True)
    settings = Settings(root, dataset, annotations=AnnotationSettings(source=str(lists)))
    layout = Layout.of(settings)
    layout.base.mkdir(parents=True)
    for split, numbers in rows.items():
        csv = ["label,youtube_id,time_start,time_end,split"]
        csv += [f"{label},{video(number)},1,11,{split}" for number in numbers]
        (lists / f"{split}.csv").write_text("\n".join(csv) + "\n")
        folder, index = label.replace(" ", "_"), class_indices(dataset)[label]
        text = "".join(f"{folder}/{video(n)}_000001_000011.mp4 {index}\n" for n in numbers[:-1])
        layout.filelist(split, "videos").write_text(text)
    run_annotations(settings)
    return settings


def three_versions(folder: Path) -> list[Settings]:
    """Return three versions that share videos, in the way the real ones do."""
    root = folder / "data"
    rows = [([1, 2, 3, 4], [8, 9]), ([2, 5, 8, 6], [3, 10]), ([5, 7, 9, 1], [11, 12])]
    labels = ("tying tie", "tying necktie", "tying necktie")
    return [
        version(root, name, {Split.TRAIN: train, Split.VAL: val}, label=label)
        for name, (train, val), label in zip(NAMES, rows, labels, strict=True)
    ]

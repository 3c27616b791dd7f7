"""The dataset of filelists.py: an annotation list and manifests of 240,000 clips, without a video.

Everything is written by the package's own functions; only the verdicts are made up. It is kept
outside the repository, in a folder named after what decides its bytes.
"""

from __future__ import annotations

import csv
import hashlib
import random
import shutil
import string
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from kinetics_like import cache_folder

from kinetics_assets.core.classes import class_names, folder_name
from kinetics_assets.core.clips import Clip, Split
from kinetics_assets.core.evidence import Trial
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import AnnotationSettings, FlowRecipe, Settings, digest
from kinetics_assets.core.stages import Stage
from kinetics_assets.engines.registry import signature
from kinetics_assets.io.annotation_store import load_class_rows
from kinetics_assets.io.manifests import write_manifest
from kinetics_assets.media.tools import versions
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.digests import output_digest, recipe_digest
from kinetics_assets.stages.filelists import kinds_of
from kinetics_assets.stages.list_parts import keep_entries

DATASET: Final = "kinetics400"
SPLIT: Final = Split.TRAIN
ROWS: Final = 240_000
REVISION: Final = 2
HEADER: Final = ("label", "youtube_id", "time_start", "time_end", "split")
LOST_SHARE: Final = 0.08
_BEGUN: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_NAME = string.ascii_letters + string.digits + "-_"


def settings_of(root: Path) -> Settings:
    """Return the settings that the lists are made with: the defaults, the CPU engine."""
    return Settings(
        root=root,
        dataset=DATASET,
        annotations=AnnotationSettings(source=str(root / "kinetics_train.csv")),
        flow=FlowRecipe(engine="cpu"),
    )


def made(real_lists: list[Path], rows: int = ROWS) -> tuple[Path, int]:
    """Return the root of the dataset, made on the first call, and how many of its rows are real."""
    real = _real_rows(real_lists)[:rows]
    plain = settings_of(Path())
    key = digest(REVISION, rows, len(real), *(recipe_digest(s, plain) for s in _PARTS))
    root = cache_folder() / f"filelists-{key}"
    if not (root / "ready").exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        _write_list(root / "kinetics_train.csv", [*real, *_made_up(rows - len(real), real)])
        _fill(settings_of(root))
        (root / "ready").touch()
    return root, len(real)


def _real_rows(paths: list[Path]) -> list[tuple[str, ...]]:
    """Return rows of published lists whose class is one of the dataset's, each clip once."""
    labels, rows = set(class_names(DATASET)), {}
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                name, start, end = row["youtube_id"], row["time_start"], row["time_end"]
                if row["label"] in labels:
                    rows.setdefault(name, (row["label"], name, start, end, "train"))
    return list(rows.values())


def _made_up(count: int, real: list[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yield rows with ids of the same alphabet, evenly over the classes."""
    generator, labels = random.Random(400), class_names(DATASET)
    taken = {row[1] for row in real}
    for number in range(count):
        name = "".join(generator.choices(_NAME, k=11))
        if name not in taken:
            start = generator.randrange(300)
            yield labels[number % len(labels)], name, str(start), str(start + 10), "train"


def _write_list(path: Path, rows: list[tuple[str, ...]]) -> None:
    """Write an annotation list in the official dialect, in the order of the ids."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([HEADER, *sorted(rows, key=lambda row: row[1])])


_PARTS: Final = (Stage.VIDEOS, Stage.RAWFRAMES, Stage.FLOW)


def _fill(settings: Settings) -> None:
    """Store the list and write a manifest of each class in each stage that a list is made of."""
    run_annotations(settings)
    layout = Layout.of(settings)
    recipes = {
        Stage.VIDEOS: recipe_digest(Stage.VIDEOS, settings),
        Stage.RAWFRAMES: recipe_digest(Stage.RAWFRAMES, settings),
        Stage.FLOW: recipe_digest(Stage.FLOW, settings, *signature("cpu")),
    }
    for label in class_names(DATASET):
        rows = load_class_rows(layout, SPLIT, label)
        generator = random.Random(label)
        videos = [video_row(clip, rows.edition, generator) for clip in rows.clips]
        for stage in _PARTS:
            made_rows = [
                _row(stage, row, recipe=recipes[stage], settings=settings) for row in videos
            ]
            write_as_a_step(settings, stage, label, made_rows)


def write_as_a_step(settings: Settings, stage: Stage, label: str, rows: list[ManifestRow]) -> float:
    """Write a manifest and the entries beside it; return the CPU seconds of the latter."""
    layout = Layout.of(settings)
    write_manifest(layout, SPLIT, stage, label, rows=rows)
    before = time.process_time()
    keep_entries(
        layout,
        SPLIT,
        kinds_of(stage, settings),
        stage=stage,
        label=label,
        clips=[row.clip.name for row in rows],
    )
    return time.process_time() - before


def video_row(clip: Clip, edition: str, generator: random.Random) -> ManifestRow:
    """Return what the videos stage might know of a clip, its file and digest left out."""
    finished = _BEGUN + timedelta(microseconds=generator.randrange(10**12))
    row = ManifestRow(clip.id, clip.label, edition, Status.OK, attempts=1, finished_at=finished)
    if generator.random() < LOST_SHARE:
        text = "ERROR: Private video. Sign in if you have been granted access to this video"
        trial = Trial(
            "youtube", Reason.VIDEO_PRIVATE, text, 1, finished, finished, source_works=True
        )
        return replace(
            row,
            status=Status.UNAVAILABLE,
            reason=Reason.VIDEO_PRIVATE,
            reason_text=text,
            tried=(trial,),
            source="youtube",
        )
    seconds = generator.choice([10.0, 10.0, 10.0, 10.01, 9.4])
    fps = generator.choice([25.0, 30.0, 30000 / 1001])
    return replace(
        row,
        source="youtube",
        source_address=f"https://www.youtube.com/watch?v={clip.id.youtube_id}",
        size_bytes=generator.randrange(10**5, 3 * 10**6),
        sha256=hashlib.sha256(clip.id.name.encode()).hexdigest(),
        width_px=generator.choice([640, 1280, 480]),
        height_px=360,
        fps=fps,
        duration_seconds=seconds,
        frames_decoded=round(seconds * fps),
    )


def _row(stage: Stage, video: ManifestRow, *, recipe: str, settings: Settings) -> ManifestRow:
    """Return the row of a stage that was made from `video`."""
    base = f"{stage.value}_{SPLIT}" if stage is Stage.VIDEOS else f"rawframes_{SPLIT}"
    path = f"{base}/{folder_name(video.label)}/{video.clip.name}"
    if video.status is not Status.OK:
        if stage is Stage.VIDEOS:
            return video
        return replace(
            video,
            status=Status.BLOCKED,
            reason=Reason.UPSTREAM,
            reason_text="videos: unavailable (video_private)",
            tried=(),
        )
    made_from = output_digest(recipe, video.sha256)
    if stage is Stage.VIDEOS:
        return replace(video, path=f"{path}.mp4", digest=made_from, tools=versions("av"))
    frames = video.frames_decoded or 0
    row = replace(
        video,
        path=path,
        digest=made_from,
        source=Stage.VIDEOS,
        source_address="",
        tools=versions("av", "simplejpeg"),
        start_index=settings.rawframes.start_index,
        frames_decoded=frames - (stage is Stage.FLOW),
    )
    if stage is Stage.RAWFRAMES:
        return row
    engine, profile = signature("cpu")
    return replace(row, engine=engine, profile=profile, bound_px=settings.flow.bound_px)

"""File lists against manifests: exactly the ok clips, in the announced order."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from kinetics_assets.core.classes import class_indices
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.exclusions import (
    Exclusion,
    exclusion_name,
    exclusion_path,
    parse_exclusion,
)
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.stages import SOUND_STAGES, Stage
from kinetics_assets.verify.findings import Problem, Report

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.clips import Clip
    from kinetics_assets.core.layout import Layout
    from kinetics_assets.core.settings import ListSettings
    from kinetics_assets.verify.annotated import Annotated
    from kinetics_assets.verify.rows import Rows

LISTS = {
    "videos": Stage.VIDEOS,
    "rawframes": Stage.RAWFRAMES,
    "flow": Stage.FLOW,
    "audio": Stage.AUDIO,
    "audio_features": Stage.AUDIO_FEATURES,
    "audio_feature": Stage.AUDIO_FEATURES,
}
"""Kinds of lists, and the stage whose outputs each names if no setting says another."""
_SHOWN_LINES = 3


def check_lists(
    layout: Layout, annotated: Annotated, rows: Rows, report: Report, *, lists: ListSettings
) -> None:
    """Report every line of a split's lists that the manifests do not say, and the reverse.

    The ``.txt`` form is compared with the manifests, the ``.json`` form with the ``.txt`` form.
    Clips that are left out on purpose, by the settings, are noted and must not be in a list.
    """
    split = annotated.split
    try:
        exclusion = _exclusion(layout, annotated, lists)
    except (AnnotationError, OSError) as error:
        text = f"clips to leave out are not known: {error}"
        report.find(Problem.FILELIST, layout.relative(layout.filelist(split, "videos")), text)
        return
    if exclusion:
        count = sum(exclusion.covers(clip.id) for clip in annotated.ordered)
        names = ", ".join(one.name for one in exclusion.lists)
        report.note(f"{split}: {count} rows are left out of the lists on purpose ({names})")
    for kind, of_stage in LISTS.items():
        stage = Stage(lists.videos_from) if kind == "videos" else of_stage
        root = layout.relative(layout.stage_root(split, stage))
        wanted = {
            line: clip
            for line, clip in _wanted(layout.dataset, root, kind, stage=stage, rows=rows).items()
            if not exclusion.covers(clip.id)
        }
        path = layout.filelist(split, kind)
        if not path.exists():
            if wanted:
                report.note(f"{split}: no list of {kind} yet ({len(wanted)} clips are ready)")
            continue
        lines = _read(layout.relative(path), path, report)
        if lines is None:
            continue
        if _compare(layout.relative(path), lines, set(wanted), report):
            order = _order(kind, wanted, annotated, lists)
            if lines != order:
                text = f"shuffled with seed {lists.seed}" if lists.shuffle else "sorted"
                report.find(Problem.FILELIST, layout.relative(path), f"the lines are not {text}")
        if stage not in SOUND_STAGES:
            twin = layout.filelist(split, kind, suffix=".json")
            _compare_json(layout.relative(twin), twin, kind, lines, report)


def _exclusion(layout: Layout, annotated: Annotated, lists: ListSettings) -> Exclusion:
    """Return which clips the lists of a split leave out by the settings."""
    if annotated.split.value not in lists.exclude_from:
        return Exclusion()
    paths = {text: exclusion_path(layout.root, text) for text in lists.exclude}
    found = (
        parse_exclusion(path.read_bytes(), name=exclusion_name(text), where=str(path))
        for text, path in paths.items()
    )
    return Exclusion(tuple(found), by_overlap=lists.exclude_by == "overlap")


def _wanted(dataset: str, root: str, kind: str, *, stage: Stage, rows: Rows) -> dict[str, Clip]:
    """Return the lines that the ok rows of `stage` stand for, and the clip of each."""
    indices = class_indices(dataset)
    return {
        _line(root, kind, row, indices.get(label)): row.annotation
        for (of_stage, label), clips in rows.items()
        if of_stage is stage
        for row in clips.values()
        if row.status is Status.OK
    }


def _line(root: str, kind: str, row: ManifestRow, index: int | None) -> str:
    """Return one row as MMAction2's readers want it; test rows without a class have no index."""
    words = [row.path.removeprefix(f"{root}/")]
    if kind == "audio_feature":  # the reader of 0.x adds the extension
        words = [words[0].removesuffix(".npy")]
    if kind != "videos":
        words.append(str(row.frames_decoded))
    if index is not None:
        words.append(str(index))
    return " ".join(words)


def _read(where: str, path: Path, report: Report) -> list[str] | None:
    """Return the lines of a list, None when it is no text."""
    try:
        text = path.read_bytes().decode("ascii")
    except UnicodeDecodeError as error:
        report.find(Problem.FILELIST, where, f"not plain ASCII: {error}")
        return None
    if text and not text.endswith("\n"):
        report.find(Problem.FILELIST, where, "the last line has no end")
    return text.removesuffix("\n").split("\n") if text else []


def _compare(where: str, lines: list[str], wanted: set[str], report: Report) -> bool:
    """Compare the lines of one list with the wanted ones; return whether it holds just these."""
    there = set(lines)
    twice = len(lines) - len(there)
    if twice:
        report.find(Problem.FILELIST, where, f"{twice} lines are there twice")
    for what, names in {
        "in the list, not in the manifests": sorted(there - wanted),
        "ok in the manifests, not in the list": sorted(wanted - there),
    }.items():
        if names:
            shown = "; ".join(names[:_SHOWN_LINES])
            report.find(Problem.FILELIST, where, f"{len(names)} lines {what}: {shown}")
    if any(line.split(" ")[1:-1] == ["0"] for line in lines):
        report.find(Problem.FILELIST, where, "a line has zero frames")
    return there == wanted and not twice


def _order(
    kind: str, wanted: dict[str, Clip], annotated: Annotated, lists: ListSettings
) -> list[str]:
    """Return the lines in the order that the settings announce.

    MMAction2 shuffles a split's RGB list and then its flow list with one generator, each in the
    order of the annotation list before.
    """
    if not lists.shuffle:
        return sorted(wanted, key=lambda line: line.split(" ")[0])
    rank = {clip: number for number, clip in enumerate(annotated.ordered)}
    ordered = sorted(wanted, key=lambda line: rank.get(wanted[line], -1))
    generator = random.Random(lists.seed)  # noqa: S311 - an order, not a secret
    if kind == "flow":
        generator.shuffle(list(range(len(ordered))))
    generator.shuffle(ordered)
    return ordered


def _compare_json(where: str, path: Path, kind: str, lines: list[str], report: Report) -> None:
    """Compare the JSON form of a list with its lines."""
    if not path.exists():
        report.find(Problem.FILELIST, where, "the list is there, its JSON form is not")
        return
    try:
        records = json.loads(path.read_bytes())
        texts = [_record_text(kind, record) for record in records]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        report.find(Problem.FILELIST, where, f"cannot be read: {error!r}")
        return
    if texts != lines:
        report.find(Problem.FILELIST, where, "says something else than the .txt form")


def _record_text(kind: str, record: dict[str, object]) -> str:
    """Return a JSON record as the line it stands for."""
    labels = record["label"]
    words = [str(label) for label in labels] if isinstance(labels, list) else ["?"]
    if kind == "videos":
        return " ".join([str(record["filename"]), *words])
    return " ".join([str(record["frame_dir"]), str(record["total_frames"]), *words])

"""The filelists stage: MMAction2's lists of a split, from manifests only."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kinetics_assets.core.annotations import parse_list
from kinetics_assets.core.classes import class_indices
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import KineticsError, SettingsError
from kinetics_assets.core.filelists import (
    ListEntry,
    ListKind,
    as_json,
    as_text,
    entries,
    in_shuffled_order,
    in_sorted_order,
)
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import WHOLE, ManifestRow, Status
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import class_versions, load_class_rows
from kinetics_assets.io.atomic import write_file
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.stages.digests import recipe_digest, recipe_of
from kinetics_assets.stages.flow_mixture import recipe_by, refuse_mixed_list
from kinetics_assets.stages.pictures_job import ADOPTED

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kinetics_assets.core.clips import Clip
    from kinetics_assets.core.settings import Settings


class ListsRefused(KineticsError):
    """The lists would be empty, too small or mixed; nothing was written."""


@dataclass(frozen=True, slots=True)
class ListsReport:
    """Outcome of writing the lists of one split."""

    split: Split
    paths: dict[ListKind, Path]
    """The ``.txt`` form; the ``.json`` form stands beside it."""
    lines: dict[ListKind, int]
    rows: int
    """Annotation rows of the split."""
    left_out: dict[ListKind, dict[str, int]]
    """Rows that are not listed, counted by status and reason."""
    data_version: str
    """sha256 of all lists' bytes."""
    changed: bool
    """Whether a byte changed on the disk."""


def run_filelists(settings: Settings, split: Split) -> ListsReport:
    """Write the lists of `split` and return what is in them and what is not.

    Raises:
        ListsRefused: A list would have no line, less than the settings' share of the rows that can
            be had, or outputs of more than one recipe; the message names the dominant reasons.
        MixedFlow: The list of flow would be of several profiles, and ``flow.mixed`` does not ask
            for that.
        InputError: There are no annotations, or a shuffle without a seed is asked for.
    """
    layout = Layout.of(settings)
    if settings.filelists.shuffle and settings.filelists.seed is None:
        raise SettingsError(
            "filelists.shuffle is set without filelists.seed.",
            remedy="Set a seed, so that the lists can be made again.",
        )
    clips = [
        clip
        for label in class_versions(layout, split)
        for clip in load_class_rows(layout, split, label).clips
    ]
    texts: dict[Path, str] = {}
    lines, left_out, paths = {}, {}, {}
    for kind in ListKind:
        rows = _rows_of(kind, settings, layout, split)
        _refuse_mixed(kind, settings, split, rows=rows)
        listed = entries(kind, rows, indices=class_indices(settings.dataset))
        left_out[kind] = _left_out(clips, rows, listed)
        _refuse_small(
            kind,
            settings,
            split,
            total=len(clips),
            listed=listed,
            rows=rows,
            left_out=left_out[kind],
        )
        ordered = _ordered(kind, settings, layout, split, listed=listed)
        paths[kind] = layout.filelist(split, kind)
        lines[kind] = len(ordered)
        texts[paths[kind]] = as_text(ordered)
        texts[layout.filelist(split, kind, suffix=".json")] = as_json(kind, ordered)
    changed = [_write_if_new(path, text) for path, text in texts.items()]
    joined = "".join(f"{path.name}\n{text}" for path, text in sorted(texts.items()))
    return ListsReport(
        split=split,
        paths=paths,
        lines=lines,
        rows=len(clips),
        left_out=left_out,
        data_version=hashlib.sha256(joined.encode()).hexdigest(),
        changed=any(changed),
    )


def stage_of(kind: ListKind, settings: Settings) -> Stage:
    """Return the stage whose outputs a list names."""
    if kind is ListKind.VIDEOS:
        return Stage(settings.filelists.videos_from)
    return Stage(kind.value)


def _rows_of(kind: ListKind, settings: Settings, layout: Layout, split: Split) -> list[ManifestRow]:
    """Return the rows of all classes of the current lists."""
    stage = stage_of(kind, settings)
    rows: list[ManifestRow] = []
    for label in class_versions(layout, split):
        wanted = set(load_class_rows(layout, split, label).clips)
        known = read_manifest(layout, split, stage, label)
        rows += [row for row in known if row.annotation in wanted]
    return rows


def _refuse_mixed(
    kind: ListKind, settings: Settings, split: Split, *, rows: Iterable[ManifestRow]
) -> None:
    """Raise `ListsRefused` when rows were made by another recipe than today's."""
    stage = stage_of(kind, settings)
    adopted = f"{ADOPTED}-from-{settings.rawframes.start_index}"

    def is_stale(row: ManifestRow) -> bool:
        is_flow = stage is Stage.FLOW
        today = recipe_by(row, settings) if is_flow else recipe_digest(stage, settings)
        return recipe_of(row.digest) not in {today, WHOLE, adopted}

    stale = Counter(row.label for row in rows if row.status is Status.OK and is_stale(row))
    if stale:
        names = ", ".join(repr(label) for label, _ in stale.most_common(3))
        raise ListsRefused(
            f"{stale.total()} clips of {len(stale)} classes in {settings.dataset} {split} {stage}"
            f" ({names}, ...) were made with other settings than today's.",
            remedy=f"Run `kinetics prepare {settings.dataset}` so that no list mixes recipes.",
        )
    if stage is Stage.FLOW:
        refuse_mixed_list(settings, split, rows=rows)


def _left_out(
    clips: Iterable[Clip], rows: Iterable[ManifestRow], listed: Iterable[ListEntry]
) -> dict[str, int]:
    """Return how many annotation rows are not listed, by status and reason."""
    names = {row.annotation: f"{row.status}: {row.reason or 'no frames'}" for row in rows}
    there = {entry.clip for entry in listed}
    missing = [clip for clip in clips if clip not in there]
    return dict(Counter(names.get(clip, "not run") for clip in missing).most_common())


def _refuse_small(
    kind: ListKind,
    settings: Settings,
    split: Split,
    *,
    total: int,
    listed: list[ListEntry],
    rows: Iterable[ManifestRow],
    left_out: dict[str, int],
) -> None:
    """Raise `ListsRefused` when the list has no line or too few."""
    unwanted = sum(row.is_permanent_loss or row.status is Status.SKIPPED for row in rows)
    least = settings.filelists.min_share * (total - unwanted)
    if listed and len(listed) >= least:
        return
    why = "; ".join(f"{count} {name}" for name, count in list(left_out.items())[:4])
    raise ListsRefused(
        f"The {kind} list of {settings.dataset} {split} would have {len(listed)} of {total} rows,"
        f" fewer than {max(least, 1):.0f} (left out: {why or 'nothing, the list is empty'}).",
        remedy=f"`kinetics status {settings.dataset}` says more; prepare what is missing first.",
    )


def _ordered(
    kind: ListKind, settings: Settings, layout: Layout, split: Split, *, listed: list[ListEntry]
) -> list[ListEntry]:
    """Return the entries in the order that the settings ask for."""
    seed = settings.filelists.seed
    if not settings.filelists.shuffle or seed is None:
        return in_sorted_order(listed)
    path = layout.annotation_list(split)
    parsed = parse_list(path.read_bytes(), dataset=settings.dataset, split=split, name=str(path))
    annotated = [row.clip for row in parsed.rows]
    return in_shuffled_order(kind, listed, annotated=annotated, seed=seed)


def _write_if_new(path: Path, text: str) -> bool:
    """Write `text` unless the file has it already; return whether it was written."""
    data = text.encode()
    if path.exists() and path.read_bytes() == data:
        return False
    write_file(path, data)
    return True

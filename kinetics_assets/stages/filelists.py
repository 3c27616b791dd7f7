"""The filelists stage: MMAction2's lists of a split, from manifests only."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as arrow_compute

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import KineticsError, SettingsError
from kinetics_assets.core.filelists import (
    EXCLUDED,
    FORMATS,
    ListKind,
    as_json,
    as_text,
    clip_names,
    in_shuffled_order,
    in_sorted_order,
    sorted_classes,
)
from kinetics_assets.core.layout import HISTORY_SUFFIX, Layout
from kinetics_assets.core.manifest import WHOLE, Status
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import (
    class_versions,
    load_class_rows,
    load_rows,
    read_current,
)
from kinetics_assets.io.atomic import os_faults, write_chunks
from kinetics_assets.io.manifests import read_columns
from kinetics_assets.stages.digests import recipe_digest
from kinetics_assets.stages.flow_mixture import refuse_mixed_list
from kinetics_assets.stages.left_out import LeftOut, left_out_of
from kinetics_assets.stages.lineage import stages_above
from kinetics_assets.stages.list_history import list_history
from kinetics_assets.stages.list_parts import ListParts, list_parts
from kinetics_assets.stages.pictures_job import ADOPTED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from kinetics_assets.core.settings import Settings

pc: Any = arrow_compute  # its stubs know few of the types that it takes
_VERDICTS = ("youtube_id", "start_seconds", "end_seconds", "status")
_UNWANTED = (Status.UNAVAILABLE, Status.CORRUPT, Status.SKIPPED)


class ListsRefused(KineticsError):
    """The lists would be empty, too small or mixed; nothing was written."""


@dataclass(frozen=True, slots=True)
class ListsReport:
    """Outcome of writing the lists of one split."""

    split: Split
    paths: dict[ListKind, Path]
    """The ``.txt`` form; the ``.json`` form, if there is one, stands beside it."""
    lines: dict[ListKind, int]
    rows: int
    """Annotation rows of the split."""
    left_out: dict[ListKind, dict[str, int]]
    """Rows that are not listed, counted by status and reason."""
    refused: dict[ListKind, str]
    """Why optional lists were left as they are; they hold back no other list."""
    data_version: str
    """sha256 of the ``.txt`` forms' bytes, which the ``.json`` forms follow from."""
    changed: bool
    """Whether a byte changed on the disk."""
    excluded: LeftOut
    """Which rows were left out on purpose, and by which lists."""


def run_filelists(settings: Settings, split: Split) -> ListsReport:
    """Write the lists of `split` and return what is in them and what is not.

    Raises:
        ListsRefused: A list would have no line, less than the settings' share of the rows that can
            be had, or outputs of more than one recipe; the message names the dominant reasons.
        MixedFlow: The list of flow would be of several profiles, and ``flow.mixed`` does not ask
            for that.
        InputError: There are no annotations, a list of clips to leave out cannot be used, or a
            shuffle without a seed is asked for.
    """
    layout = Layout.of(settings)
    if settings.filelists.shuffle and settings.filelists.seed is None:
        raise SettingsError(
            "filelists.shuffle is set without filelists.seed.",
            remedy="Set a seed, so that the lists can be made again.",
        )
    versions = class_versions(layout, split)
    annotated = read_current(layout)[split].rows
    excluded = left_out_of(settings, layout, split)
    found: dict[ListKind, ListParts] = {}
    left_out: dict[ListKind, dict[str, int]] = {}
    refused: dict[ListKind, str] = {}
    for kind in ListKind:
        stage, is_optional = stage_of(kind, settings), FORMATS[kind].is_optional
        parts = list_parts(layout, split, kind, stage=stage, versions=versions, left_out=excluded)
        if is_optional and not parts.facts:
            continue
        why = _left_out(parts, annotated=annotated, excluded=excluded)
        rows = parts.annotated if is_optional else annotated
        rows -= parts.excluded if is_optional else why.get(EXCLUDED, 0)
        try:
            _refuse_mixed(settings, split, parts)
            _refuse_small(settings, split, parts, wanted=rows, left_out=why, excluded=excluded)
        except ListsRefused as error:
            if not is_optional:
                raise
            refused[kind] = error.message
            continue
        found[kind], left_out[kind] = parts, why
    data_version, changed = hashlib.sha256(), False
    for kind, parts in found.items():
        entries = _ordered(settings, split, parts)
        path, text = layout.filelist(split, kind), as_text(entries)
        data_version.update(f"{path.name}\n".encode())
        for piece in text:
            data_version.update(piece)
        changed |= _write_if_new(path, text)
        if FORMATS[kind].has_json:
            changed |= _write_if_new(layout.filelist(split, kind, suffix=".json"), as_json(entries))
        history = list_history(
            settings,
            layout,
            split,
            parts=parts,
            text=text,
            left_out=left_out[kind],
            excluded=excluded.record(),
        )
        beside = layout.filelist(split, kind, suffix=HISTORY_SUFFIX)
        changed |= _write_if_new(beside, [memoryview(history)])
        parts.save(layout, split)
    return ListsReport(
        split=split,
        paths={kind: layout.filelist(split, kind) for kind in found},
        lines={kind: parts.listed for kind, parts in found.items()},
        rows=annotated,
        left_out=left_out,
        refused=refused,
        data_version=data_version.hexdigest(),
        changed=changed,
        excluded=excluded,
    )


def stage_of(kind: ListKind, settings: Settings) -> Stage:
    """Return the stage whose outputs a list names."""
    if kind is ListKind.VIDEOS:
        return Stage(settings.filelists.videos_from)
    return Stage.AUDIO_FEATURES if kind is ListKind.AUDIO_FEATURE else Stage(kind.value)


def kinds_of(stage: Stage, settings: Settings) -> list[ListKind]:
    """Return the lists that name the outputs of a stage."""
    return [kind for kind in ListKind if stage_of(kind, settings) is stage]


def _refuse_mixed(settings: Settings, split: Split, parts: ListParts) -> None:
    """Raise `ListsRefused` when rows were made by another recipe than today's."""
    stage = parts.stage
    adopted = f"{ADOPTED}-from-{settings.rawframes.start_index}"
    stale: Counter[str] = Counter()
    profiles: Counter[str] = Counter()
    for label, facts in sorted(parts.facts.items()):
        for recipe, engine, profile, count in facts.makers:
            made_by = (engine, profile) if stage is Stage.FLOW else ()
            if recipe not in {recipe_digest(stage, settings, *made_by), WHOLE, adopted}:
                stale[label] += count
            profiles[profile] += count
    if stale:
        names = ", ".join(repr(label) for label, _ in stale.most_common(3))
        raise ListsRefused(
            f"{stale.total()} clips of {len(stale)} classes in {settings.dataset} {split} {stage}"
            f" ({names}, ...) were made with other settings than today's.",
            remedy=f"Run `kinetics prepare {settings.dataset}` so that no list mixes recipes.",
        )
    if stage is Stage.FLOW:
        refuse_mixed_list(settings, split, profiles=profiles)


def _left_out(parts: ListParts, *, annotated: int, excluded: LeftOut) -> dict[str, int]:
    """Return how many annotation rows are not listed, by status and reason."""
    total: Counter[str] = Counter()
    for facts in parts.facts.values():
        total.update(facts.left_out)
    counts = excluded.counts
    total[EXCLUDED] += sum(counts[label] for label in counts.keys() - parts.facts.keys())
    total["not run"] += annotated - parts.listed - total.total()
    return {why: count for why, count in total.most_common() if count}


def _refuse_small(
    settings: Settings,
    split: Split,
    parts: ListParts,
    *,
    wanted: int,
    left_out: dict[str, int],
    excluded: LeftOut,
) -> None:
    """Raise `ListsRefused` when the list has no line or too few of the rows that are `wanted`.

    Neither rows that are lost for good or skipped count, nor those that such a row of a stage
    before blocks.
    """
    share = settings.filelists.min_share
    to_be_had = wanted - sum(
        facts.statuses.get(status, 0) for facts in parts.facts.values() for status in _UNWANTED
    )
    if 0 < parts.listed < share * to_be_had:  # only then: it takes seconds to read manifests
        to_be_had -= sum(
            _lost_before(settings, split, parts.stage, label, excluded=excluded.names)
            for label, facts in parts.facts.items()
            if facts.statuses.get(Status.BLOCKED)
        )
    least = share * to_be_had
    if parts.listed and parts.listed >= least:
        return
    why = "; ".join(f"{count} {name}" for name, count in list(left_out.items())[:4])
    raise ListsRefused(
        f"The {parts.kind} list of {settings.dataset} {split} would have {parts.listed} of"
        f" {wanted} rows, fewer than {max(least, 1):.0f}"
        f" (left out: {why or 'nothing, the list is empty'}).",
        remedy=f"`kinetics status {settings.dataset}` says more; prepare what is missing first.",
    )


def _lost_before(
    settings: Settings,
    split: Split,
    stage: Stage,
    label: str,
    *,
    excluded: Mapping[str, Collection[str]],
) -> int:
    """Return how many rows of a class are blocked by a loss or a skipped row in any stage before.

    Clips that are left out on purpose are passed over.
    """
    layout = Layout.of(settings)
    lost = set[str]()
    for above in stages_above(settings, stage):
        lost |= _clips_of(layout, split, above, label, statuses=_UNWANTED)
    blocked = _clips_of(layout, split, stage, label, statuses=(Status.BLOCKED,))
    annotated = {clip.id.name for clip in load_class_rows(layout, split, label).clips}
    return len((blocked & lost & annotated).difference(excluded.get(label, ())))


def _clips_of(
    layout: Layout, split: Split, stage: Stage, label: str, *, statuses: Collection[Status]
) -> set[str]:
    """Return the names of a class's clips whose rows have one of some statuses."""
    rows = read_columns(layout, split, stage, label, names=_VERDICTS)
    if rows is None:
        return set()
    each = zip(clip_names(rows), rows["status"].to_pylist(), strict=True)
    return {name for name, status in each if status in statuses}


def _ordered(settings: Settings, split: Split, parts: ListParts) -> list[pa.RecordBatch]:
    """Return the entries in the order that the settings ask for."""
    seed = settings.filelists.seed
    labels = sorted_classes(parts.facts)
    if settings.filelists.shuffle and seed is not None:
        entries = _with_lines(load_rows(Layout.of(settings), split), parts)
        table = in_shuffled_order(parts.kind, entries, seed=seed)
    elif labels is None:
        table = in_sorted_order(pa.Table.from_batches(parts.batches(parts.facts)))
    else:
        return parts.batches(labels)
    return table.combine_chunks().to_batches()


def _with_lines(annotated: pa.Table, parts: ListParts) -> pa.Table:
    """Return all entries with ``line``, the clip's place in the annotation list."""
    labels = [label for label, facts in parts.facts.items() if facts.listed]
    batches = parts.batches(labels)
    counts: Any = annotated["label"].value_counts()  # they come in the order of the rows
    first_rows, start = {}, 0
    for one in counts.to_pylist():
        first_rows[one["values"]] = start
        start += one["counts"]
    rows = [
        pc.add(batch.column("rank"), first_rows[label])
        for label, batch in zip(labels, batches, strict=True)
    ]
    lines = annotated["line"].take(pa.chunked_array(rows))
    return pa.Table.from_batches(batches).append_column("line", lines)


def _write_if_new(path: Path, pieces: Sequence[memoryview]) -> bool:
    """Write `pieces` unless the file has them already; return whether it was written."""
    with os_faults(f"reading {path}"):
        if path.exists() and path.stat().st_size == sum(map(len, pieces)):
            with path.open("rb") as file:
                if all(file.read(len(piece)) == bytes(piece) for piece in pieces):
                    return False
    write_chunks(path, pieces)
    return True

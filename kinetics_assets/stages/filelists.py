"""The filelists stage: MMAction2's lists of a split, from manifests only."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as arrow_compute

from kinetics_assets.core.classes import class_indices
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import KineticsError, SettingsError
from kinetics_assets.core.filelists import (
    COLUMNS,
    ListKind,
    as_json,
    as_text,
    entries,
    in_shuffled_order,
    in_sorted_order,
)
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import SCHEMA, WHOLE, Status
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import class_versions, load_rows
from kinetics_assets.io.atomic import write_file
from kinetics_assets.io.manifests import read_columns
from kinetics_assets.stages.digests import recipe_digest
from kinetics_assets.stages.flow_mixture import refuse_mixed_list
from kinetics_assets.stages.pictures_job import ADOPTED

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.settings import Settings

pc: Any = arrow_compute  # its stubs know few of the types that it takes
_ANNOTATION = ("youtube_id", "start_seconds", "end_seconds", "label")
_WHY = ("status", "reason")
_MAKER = ("engine", "profile")
_UNWANTED = (Status.UNAVAILABLE, Status.CORRUPT, Status.SKIPPED)


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
    annotated = load_rows(layout, split)
    texts: dict[Path, str] = {}
    lines, left_out, paths = {}, {}, {}
    for kind in ListKind:
        rows = _rows_of(kind, settings, layout, split, annotated=annotated)
        _refuse_mixed(kind, settings, split, rows=rows)
        listed = entries(kind, rows, indices=class_indices(settings.dataset))
        left_out[kind] = _left_out(annotated, rows, listed)
        _refuse_small(
            kind,
            settings,
            split,
            total=len(annotated),
            listed=len(listed),
            rows=rows,
            left_out=left_out[kind],
        )
        ordered = _ordered(kind, settings, listed)
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
        rows=len(annotated),
        left_out=left_out,
        data_version=hashlib.sha256(joined.encode()).hexdigest(),
        changed=any(changed),
    )


def stage_of(kind: ListKind, settings: Settings) -> Stage:
    """Return the stage whose outputs a list names."""
    if kind is ListKind.VIDEOS:
        return Stage(settings.filelists.videos_from)
    return Stage(kind.value)


def _rows_of(
    kind: ListKind, settings: Settings, layout: Layout, split: Split, *, annotated: pa.Table
) -> pa.Table:
    """Return what the manifests of a stage say of `annotated`, each row with its ``line`` there."""
    stage = stage_of(kind, settings)
    names = (*_ANNOTATION, *COLUMNS, *_WHY, "digest", *(_MAKER if stage is Stage.FLOW else ()))
    tables = (
        read_columns(layout, split, stage, label, names=names)
        for label in class_versions(layout, split)
    )
    found = [table for table in tables if table is not None]
    nothing = pa.schema([SCHEMA.field(name) for name in SCHEMA.names if name in names])
    rows = pa.concat_tables([nothing.empty_table(), *found]).combine_chunks()
    return _with_lines(rows, annotated)


def _with_lines(rows: pa.Table, annotated: pa.Table) -> pa.Table:
    """Return `rows` with the ``line`` of each annotation; without those that have none."""
    lines = annotated["line"].combine_chunks()
    is_same = len(rows) == len(annotated) and all(
        rows[name].combine_chunks().equals(annotated[name].combine_chunks()) for name in _ANNOTATION
    )
    if is_same:  # as it is once every class was run
        return rows.append_column("line", lines)
    places = pc.index_in(_keys(rows), value_set=_keys(annotated))
    rows = rows.append_column("line", lines.take(places))
    return rows.filter(pc.is_valid(rows["line"]))


def _keys(table: pa.Table) -> pa.Array[Any]:
    """Return a text for each row that only rows of the same annotation have."""
    columns = (pc.cast(table[name].combine_chunks(), pa.string()) for name in _ANNOTATION)
    return pc.binary_join_element_wise(*columns, " ")


def _refuse_mixed(kind: ListKind, settings: Settings, split: Split, *, rows: pa.Table) -> None:
    """Raise `ListsRefused` when rows were made by another recipe than today's."""
    stage = stage_of(kind, settings)
    good = rows.filter(pc.equal(rows["status"], Status.OK.value))
    is_stale = _is_stale(good, today=recipe_digest(stage, settings), settings=settings)
    if stage is Stage.FLOW:
        for engine, profile in _makers(good):
            by_it = pc.and_(pc.equal(good["engine"], engine), pc.equal(good["profile"], profile))
            today = recipe_digest(stage, settings, engine, profile)
            of_it = _is_stale(good, today=today, settings=settings)
            is_stale = pc.if_else(by_it, of_it, is_stale)
    stale = Counter(good.filter(is_stale)["label"].to_pylist())
    if stale:
        names = ", ".join(repr(label) for label, _ in stale.most_common(3))
        raise ListsRefused(
            f"{stale.total()} clips of {len(stale)} classes in {settings.dataset} {split} {stage}"
            f" ({names}, ...) were made with other settings than today's.",
            remedy=f"Run `kinetics prepare {settings.dataset}` so that no list mixes recipes.",
        )
    if stage is Stage.FLOW:
        refuse_mixed_list(settings, split, profiles=_counted(good["profile"]))


def _is_stale(rows: pa.Table, *, today: str, settings: Settings) -> pa.ChunkedArray[Any]:
    """Return for each row whether its output is of another recipe than `today`'s.

    As `recipe_of` has it, for all rows at once.
    """
    adopted = f"{ADOPTED}-from-{settings.rawframes.start_index}"
    of_recipe = [
        match(rows["digest"], text)
        for recipe in (today, WHOLE, adopted)
        for match, text in ((pc.equal, recipe), (pc.starts_with, f"{recipe}."))
    ]
    return pc.invert(reduce(pc.or_, of_recipe))


def _makers(rows: pa.Table) -> set[tuple[str, str]]:
    """Return engine and profile of all rows."""
    pairs = rows.group_by(list(_MAKER), use_threads=False).aggregate([]).to_pylist()
    return {(pair["engine"], pair["profile"]) for pair in pairs}


def _left_out(annotated: pa.Table, rows: pa.Table, listed: pa.Table) -> dict[str, int]:
    """Return how many annotation rows are not listed, by status and reason."""
    is_listed = pc.is_in(annotated["line"], value_set=listed["line"])
    missing = annotated["line"].filter(pc.invert(is_listed))
    others = rows.filter(pc.is_in(rows["line"], value_set=missing)).select(["line", *_WHY])
    why = {
        row["line"]: f"{row['status']}: {row['reason'] or 'no frames'}"
        for row in others.to_pylist()
    }
    return dict(Counter(why.get(line, "not run") for line in missing.to_pylist()).most_common())


def _refuse_small(
    kind: ListKind,
    settings: Settings,
    split: Split,
    *,
    total: int,
    listed: int,
    rows: pa.Table,
    left_out: dict[str, int],
) -> None:
    """Raise `ListsRefused` when the list has no line or too few."""
    counts = _counted(rows["status"])
    unwanted = sum(counts[status] for status in _UNWANTED)
    least = settings.filelists.min_share * (total - unwanted)
    if listed and listed >= least:
        return
    why = "; ".join(f"{count} {name}" for name, count in list(left_out.items())[:4])
    raise ListsRefused(
        f"The {kind} list of {settings.dataset} {split} would have {listed} of {total} rows,"
        f" fewer than {max(least, 1):.0f} (left out: {why or 'nothing, the list is empty'}).",
        remedy=f"`kinetics status {settings.dataset}` says more; prepare what is missing first.",
    )


def _ordered(kind: ListKind, settings: Settings, listed: pa.Table) -> pa.Table:
    """Return the entries in the order that the settings ask for."""
    seed = settings.filelists.seed
    if not settings.filelists.shuffle or seed is None:
        return in_sorted_order(listed)
    return in_shuffled_order(kind, listed, seed=seed)


def _counted(column: pa.ChunkedArray[Any]) -> Counter[str]:
    """Return how often each value is in a column."""
    found = pc.value_counts(column).to_pylist()
    return Counter({one["values"]: one["counts"] for one in found})


def _write_if_new(path: Path, text: str) -> bool:
    """Write `text` unless the file has it already; return whether it was written."""
    data = text.encode()
    if path.exists() and path.read_bytes() == data:
        return False
    write_file(path, data)
    return True

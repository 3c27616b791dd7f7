"""Entries of file lists by class, kept beside the manifests so that only what changed is read anew.

To open 1,200 manifests and to make text of their rows takes seconds; to stat them, milliseconds.
What the entries of a class were made from is written beside them: the manifest's stamp, the hash of
the class's annotated clips, and that of those that are left out on purpose. They are believed only
while all are the same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as arrow_compute

from kinetics_assets.core.annotations import hash_of_names
from kinetics_assets.core.classes import class_indices, class_names
from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.filelists import (
    COLUMNS,
    ENTRIES,
    EXCLUDED,
    FORMATS,
    ClassFacts,
    ListKind,
    class_entries,
    clip_names,
)
from kinetics_assets.core.settings import digest
from kinetics_assets.io.annotation_store import load_class_rows
from kinetics_assets.io.manifests import read_columns
from kinetics_assets.io.manifests_digest import manifest_stamp, manifest_stamps
from kinetics_assets.io.part_files import Part, read_parts, write_parts
from kinetics_assets.stages.left_out import LeftOut

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.exclusions import Exclusion
    from kinetics_assets.core.layout import Layout
    from kinetics_assets.core.stages import Stage
    from kinetics_assets.io.manifests_digest import Stamp

pc: Any = arrow_compute  # its stubs know few of the types that it takes
_REVISION: Final = 1
"""Raised by hand when the same manifest gives other entries or facts."""
_BY_STEP: Final = "step"
_NOTHING: Final = LeftOut()
MOST_READ_EACH_TIME: Final = 16
"""Classes that may be out of date before the file of parts is written again: writing it costs about
as much as reading as many manifests. A split of fewer classes has no such file."""


@dataclass(frozen=True, slots=True)
class ListParts:
    """The entries of one list of a split, class by class."""

    kind: ListKind
    stage: Stage
    facts: dict[str, ClassFacts]
    """Of each class that has a manifest."""
    read_again: int
    """Manifests that had to be read."""
    _parts: dict[str, Part]

    @property
    def listed(self) -> int:
        """Entries of the list."""
        return sum(facts.listed for facts in self.facts.values())

    @property
    def annotated(self) -> int:
        """Annotation rows of the classes that have a manifest."""
        classes = self.facts.values()
        return self.listed + sum(sum(facts.left_out.values()) for facts in classes)

    @property
    def excluded(self) -> int:
        """Those of `annotated` that are left out on purpose."""
        return sum(facts.left_out.get(EXCLUDED, 0) for facts in self.facts.values())

    def batches(self, labels: Iterable[str]) -> list[pa.RecordBatch]:
        """Return the entries of some classes, in this order."""
        return [
            pa.ipc.read_record_batch(pa.py_buffer(self._parts[label].content), ENTRIES)
            for label in labels
        ]

    def save(self, layout: Layout, split: Split) -> None:
        """Keep the entries for the next time, if it is worth it."""
        if self.read_again > MOST_READ_EACH_TIME:
            path = layout.list_parts(split, self.kind, self.stage)
            write_parts(path, self._parts, maker=_maker(layout, self.kind))


def list_parts(
    layout: Layout,
    split: Split,
    kind: ListKind,
    *,
    stage: Stage,
    versions: Mapping[str, str],
    left_out: LeftOut = _NOTHING,
) -> ListParts:
    """Return the entries of a list, read from the manifests as far as they are not known.

    Args:
        layout: Paths of the dataset.
        split: The list's.
        kind: The list.
        stage: Whose outputs it names.
        versions: Hash of the annotated clips of each class.
        left_out: Clips that are left out on purpose.

    Raises:
        InternalError: A manifest is damaged; the message names it and the remedy.
        AnnotationError: The annotations are.
    """
    maker = _maker(layout, kind)
    kept = read_parts(layout.list_parts(split, kind, stage), maker=maker)
    read = partial(_read, layout, split, kind, stage=stage, exclusion=left_out.exclusion)
    parts: dict[str, Part] = {}
    read_again = 0
    for label, stamp in manifest_stamps(layout, split, stage).items():
        part = kept.parts.get(label)
        wanted = _source(stamp, versions[label], excluded=left_out.names.get(label, ()))
        if (
            part is None
            or part.source != wanted
            or not stamp.settled(by_ns=kept.written_ns)
            or not part.is_whole()
        ):
            part = _kept_by_step(layout, split, kind, stage, label, source=wanted, maker=maker)
        if part is None:
            part = read(label=label, stamp=stamp, current=versions[label])
            read_again += 1
        parts[label] = part
    facts = {label: ClassFacts.from_record(part.facts) for label, part in parts.items()}
    return ListParts(kind, stage, facts, read_again, parts)


def keep_entries(
    layout: Layout,
    split: Split,
    kinds: Iterable[ListKind],
    *,
    stage: Stage,
    label: str,
    clips: Iterable[str],
) -> None:
    """Keep the entries of one class, so that no list has to open its manifest.

    For the step that has just written the manifest, and still holds the class's lock. Whoever
    writes the next one takes the entries away first, so they need not be older than a tick of the
    clock, as those do that a list keeps.

    Args:
        layout: Paths of the dataset.
        split: Of the class.
        kinds: Lists that name the outputs of the stage.
        stage: Whose manifest it is.
        label: The class.
        clips: Names of its annotated clips.

    Raises:
        InternalError: The manifest is damaged.
        OSError: It cannot be looked at, or the entries cannot be written.
    """
    stamp = manifest_stamp(layout.manifest(split, stage, label))
    version = hash_of_names(sorted(clips))
    sources = {kind: f"{_maker(layout, kind)} {_source(stamp, version)}" for kind in kinds}
    path = layout.class_entries(split, stage, label)
    there = read_parts(path, maker=_BY_STEP).parts
    if not sources or {kind: part.source for kind, part in there.items()} == sources:
        return
    parts = {}
    for kind, source in sources.items():
        read = partial(_read, layout, split, kind, stage=stage, exclusion=_NOTHING.exclusion)
        made = read(label=label, stamp=stamp, current=version)
        parts[kind.value] = replace(made, source=source)
    write_parts(path, parts, maker=_BY_STEP)


def _kept_by_step(
    layout: Layout,
    split: Split,
    kind: ListKind,
    stage: Stage,
    label: str,
    *,
    source: str,
    maker: str,
) -> Part | None:
    """Return the entries that `keep_entries` kept, None unless they are made from `source`."""
    path = layout.class_entries(split, stage, label)
    part = read_parts(path, maker=_BY_STEP).parts.get(kind.value)
    if part is None or part.source != f"{maker} {source}" or not part.is_whole():
        return None
    return replace(part, source=source)


def _read(
    layout: Layout,
    split: Split,
    kind: ListKind,
    *,
    stage: Stage,
    label: str,
    stamp: Stamp,
    current: str,
    exclusion: Exclusion,
) -> Part:
    """Return facts and entries of one class, from its manifest, whose stamp was taken before."""
    rows = read_columns(layout, split, stage, label, names=COLUMNS)
    if rows is None:
        raise InternalError(f"{layout.manifest(split, stage, label)} was deleted just now.")
    if set(rows["label"].to_pylist()) - {label}:
        rows = rows.filter(pc.equal(rows["label"], label))
    annotated = sorted(clip_names(rows))
    version = hash_of_names(annotated)
    if version != current:  # the class has not run since its list changed
        clips = load_class_rows(layout, split, label).clips
        annotated = sorted(clip.id.name for clip in clips)
        version = hash_of_names(annotated)
    index = class_indices(layout.dataset).get(label)
    # asked of these very clips: the list may have been replaced since the others were looked up
    excluded = exclusion.covered(annotated)
    batch, facts = class_entries(kind, rows, annotated=annotated, index=index, excluded=excluded)
    source = _source(stamp, version, excluded=excluded)
    return Part.of(source, asdict(facts), batch.serialize().to_pybytes())


def _source(stamp: Stamp, version: str, *, excluded: Collection[str] = ()) -> str:
    """Return what the entries of a class are made from."""
    without = f" {hash_of_names(excluded)}" if excluded else ""
    return f"{stamp.text} {version}{without}"


def _maker(layout: Layout, kind: ListKind) -> str:
    """Return what entries of a list depend on besides manifest and annotated clips."""
    return digest(_REVISION, kind, FORMATS[kind], layout.dataset, class_names(layout.dataset))

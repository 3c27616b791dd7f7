"""Sets of clips by name: a list file, a dataset, a split of it, or an edition that was kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kinetics_assets.core.annotations import ParsedList, edition_sha256, parse_list, split_list
from kinetics_assets.core.classes import DATASETS, parse_dataset
from kinetics_assets.core.clips import Clip, Split, parse_split
from kinetics_assets.core.errors import AnnotationError, InputError
from kinetics_assets.core.layout import EDITION_DIGITS, Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.annotation_store import class_hashes, load_class_rows, read_current
from kinetics_assets.io.atomic import os_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

_REMEDY: Final = (
    "Give the path of a list, or DATASET, DATASET/SPLIT or DATASET:EDITION, where EDITION is the"
    " beginning of its sha256."
)


@dataclass(frozen=True, slots=True)
class ClipSet:
    """Clips, and what they are called."""

    name: str
    clips: tuple[Clip, ...]
    rejected: int = 0
    """Lines of a list file that are no annotation."""
    editions: tuple[str, ...] = ()
    """sha256 of each list that the clips are from; of one that was kept, its first digits."""


def read_set(text: str, *, root: Path) -> ClipSet:
    """Return the clips that `text` names.

    Args:
        text: Path of an annotation list; or ``DATASET[/SPLIT]``, whose current lists under `root`
            it means, all splits if none is named; or ``DATASET:EDITION``, a list that was kept.
        root: Folder of all datasets.

    Raises:
        InputError: There is nothing of that name, or it cannot be understood.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return _read_file(path)
    where, is_kept, edition = text.partition(":")
    dataset, _, split = where.partition("/")
    if (dataset not in DATASETS and (path.suffix or split)) or (split and is_kept):
        raise InputError(f"There is no list {text}.", remedy=_REMEDY)
    layout = Layout.of(Settings(root=root, dataset=parse_dataset(dataset)))
    if is_kept:
        name = _edition(layout, edition)
        return ClipSet(text, tuple(_clips(layout, name)), editions=(name,))
    wanted = parse_split(split) if split else None
    current = read_current(layout)
    if wanted is not None and wanted not in current:
        raise InputError(
            f"{dataset} has no {wanted} list, only: {', '.join(current)}.", remedy=_REMEDY
        )
    chosen = [one for one in current if wanted in {None, one}]
    editions = tuple(current[one].sha256 for one in chosen)
    clips = tuple(clip for edition in editions for clip in _clips(layout, edition))
    return ClipSet(text, clips, editions=editions)


def _read_file(path: Path) -> ClipSet:
    """Return the clips of a list file, whose classes may be those of any dataset.

    A set of clips needs no split: a list without a split column is read as a whole.
    """
    with os_faults(f"reading {path}"):
        data = path.read_bytes()
    try:
        lists = split_list(data, name=path.name)
    except AnnotationError:
        lists = {Split.TEST: data}  # what has no header at all is refused below
    best: list[ParsedList] = []
    for dataset in DATASETS:
        parsed = [
            parse_list(part, dataset=dataset, split=split, name=path.name)
            for split, part in lists.items()
        ]
        if not best or _rejected(parsed) < _rejected(best):
            best = parsed
        if not _rejected(best):
            break
    clips = tuple(row.clip for one in best for row in one.rows)
    return ClipSet(path.name, clips, _rejected(best), (edition_sha256(data),))


def _rejected(lists: list[ParsedList]) -> int:
    """Return how many lines are no annotation."""
    return sum(len(one.rejected) for one in lists)


def _edition(layout: Layout, beginning: str) -> str:
    """Return the name of the kept edition that begins so.

    Raises:
        InputError: There is none, or more than one.
    """
    folders = layout.editions.iterdir() if layout.editions.is_dir() else ()
    names = sorted(folder.name for folder in folders if len(folder.name) == EDITION_DIGITS)
    found = [name for name in names if name.startswith(beginning.lower()[:EDITION_DIGITS])]
    if len(found) != 1:
        raise InputError(
            f"{layout.dataset} has {len(found)} editions that begin with {beginning!r}.",
            remedy=f"Its editions are: {', '.join(names) or 'none'}.",
        )
    return found[0]


def _clips(layout: Layout, edition: str) -> Iterator[Clip]:
    """Yield the clips of a kept edition."""
    for label in class_hashes(layout, edition):
        # an edition is of one split, which it is read without
        yield from load_class_rows(layout, Split.TRAIN, label, edition=edition).clips

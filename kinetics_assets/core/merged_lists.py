"""One training set of several versions of Kinetics, as Kinetics-710 is made.

After Li et al. 2022 (arXiv 2211.09552): the training lists are put together, a video that is in
several of them is kept once, and no video is trained on that any version validates or tests with.
Labels become places in the merged list of 710 classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import Split
from kinetics_assets.core.label_bridges import merged_indices

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kinetics_assets.core.exclusions import Exclusion

_TIMES: Final = len("_000000_000010")


VERSIONS: Final = {
    "kinetics400": "k400",
    "kinetics600": "k600",
    "kinetics700": "k700",
    "kinetics700_2020": "k700",
}
"""Datasets that can be merged, and the beginning of their lists' names."""
LISTED: Final = (Split.TRAIN, Split.VAL)
"""Splits that are merged."""


@dataclass(frozen=True, slots=True)
class MergedList:
    """The lines of one version that are in the merged training or validation set."""

    lines: tuple[str, ...]
    """``<class>/<clip>.mp4 <merged label>``, in the order of the version's own list."""
    held_out: int = 0
    """Lines left out because a version validates or tests with their video."""
    repeated: int = 0
    """Lines left out because an earlier version has their video."""
    excluded: int = 0
    """Lines left out on purpose, that the version's own list still had."""


@dataclass(slots=True)
class _Taken:
    """Videos that are taken so far, and by which version."""

    by: dict[str, str] = field(default_factory=dict)

    def is_by_another(self, video: str, dataset: str) -> bool:
        """Return whether another version has `video`; if none has, `dataset` has it now."""
        return self.by.setdefault(video, dataset) != dataset


def merged_training(
    lists: Mapping[str, Iterable[str]], *, held_out: Collection[str]
) -> dict[str, MergedList]:
    """Return what of each version's training list is in the merged set.

    Several clips of one video stay together if they are of one version.

    Args:
        lists: Dataset -> lines of its ``videos`` training list; earlier datasets come first.
        held_out: YouTube ids that no clip may be of.

    Raises:
        ValueError: A line is none of a ``videos`` list.
    """
    taken = _Taken()
    found: dict[str, MergedList] = {}
    for dataset, lines in lists.items():
        kept, refused, repeated = [], 0, 0
        for line in lines:
            path, label = _parts(line)
            video = video_of(path)
            if video in held_out:
                refused += 1
            elif taken.is_by_another(video, dataset):
                repeated += 1
            else:
                kept.append(_line(path, label, dataset))
        found[dataset] = MergedList(tuple(kept), refused, repeated)
    return found


def merged_validation(dataset: str, lines: Iterable[str]) -> MergedList:
    """Return a version's validation list with merged labels; nothing is left out.

    Raises:
        ValueError: A line is none of a ``videos`` list.
    """
    return MergedList(tuple(_line(*_parts(line), dataset) for line in lines))


def without(lines: Iterable[str], exclusion: Exclusion) -> list[str]:
    """Return the lines of a ``videos`` list whose clips are not left out on purpose."""
    names = {line: PurePosixPath(line.rpartition(" ")[0]).stem for line in lines}
    covered = exclusion.covered(names.values())
    return [line for line, name in names.items() if name not in covered]


def video_of(path: str) -> str:
    """Return the YouTube id in the path of a clip, ``<class>/<id>_<%06d>_<%06d>.<suffix>``."""
    return PurePosixPath(path).stem[:-_TIMES]


def _parts(line: str) -> tuple[str, int]:
    """Return path and label of a line."""
    path, _, label = line.rstrip("\n").rpartition(" ")
    if not path or not label.isdecimal():
        raise ValueError(f"{line[:80]!r} is no line of a list of labelled videos.")
    return path, int(label)


def _line(path: str, label: int, dataset: str) -> str:
    """Return the line of a clip in a merged list."""
    places = _places(dataset)
    if label >= len(places):
        raise ValueError(f"{path!r} has label {label}, {dataset} only {len(places)} classes.")
    return f"{path} {places[label]}"


@cache
def _places(dataset: str) -> tuple[int, ...]:
    """Return for each label of `dataset` its place in the merged list."""
    merged = merged_indices(dataset)
    return tuple(merged[name] for name in class_names(dataset))

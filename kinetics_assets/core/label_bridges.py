"""Classes that are the same under other names in other versions of Kinetics.

What is the same is decided by the merged list of 710 classes that came with UniFormerV2 (Li et al.
2022, arXiv 2211.09552) and that checkpoints for "Kinetics-710" use. Its first 400 places are those
of Kinetics-400 in their order, some under their later names, so it tells of each of these what it
became. Names that are in the list stand for themselves; the others are in ``label_bridges.csv``.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from kinetics_assets.core.classes import class_names, parse_class

MERGED = "kinetics710"
"""Name of the merged list and of the folder that its file lists lie in."""
_LISTS_OF = {"kinetics700_2020": "kinetics700"}


@dataclass(frozen=True, slots=True)
class LabelBridge:
    """A class whose name in one version is not the one in the merged list."""

    dataset: str
    label: str
    merged: str
    """Its name in the merged list."""
    evidence: str
    """How that is known."""


@cache
def merged_names() -> tuple[str, ...]:
    """Return the 710 names of the merged list in index order, which is not sorted."""
    resource = files("kinetics_assets.data") / "classes" / f"{MERGED}.txt"
    return tuple(resource.read_text(encoding="utf-8").splitlines())


@cache
def label_bridges() -> tuple[LabelBridge, ...]:
    """Return all bridges, by dataset and label."""
    text = (files("kinetics_assets.data") / "label_bridges.csv").read_text(encoding="utf-8")
    return tuple(LabelBridge(**record) for record in csv.DictReader(text.splitlines()))


@cache
def merged_indices(dataset: str) -> dict[str, int]:
    """Return class name of `dataset` -> 0-based index in the merged list, for all its classes.

    Raises:
        UnknownDataset: There is no such dataset.
    """
    places = {name: index for index, name in enumerate(merged_names())}
    listed = _LISTS_OF.get(dataset, dataset)
    renamed = {
        bridge.label: bridge.merged for bridge in label_bridges() if bridge.dataset == listed
    }
    return {name: places[renamed.get(name, name)] for name in class_names(dataset)}


def same_class(dataset: str, label: str, *, other: str) -> str | None:
    """Return what the class `label` of `dataset` is called in the dataset `other`.

    None where `other` has no class with the same place in the merged list.

    Raises:
        UnknownClass: `dataset` has no class `label`.
        UnknownDataset: There is no such dataset.
    """
    place = merged_indices(dataset)[parse_class(dataset, label)]
    named = {index: name for name, index in merged_indices(other).items()}
    return named.get(place)

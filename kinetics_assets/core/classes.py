"""Class names: the shipped lists, the stable class index, folder names.

The index of a class is its line in the shipped list, never its rank among the classes that a list
or a disk happens to hold: a subset keeps the indices of the full dataset.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from kinetics_assets.core.errors import UnknownClass, UnknownDataset

UNLABELLED = "unlabelled"
"""Partition and folder of test rows that have no label."""

_CLASS_FILES = {
    "kinetics400": "kinetics400.txt",
    "kinetics600": "kinetics600.txt",
    "kinetics700": "kinetics700.txt",
    "kinetics700_2020": "kinetics700.txt",
    "demo": "demo.txt",
}
DATASETS: tuple[str, ...] = tuple(_CLASS_FILES)
"""Every dataset the package knows, in the order they are shown."""


def parse_dataset(name: str) -> str:
    """Return `name` if it is a dataset of ours.

    Raises:
        UnknownDataset: it is not; the message lists those that are.
    """
    if name not in _CLASS_FILES:
        raise UnknownDataset(name, DATASETS)
    return name


@cache
def class_names(dataset: str) -> tuple[str, ...]:
    """Return the class names of `dataset` in index order."""
    resource = files("kinetics_assets.data") / "classes" / _CLASS_FILES[parse_dataset(dataset)]
    return tuple(resource.read_text(encoding="utf-8").splitlines())


@cache
def class_indices(dataset: str) -> dict[str, int]:
    """Return class name -> 0-based class index of `dataset`."""
    return {name: index for index, name in enumerate(class_names(dataset))}


def parse_class(dataset: str, label: str) -> str:
    """Return `label` if it is a class of `dataset`; letter case matters.

    Raises:
        UnknownClass: it is not; the message has the nearest known name.
    """
    if label not in class_indices(dataset):
        raise UnknownClass(label, dataset, class_names(dataset))
    return label


def folder_name(label: str) -> str:
    """Return the folder of a class as MMAction2 names it: spaces become underscores, nothing else.

    Apostrophe, parentheses and case stay; a double quote (CSV residue) is dropped.
    """
    return (label or UNLABELLED).replace('"', "").replace(" ", "_")


@cache
def labels_by_folder(dataset: str) -> dict[str, str]:
    """Return folder name -> class name of `dataset`, the unlabelled folder included."""
    return {folder_name(name): name for name in class_names(dataset)} | {UNLABELLED: ""}

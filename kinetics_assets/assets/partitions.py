"""Keys and partitions of the assets: one partition per class."""

from __future__ import annotations

from functools import cache

import dagster as dg

from kinetics_assets.core.classes import UNLABELLED, class_names
from kinetics_assets.core.clips import Split
from kinetics_assets.core.stages import Stage

CLASS_ROWS = "class_rows"
"""Last part of the key of the rows of one class, which stand between the lists and the videos."""
ARCHIVES = "archives"
"""Last part of the key of the mirror's parts that mix classes."""
ARCHIVE_MEMBERS = "archive_members"
"""Last part of the key of what the parts hold of one class."""


def asset_key(dataset: str, split: Split, stage: Stage | str) -> dg.AssetKey:
    """Return the key of a stage of one split."""
    return dg.AssetKey([dataset, split.value, str(stage)])


def annotations_key(dataset: str) -> dg.AssetKey:
    """Return the key of a dataset's annotation lists."""
    return dg.AssetKey([dataset, Stage.ANNOTATIONS.value])


@cache
def class_partitions(dataset: str, split: Split) -> dg.StaticPartitionsDefinition:
    """Return one partition per class, in index order; a test split has one for rows without."""
    names = class_names(dataset)
    return dg.StaticPartitionsDefinition(
        [*names, UNLABELLED] if split is Split.TEST else list(names)
    )


def partition_of(label: str) -> str:
    """Return the partition of a class."""
    return label or UNLABELLED


def label_of(partition: str) -> str:
    """Return the class of a partition, empty for rows without one."""
    return "" if partition == UNLABELLED else partition

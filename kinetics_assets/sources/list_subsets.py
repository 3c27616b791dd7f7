"""Subsets of annotation lists: which rows the settings want, and what is left of lists by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kinetics_assets.core.annotations import edition_sha256, parse_list
from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.subsets import Subset, parse_subset, rows_in
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.sources.list_files import AnnotationList, read_list, split_of

Wanted = Mapping[Split, Subset]
"""The subset of each split's list; empty for all rows of all lists."""


def subsets(settings: Settings) -> dict[Split, Subset]:
    """Return the subset that is wanted of each split's list, empty for all rows of all lists.

    Raises:
        AnnotationError: There is no such file, or it is no list of ids.
    """
    path = settings.annotations.subset
    if path is None:
        return {}
    with os_faults(f"reading {path}"):
        if path.is_file():
            subset = parse_subset(read_list(path), name=str(path))
            return dict.fromkeys(Split, subset)
        files = sorted(path.iterdir()) if path.is_dir() else []
    named = {file: split_of(file.name) for file in files if file.is_file()}
    subsets = {
        split: parse_subset(read_list(file), name=str(file))
        for file, split in named.items()
        if split is not None
    }
    if not subsets:
        raise AnnotationError(
            str(path),
            "annotations.subset is neither a file nor a folder with files for splits.",
            remedy="Name the files train_ids.txt, val_ids.txt and so on.",
        )
    return subsets


def reduced(
    lists: dict[Split, AnnotationList], wanted: Wanted, dataset: str
) -> dict[Split, AnnotationList]:
    """Return `lists` with the rows that are wanted; a list of which none is wanted is left out."""
    if not wanted:
        return lists
    reduced = {}
    for split, one in lists.items():
        if split not in wanted:
            continue
        parsed = parse_list(one.data, dataset=dataset, split=split, name=one.name)
        if any(row.clip.id in wanted[split] for row in parsed.rows):
            data = rows_in(one.data, parsed, wanted[split])
            reduced[split] = replace(one, data=data, address=address_of(one.address, split, wanted))
    if not reduced:
        raise AnnotationError(
            "annotations.subset",
            "no row of the lists is in it.",
            remedy="Are its ids those of another dataset or split?",
        )
    return reduced


def missing_ids(
    wanted: Wanted, lists: Mapping[Split, AnnotationList], dataset: str
) -> tuple[str, ...]:
    """Return what is in subsets and in none of the lists that they are subsets of."""
    if not wanted:
        return ()
    found: dict[Split, set[ClipId]] = {}
    for split, one in lists.items():
        parsed = parse_list(one.data, dataset=dataset, split=split, name=one.name)
        found[split] = {row.clip.id for row in parsed.rows}
    if len(set(map(id, wanted.values()))) == 1:  # one file for all splits
        everything = set().union(*found.values())
        return next(iter(wanted.values())).missing(everything)
    names = (subset.missing(found.get(split, set())) for split, subset in wanted.items())
    return tuple(sorted({name for of_split in names for name in of_split}))


def address_of(address: str, split: Split, wanted: Wanted) -> str:
    """Return where a list came from, with what it is a subset by."""
    if split not in wanted:
        return address
    subset = wanted[split]
    return f"{address} (subset of {len(subset.videos) + len(subset.clips)} ids)"


def digest_of(wanted: Wanted) -> str:
    """Return a digest of what is wanted, empty if everything is."""
    if not wanted:
        return ""
    lines: list[str] = []
    for split in sorted(wanted):
        names = sorted(wanted[split].videos | {clip.name for clip in wanted[split].clips})
        lines += [f"{split}\n", *(f"{name}\n" for name in names)]
    return edition_sha256("".join(lines).encode())

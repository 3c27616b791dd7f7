"""Writes the lists of Kinetics-710 from the lists of 400, 600 and 700.

No file of the three is touched or copied: each line names a clip in its own dataset's folder, as
MMAction2's configurations of Kinetics-710 expect, with a root for each list.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import AnnotationError, SettingsError
from kinetics_assets.core.label_bridges import MERGED, merged_names
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.merged_lists import (
    LISTED,
    VERSIONS,
    MergedList,
    merged_training,
    merged_validation,
    without,
)
from kinetics_assets.io.annotation_store import (
    load_rows,
    read_current,
    splits_present,
    write_if_changed,
)
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.io.exclusions import read_exclusion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kinetics_assets.core.exclusions import Exclusion
    from kinetics_assets.core.settings import Settings


@dataclass(frozen=True, slots=True)
class MergedReport:
    """Outcome of writing the merged lists."""

    lists: dict[tuple[str, Split], MergedList]
    paths: dict[tuple[str, Split], Path]
    held_out: int
    """Videos that some version validates or tests with."""
    data_version: str
    """sha256 of all lists' bytes."""
    changed: bool
    """Whether a byte changed on the disk."""


def run_merged_lists(versions: Sequence[Settings]) -> MergedReport:
    """Write ``kinetics710/k*_{train,val}_list_videos.txt`` under the root and say what is in them.

    Beside them go the label map and ``history.json``, which says from which editions and lists they
    were made and how many lines were left out why. Lists are written only if their bytes changed.
    What a version's settings leave out of its lists is left out here, be its own list older or not.

    Args:
        versions: Settings of the datasets to merge, all under one root; where two have the same
            video, it stays with the first.

    Raises:
        SettingsError: Too few datasets, one twice, or one that has no place in the merged list.
        AnnotationError: A dataset has no lists yet, or a list of clips to leave out cannot be used.
    """
    _refuse_odd(versions)
    layouts = {settings.dataset: Layout.of(settings) for settings in versions}
    given = {
        (dataset, split): _lines(layout.filelist(split, "videos"), dataset)
        for dataset, layout in layouts.items()
        for split in LISTED
    }
    exclusions = {
        (settings.dataset, split): read_exclusion(settings, split)
        for settings in versions
        for split in LISTED
    }
    kept = {key: without(lines, exclusions[key]) for key, lines in given.items()}
    held_out = frozenset[str]().union(*(_held_out(layout) for layout in layouts.values()))
    training = merged_training(
        {dataset: kept[dataset, Split.TRAIN] for dataset in layouts}, held_out=held_out
    )
    lists = {(dataset, Split.TRAIN): one for dataset, one in training.items()}
    for dataset in layouts:
        lists[dataset, Split.VAL] = merged_validation(dataset, kept[dataset, Split.VAL])
    for key, one in lists.items():
        lists[key] = replace(one, excluded=len(given[key]) - len(kept[key]))
    folder = versions[0].root / MERGED
    paths = {
        (dataset, split): folder / f"{VERSIONS[dataset]}_{split}_list_videos.txt"
        for dataset, split in lists
    }
    texts = {
        paths[key]: "".join(f"{line}\n" for line in one.lines).encode()
        for key, one in lists.items()
    }
    joined = hashlib.sha256(b"".join(path.name.encode() + texts[path] for path in sorted(texts)))
    texts[folder / "label_map_k710.txt"] = "".join(f"{n}\n" for n in merged_names()).encode()
    texts[folder / "history.json"] = _history(layouts, lists, given, exclusions)
    changed = [write_if_changed(path, data) for path, data in texts.items()]
    return MergedReport(lists, paths, len(held_out), joined.hexdigest(), changed=any(changed))


def _refuse_odd(versions: Sequence[Settings]) -> None:
    """Raise `SettingsError` unless `versions` can be merged."""
    names = [settings.dataset for settings in versions]
    prefixes = [VERSIONS.get(name) for name in names]
    if len(names) < 2 or None in prefixes or len(set(prefixes)) < len(prefixes):
        raise SettingsError(
            f"{', '.join(names) or 'Nothing'} cannot be merged.",
            remedy=f"Name two or three of {', '.join(VERSIONS)}, one edition of 700 at most.",
        )


def _lines(path: Path, dataset: str) -> list[str]:
    """Return the lines of a list.

    Raises:
        AnnotationError: There is no such list, or it is damaged.
    """
    if not path.exists():
        raise AnnotationError(
            str(path), "there is no such list.", remedy=f"Run `kinetics prepare {dataset}` first."
        )
    try:
        with os_faults(f"reading {path}"):
            return path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise AnnotationError(
            str(path),
            f"the list is damaged ({error}).",
            remedy=f"Run `kinetics prepare {dataset}`.",
        ) from error


def _held_out(layout: Layout) -> set[str]:
    """Return the videos that a version's validation and test lists name, had or not."""
    splits = [split for split in splits_present(layout) if split is not Split.TRAIN]
    return {
        str(video)
        for split in splits
        for video in load_rows(layout, split)["youtube_id"].to_pylist()
    }


def _history(
    layouts: Mapping[str, Layout],
    lists: Mapping[tuple[str, Split], MergedList],
    given: Mapping[tuple[str, Split], Sequence[str]],
    exclusions: Mapping[tuple[str, Split], Exclusion],
) -> bytes:
    """Return what the merged lists were made from, without times: equal inputs, equal bytes."""
    record = {
        dataset: {
            split.value: {
                "edition": read_current(layout)[split].sha256,
                "lines_given": len(given[dataset, split]),
                "lines": len(lists[dataset, split].lines),
                "left_out_held_out": lists[dataset, split].held_out,
                "left_out_repeated": lists[dataset, split].repeated,
                **_excluded(exclusions[dataset, split], lists[dataset, split]),
            }
            for split in LISTED
        }
        for dataset, layout in layouts.items()
    }
    return (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()


def _excluded(exclusion: Exclusion, merged: MergedList) -> dict[str, Any]:
    """Return what the history says of clips that are left out on purpose."""
    if not exclusion:
        return {}
    return {"left_out_excluded": merged.excluded, "excluded": exclusion.record()}

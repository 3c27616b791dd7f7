"""Frames and flow that an MMAction2 tree already has, under either numbering."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kinetics_assets.core.classes import folder_name
from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.io.atomic import os_faults

_PICTURE = re.compile(r"(img|flow_x|flow_y|x|y)_([0-9]{5,})\.jpe?g", re.ASCII | re.IGNORECASE)
_KINDS = {"img": "images", "flow_x": "flow_x", "x": "flow_x", "flow_y": "flow_y", "y": "flow_y"}


@dataclass(frozen=True, slots=True)
class FoundFrames:
    """Pictures of one clip, in order; a kind whose pictures are not whole is left out."""

    folder: Path
    images: tuple[Path, ...]
    flow_x: tuple[Path, ...]
    flow_y: tuple[Path, ...]
    """As many as `flow_x`, under the same numbers."""
    start_index: int | None
    """Number of the first image, None without images: 0 as denseflow, 1 as MMAction2's OpenCV."""
    flow_start_index: int | None
    """Number of the first flow picture, None without flow; need not be that of the images."""
    problems: tuple[str, ...]
    """Why a kind was left out, in words."""


def find_frames(
    folders: Iterable[Path], split: Split, *, label: str, clip: ClipId
) -> FoundFrames | None:
    """Return the pictures of a clip in the first of `folders` that has any, None if none has.

    Pictures are told by name only: ``img_%05d.jpg``, ``flow_x_%05d.jpg`` and ``flow_y_%05d.jpg``,
    or ``x_%05d.jpg`` and ``y_%05d.jpg``. They are whole when their numbers begin with 0 or 1 and
    have no gap; flow also needs as many x as y. Whether they decode is for the caller to check.

    Args:
        folders: MMAction2 trees, or their ``rawframes_<split>`` folders.
        split: Which ``rawframes_<split>`` to look in.
        label: Class name; its folder may have spaces or underscores, or be nested in itself.
        clip: Which clip.

    Raises:
        PermissionDenied: A folder cannot be read.
    """
    for place in _places(folders, split, label=label, clip=clip):
        with os_faults(f"listing {place}"):
            try:
                names = [entry.name for entry in os.scandir(place) if entry.is_file()]
            except (FileNotFoundError, NotADirectoryError):
                continue
        found = _read(place, names)
        if found:
            return found
    return None


def _places(folders: Iterable[Path], split: Split, *, label: str, clip: ClipId) -> Iterator[Path]:
    """Yield the folders where the pictures may be, in order."""
    underscored = folder_name(label)
    spaced = underscored.replace("_", " ")
    classes = dict.fromkeys(
        (underscored, spaced, f"{underscored}/{spaced}", f"{spaced}/{underscored}")
    )
    for folder in folders:
        roots = [folder / f"rawframes_{split}"]
        if folder.name == f"rawframes_{split}":
            roots.append(folder)
        for root in roots:
            yield from (root / class_folder / clip.name for class_folder in classes)


def _read(folder: Path, names: list[str]) -> FoundFrames | None:
    """Return the pictures among `names`, None if there are none."""
    numbered: dict[str, dict[int, str]] = {"images": {}, "flow_x": {}, "flow_y": {}}
    doubles: list[str] = []
    for name in sorted(names):
        match = _PICTURE.fullmatch(name)
        if match:
            of_kind = numbered[_KINDS[match[1].lower()]]
            if int(match[2]) in of_kind:
                doubles.append(name)
            of_kind.setdefault(int(match[2]), name)
    if not any(numbered.values()):
        return None
    problems = [f"{name} is there under two names" for name in doubles]
    images, flow_x, flow_y = numbered["images"], numbered["flow_x"], numbered["flow_y"]
    problems += [text for numbers in numbered.values() for text in _gaps(numbers)]
    if flow_x.keys() != flow_y.keys():
        problems.append(f"{len(flow_x)} x pictures and {len(flow_y)} y pictures of flow")
    images_whole = bool(images) and not _gaps(images)
    flow_whole = bool(flow_x) and flow_x.keys() == flow_y.keys() and not _gaps(flow_x)
    if doubles:
        images_whole = images_whole and not any(name.lower().startswith("img") for name in doubles)
        flow_whole = flow_whole and all(name.lower().startswith("img") for name in doubles)
    return FoundFrames(
        folder=folder,
        images=_in_order(folder, images) if images_whole else (),
        flow_x=_in_order(folder, flow_x) if flow_whole else (),
        flow_y=_in_order(folder, flow_y) if flow_whole else (),
        start_index=min(images) if images_whole else None,
        flow_start_index=min(flow_x) if flow_whole else None,
        problems=tuple(problems),
    )


def _gaps(numbered: dict[int, str]) -> list[str]:
    """Return what is wrong with the numbers of one kind of picture; nothing for no pictures."""
    if not numbered:
        return []
    first, last = min(numbered), max(numbered)
    if first not in {0, 1}:
        return [f"the first is {numbered[first]}, numbered neither 0 nor 1"]
    missing = last - first + 1 - len(numbered)
    if missing:
        after = next(number for number in sorted(numbered) if number + 1 not in numbered)
        return [f"{missing} missing, the first of them after {numbered[after]}"]
    return []


def _in_order(folder: Path, numbered: dict[int, str]) -> tuple[Path, ...]:
    """Return the paths of pictures by number."""
    return tuple(folder / numbered[number] for number in sorted(numbered))

"""What a stage's pictures of a clip are called, and the index file that counts them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinetics_assets.core.layout import FLOW_INDEX, FRAMES_INDEX
from kinetics_assets.core.stages import Stage

INDEX_NAMES = {Stage.RAWFRAMES: FRAMES_INDEX, Stage.FLOW: FLOW_INDEX}
PREFIXES = {Stage.RAWFRAMES: ("img_",), Stage.FLOW: ("flow_x_", "flow_y_")}
"""Beginnings of the names of a stage's pictures."""


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """What a stage's index file says: no times, so that equal outputs have equal bytes."""

    count: int
    """Frames, or frame pairs."""
    start_index: int
    """Number of the first picture."""
    width_px: int
    height_px: int
    digest: str
    """Of (input, recipe, tools), as in the manifest."""
    sha256: str
    """Of the sorted (name, sha256) lines of the stage's pictures, however they are kept."""
    engine: str = ""
    profile: str = ""
    bound_px: float | None = None
    also: Mapping[str, Mapping[str, Any]] | None = None
    """Of frames in further sizes, by size: ``width_px``, ``height_px``, ``size_bytes`` of all and
    ``sha256``; None where there are none."""

    def plain(self) -> dict[str, object]:
        """Return the fields that say something."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value not in ("", None)}


@dataclass(frozen=True, slots=True)
class Held:
    """Pictures that need nothing more than their public name."""

    path: Path
    """That name: a folder or an archive."""
    size_bytes: int
    """Of the pictures in a folder, or of the archive."""
    sha256: str
    """Of the pictures in a folder as in their index, or of the archive's bytes."""
    publish: Callable[[], None]
    """Gives them the name, in one step and durably."""


def picture_names(stage: Stage, *, count: int, start_index: int) -> list[str]:
    """Return the names of a stage's pictures, as MMAction2's templates give them."""
    numbers = range(start_index, start_index + count)
    return [f"{prefix}{number:05d}.jpg" for prefix in PREFIXES[stage] for number in numbers]


def in_pairs(stage: Stage, names: Iterable[str]) -> list[str]:
    """Return `names` by number, the two planes of a frame pair beside each other."""
    prefixes = PREFIXES[stage]
    starts = {name: next(p for p in prefixes if name.startswith(p)) for name in names}
    return sorted(starts, key=lambda name: (int(name[len(starts[name]) : -4]), name))


def parse_index(data: bytes) -> FrameIndex | None:
    """Return what the bytes of an index file say, None when they are none."""
    try:
        return frame_index(json.loads(data))
    except ValueError:
        return None


def frame_index(said: object) -> FrameIndex | None:
    """Return what an index file says as an object, None when it is of another kind."""
    try:
        return FrameIndex(**said) if isinstance(said, dict) else None
    except TypeError:
        return None

"""A class of many clips, and a source that answers as a test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.errors import ClipError
from kinetics_assets.core.manifest import ManifestRow
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.sources.base import Found
from kinetics_assets.stages.order import ClassOrder

Changed = Callable[..., ClassOrder]
CLIPS = 30
"""In the class that the fixture `asked_of` makes."""


def rows_of(order: ClassOrder) -> list[ManifestRow]:
    """Return the manifest of the class."""
    return read_manifest(order.layout, order.split, Stage.VIDEOS, order.label)


@dataclass
class Scripted:
    """A source that answers as a test says; what real sites say cannot be had here."""

    answers: Callable[[ClipId], Found | ClipError]
    alive: bool | None = True
    name: str = "youtube"
    may_heal: bool = True
    host: str = "scripted.example"
    canary_calls: list[int] = field(default_factory=list)

    def fetch(
        self, clips: Sequence[ClipId], *, label: str, scratch: Path
    ) -> Mapping[ClipId, Found | ClipError]:
        """Return the scripted answers."""
        del label, scratch
        return {clip: self.answers(clip) for clip in clips}

    def state_of(self, clip: ClipId) -> str:
        """Return nothing: this source never changes."""
        del clip
        return ""

    def is_alive(self) -> bool | None:
        """Return what the test says."""
        self.canary_calls.append(1)
        return self.alive


Script = Callable[[Callable[[ClipId], Found | ClipError], bool | None], Scripted]

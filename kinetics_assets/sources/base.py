"""What a source of clips is.

A source is asked for all clips of one video at once, so that one download feeds them all. It
returns files, never verdicts on content: every file is decoded afterwards by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kinetics_assets.core.clips import ClipId
    from kinetics_assets.core.errors import ClipError


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a source has for a clip."""

    path: Path
    """The file, complete, but not yet verified."""
    address: str
    """Where it came from, for the manifest: a URL or a path, without secrets."""
    is_whole_video: bool | None
    """True: second 0 of the file is second 0 of the video. False: the file is the clip. None: the
    name does not tell; the decoded duration decides."""
    is_ours: bool
    """Whether the file is a temporary one that may be moved away."""
    sound: Path | None = None
    """A second file that has the sound of `path`, complete; to be joined to it."""
    starts_at_seconds: float = 0.0
    """Second of the video at which the file begins, where `is_whole_video` holds but for that."""
    cut_digest: str = ""
    """Of the recipe the clip was cut by, for a clip that this package made; else empty."""
    sha256: str = ""
    """What the file must hash to, empty if nobody knows."""
    source: str = ""
    """Source that gave the clip in the first place, where it only moves within its dataset; empty
    for the one that is asked."""


class Source(Protocol):
    """A place where clips may be."""

    @property
    def name(self) -> str:
        """Name in settings and manifests."""
        ...

    @property
    def may_heal(self) -> bool:
        """Whether asking again may give other bytes."""
        ...

    @property
    def host(self) -> str:
        """Host that is asked, whose pauses all steps on this machine share; empty for none."""
        ...

    def state_of(self, clip: ClipId) -> str:
        """Return what decides the answer for `clip` beside the clip, without asking for it.

        A clip that failed is due again when this changes: a folder was added, an archive that
        holds the clip has arrived, another account is used.
        """
        ...

    def is_alive(self) -> bool | None:
        """Return whether something known to be there can be had now; None if nothing is known.

        This is the canary: a failure counts against a clip only while the source works.
        """
        ...

    def fetch(
        self, clips: Sequence[ClipId], *, label: str, scratch: Path
    ) -> Mapping[ClipId, Found | ClipError]:
        """Return a file or the reason for each of `clips`.

        Args:
            clips: All wanted clips of one youtube_id, at least one.
            label: Their class name (local copies are sorted by class), empty if unlabelled.
            scratch: Existing folder for temporary files; the caller removes it.

        Raises:
            EnvironmentFault: The machine or the network is at fault; no clip is to blame.
        """
        ...


@runtime_checkable
class Closing(Protocol):
    """A source that keeps something open for the length of a step."""

    def close(self) -> None:
        """Let go of it; called when every clip of the step was asked for."""
        ...

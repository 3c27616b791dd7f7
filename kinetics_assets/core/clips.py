"""What a clip is: its identity, its label, its split, and the checks on each.

A clip is a span of a video: (youtube_id, start, end). One video may feed several clips, even in
different classes, so the id alone is never a key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from kinetics_assets.core.errors import UnknownSplit

_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}", re.ASCII)
_SECONDS = re.compile(r"([0-9]{1,6})(\.[0-9]{1,9})?", re.ASCII)
_CLIP_NAME = re.compile(r"([A-Za-z0-9_-]{11})_([0-9]{6})_([0-9]{6})", re.ASCII)
MAX_SECONDS = 999_999
"""Largest time that fits the six digits of a clip name."""


class Split(StrEnum):
    """The three parts of a dataset."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


SPLIT_SPELLINGS = {
    "train": Split.TRAIN,
    "val": Split.VAL,
    "validate": Split.VAL,
    "validation": Split.VAL,
    "test": Split.TEST,
    "holdout": Split.TEST,
}
"""Spellings of the split column seen in published lists."""


def parse_split(text: str) -> Split:
    """Return the split that `text` names.

    Raises:
        UnknownSplit: `text` is none of the spellings seen in published lists.
    """
    try:
        return SPLIT_SPELLINGS[text]
    except KeyError:
        raise UnknownSplit(text, [split.value for split in Split]) from None


@dataclass(frozen=True, order=True, slots=True)
class ClipId:
    """Identity of a clip: the span [start_seconds, end_seconds) of one video."""

    youtube_id: str
    """Eleven characters of ``A-Za-z0-9_-``; may begin with a hyphen."""
    start_seconds: int
    """First second of the clip, from the start of the video."""
    end_seconds: int
    """End of the clip, in seconds, not included."""

    @property
    def name(self) -> str:
        """File name without extension, as MMAction2 writes it: ``<id>_<%06d>_<%06d>``."""
        return f"{self.youtube_id}_{self.start_seconds:06d}_{self.end_seconds:06d}"

    @property
    def duration_seconds(self) -> int:
        """Length of the annotated span."""
        return self.end_seconds - self.start_seconds


@dataclass(frozen=True, order=True, slots=True)
class Clip:
    """One annotation row: a clip and what it shows."""

    id: ClipId
    label: str
    """Class name as in the shipped class list; empty in a list without labels."""


def parse_youtube_id(text: str) -> str:
    """Return `text` if it is a YouTube id.

    Raises:
        ValueError: it is not eleven characters of ``A-Za-z0-9_-``.
    """
    if not _YOUTUBE_ID.fullmatch(text):
        msg = f"{text[:40]!r} is no YouTube id (11 characters of A-Z a-z 0-9 _ -)"
        raise ValueError(msg)
    return text


def parse_seconds(text: str) -> int:
    """Return the whole seconds in `text`; a fraction is dropped as MMAction2 does.

    Raises:
        ValueError: no plain decimal number between 0 and 999999.
    """
    match = _SECONDS.fullmatch(text)
    if not match:
        msg = f"{text[:40]!r} is no time in seconds (0 to {MAX_SECONDS})"
        raise ValueError(msg)
    return int(match[1])


def parse_clip_id(youtube_id: str, start: str, end: str) -> ClipId:
    """Return the clip that three fields of a list name.

    Raises:
        ValueError: a field is malformed, or the clip would have no length.
    """
    clip = ClipId(parse_youtube_id(youtube_id), parse_seconds(start), parse_seconds(end))
    if clip.start_seconds >= clip.end_seconds:
        msg = (
            f"the clip ends at {clip.end_seconds} s, not after its start at {clip.start_seconds} s"
        )
        raise ValueError(msg)
    return clip


def parse_clip_name(name: str) -> ClipId | None:
    """Return the clip that a file name without extension stands for, None if it is no clip name."""
    match = _CLIP_NAME.fullmatch(name)
    if not match or int(match[2]) >= int(match[3]):
        return None
    return ClipId(match[1], int(match[2]), int(match[3]))

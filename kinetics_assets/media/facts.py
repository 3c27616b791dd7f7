"""What decoding a file or a folder of pictures tells, and how it crosses the process border."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from kinetics_assets.core.errors import DecoderCrashed
from kinetics_assets.media.sniff import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHA256 = re.compile(r"([0-9a-f]{64})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """A video that was decoded from its first frame to its last."""

    container: str
    """One of `kinetics_assets.media.sniff.SUFFIXES`, by the bytes, not by the name."""
    codec: str
    """Name of the video codec as libav spells it."""
    width_px: int
    """Width of the upright picture; sample aspect ratio not applied."""
    height_px: int
    """Height of the upright picture."""
    fps: float
    """Average frames per second as the container says; from the timestamps if it is silent."""
    duration_seconds: float
    """From the first frame's timestamp to the end of the last."""
    frames_decoded: int
    has_audio: bool

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the facts in `record`.

        Raises:
            DecoderCrashed: The record is not what an honest child sends.
        """
        return cls(
            container=_text(record, "container"),
            codec=_text(record, "codec"),
            width_px=_count(record, "width_px"),
            height_px=_count(record, "height_px"),
            fps=_number(record, "fps"),
            duration_seconds=_number(record, "duration_seconds"),
            frames_decoded=_count(record, "frames_decoded"),
            has_audio=record.get("has_audio") is True,
        )


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """A run of pictures of one size."""

    frames: int
    width_px: int
    height_px: int
    sha256: str = field(default="", compare=False)
    """Of the pictures as the encoder gave them, before they were on any disk, in the form of
    `kinetics_assets.io.atomic.folder_sha256`; empty where nobody was there."""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the facts in `record`.

        Raises:
            DecoderCrashed: The record is not what an honest child sends.
        """
        return cls(
            frames=_count(record, "frames"),
            width_px=_count(record, "width_px"),
            height_px=_count(record, "height_px"),
            sha256=_sha256(record, "sha256"),
        )


@dataclass(frozen=True, slots=True)
class CountedFrames:
    """What the frames of a video are and would become, without having been written."""

    frames: int
    width_px: int
    """Width of the pictures that the recipe makes of them."""
    height_px: int
    is_upright: bool
    """Whether the frames are stored as they are to be shown, neither turned nor mirrored."""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the facts in `record`.

        Raises:
            DecoderCrashed: The record is not what an honest child sends.
        """
        return cls(
            frames=_count(record, "frames"),
            width_px=_count(record, "width_px"),
            height_px=_count(record, "height_px"),
            is_upright=record.get("is_upright") is True,
        )


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """A sound that was decoded from its first sample to its last."""

    samples: int
    """Of one channel."""
    sample_rate_hz: int
    channels: int

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the facts in `record`.

        Raises:
            DecoderCrashed: The record is not what an honest child sends.
        """
        return cls(
            samples=_count(record, "samples"),
            sample_rate_hz=_count(record, "sample_rate_hz"),
            channels=_count(record, "channels"),
        )


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """Log-mel features of a sound."""

    steps: int
    """Points in time."""
    mels: int
    """Bands."""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the facts in `record`.

        Raises:
            DecoderCrashed: The record is not what an honest child sends.
        """
        return cls(steps=_count(record, "steps"), mels=_count(record, "mels"))


def length_from_record(record: Mapping[str, Any]) -> float:
    """Return the length in `record`, in seconds.

    Raises:
        DecoderCrashed: The record is not what an honest child sends.
    """
    return _number(record, "length_seconds")


def suffix_from_record(record: Mapping[str, Any]) -> str:
    """Return the file extension in `record`.

    Raises:
        DecoderCrashed: The record is not what an honest child sends.
    """
    suffix = _text(record, "suffix")
    if suffix in SUFFIXES.values():
        return suffix
    raise _nonsense("suffix")


def _text(record: Mapping[str, Any], name: str) -> str:
    """Return a short printable text field."""
    value = record.get(name)
    if isinstance(value, str) and value.isprintable() and len(value) <= 40:
        return value
    raise _nonsense(name)


def _sha256(record: Mapping[str, Any], name: str) -> str:
    """Return a field of 64 hex digits, or of none."""
    value = record.get(name, "")
    if isinstance(value, str) and _SHA256.fullmatch(value):
        return value
    raise _nonsense(name)


def _count(record: Mapping[str, Any], name: str) -> int:
    """Return a field that counts something, at least one."""
    value = record.get(name)
    if type(value) is int and 1 <= value < 2**31:
        return value
    raise _nonsense(name)


def _number(record: Mapping[str, Any], name: str) -> float:
    """Return a finite field that is not negative."""
    value = record.get(name)
    if isinstance(value, int | float) and math.isfinite(value) and value >= 0:
        return float(value)
    raise _nonsense(name)


def _nonsense(name: str) -> DecoderCrashed:
    """Return the error for a field that an honest child would not send."""
    return DecoderCrashed(f"The decoding process answered without a usable {name}.")

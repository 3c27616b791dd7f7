"""What is to be made of one video in one decode, and what became of it, across the process border.

The bytes of a product do not depend on what else is made in the same decode.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from kinetics_assets.core.errors import DecoderCrashed, clip_error
from kinetics_assets.core.reasons import Kind, Reason
from kinetics_assets.core.settings import FrameRecipe, ResizeRecipe
from kinetics_assets.media.facts import FrameFacts, MediaFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

RESIZED, RAWFRAMES, GRAY = "resized", "rawframes", "gray"


@dataclass(frozen=True, slots=True)
class Wishes:
    """The products that are wanted of one video; at least one."""

    resized: tuple[Path, ResizeRecipe] | None = None
    """File to write, and how."""
    rawframes: tuple[Path, FrameRecipe] | None = None
    """Existing folder to fill, and how."""
    gray: tuple[Path, FrameRecipe] | None = None
    """File to write, and how."""
    from_resized: bool = False
    """Take frames and grey frames from the resized video while it is checked, as a later decode
    of it would give them, and not from the source."""

    def record(self) -> dict[str, Any]:
        """Return the wishes as JSON."""
        each = {RESIZED: self.resized, RAWFRAMES: self.rawframes, GRAY: self.gray}
        record: dict[str, Any] = {
            name: {"target": str(wish[0].absolute()), "recipe": asdict(wish[1])}
            for name, wish in each.items()
            if wish is not None
        }
        return record | {"from_resized": self.from_resized}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the wishes that `record` gives."""

        def frames(name: str) -> tuple[Path, FrameRecipe] | None:
            wish = record.get(name)
            return wish and (Path(wish["target"]), FrameRecipe(**wish["recipe"]))

        small = record.get(RESIZED)
        return cls(
            resized=small and (Path(small["target"]), ResizeRecipe(**small["recipe"])),
            rawframes=frames(RAWFRAMES),
            gray=frames(GRAY),
            from_resized=record["from_resized"],
        )


@dataclass(frozen=True, slots=True)
class Products:
    """What became of each wish: its facts, or the error that cost this product alone."""

    resized: MediaFacts | Exception | None = None
    """None if it was not wanted, as below."""
    rawframes: FrameFacts | Exception | None = None
    gray: FrameFacts | Exception | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return what `record` tells.

        Raises:
            DecoderCrashed: The record is not what an honest child sends.
        """
        frames = {name: _told(record, name, FrameFacts) for name in (RAWFRAMES, GRAY)}
        return cls(resized=_told(record, RESIZED, MediaFacts), **frames)


def failure_record(error: Exception) -> dict[str, Any]:
    """Return a product's error, of the clip or of the system, as JSON."""
    if isinstance(error, OSError):
        return {"errno": error.errno or 0, "message": error.strerror or str(error)}
    return {"clip_error": getattr(error, "reason", ""), "message": str(error)}


def _told(record: Mapping[str, Any], name: str, kind: Any) -> Any:  # noqa: ANN401 - two kinds of facts
    """Return the facts of a product, its error, or None if nothing is said."""
    from kinetics_assets.io.confined import clean_text

    match record.get(name):
        case None:
            return None
        case {"facts": dict(facts)}:
            return kind.from_record(facts)
        case {"clip_error": str(code), "message": str(message)} if code in set(Reason):
            if Reason(code).kind in {Kind.PERMANENT, Kind.RETRYABLE}:
                return clip_error(Reason(code), clean_text(message))
        case {"errno": int(number), "message": str(message)}:
            return OSError(number, clean_text(message))
    raise DecoderCrashed(f"The decoding process answered without a usable {name}.")

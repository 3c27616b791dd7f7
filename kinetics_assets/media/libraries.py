"""Which compiled code a sandboxed child may load: it can neither compile nor look for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Libraries:
    """Files of code that makes the same bytes faster; None where there is none."""

    gray: str | None = None
    """Of `media.gray_library`."""
    frames: str | None = None
    """Of `media.picture_encoder`."""


def compiled_libraries() -> Libraries:
    """Return what this machine has, compiled on the first call; for who may start programs."""
    from kinetics_assets.media.gray_library import gray_library
    from kinetics_assets.media.picture_encoder import frames_library

    gray, frames = gray_library(), frames_library()
    return Libraries(str(gray) if gray else None, str(frames) if frames else None)

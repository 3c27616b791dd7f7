"""When pictures that a stage has made or taken over are known to be whole."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kinetics_assets.io.atomic import files_sha256, sha256_of_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kinetics_assets.media.client import MediaWorker
    from kinetics_assets.media.facts import FrameFacts

DECODED_EVERY: Final = 16
"""Of pictures whose bytes are known to be the encoder's, one in so many is decoded."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What is known of pictures that are whole."""

    sha256: str
    """Of the pictures in the folder itself."""
    also: dict[str, dict[str, Any]] | None
    """Of those in further sizes, as a `FrameIndex` has it."""


def verified_pictures(
    folder: Path, names: list[str], *, facts: FrameFacts, worker: MediaWorker
) -> Verified:
    """Return what is known of the pictures `names` in `folder`, once they are known to be whole.

    Where the encoder's own sha256 is known, they are read back and compared with it: no byte that
    was lost or altered on the way into the file survives that, which decoding cannot say. What the
    disk makes of it later is not seen: most is read from the system's memory. The first, the last
    and one in `DECODED_EVERY` are decoded too, lest the encoder itself be broken. Pictures of which
    nobody knows what they were are decoded one by one.

    Args:
        folder: Holds the pictures; each folder in it holds those of a further size.
        names: All of one size.
        facts: What is known of them.
        worker: Decodes.

    Raises:
        ClipError: Pictures are missing or do not decode.
        OSError: They are not what the encoder gave: the machine's fault, not the clip's.
    """
    sizes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    known = {} if facts.sha256 else _decoded(folder, sizes, names, worker)
    paths = [*names, *(f"{size}/{name}" for size in sizes for name in names)]
    hashes = files_sha256(folder, paths)
    if facts.sha256 and sha256_of_files(hashes) != facts.sha256:
        text = "pictures read back are not those that were written"
        raise OSError(errno.EIO, text, str(folder))
    found = known or _decoded(folder, sizes, _some(names), worker)
    also = {
        size: {
            "width_px": found[size].width_px,
            "height_px": found[size].height_px,
            "sha256": sha256_of_files({name: hashes[f"{size}/{name}"] for name in names}),
            "size_bytes": sum((folder / size / name).stat().st_size for name in names),
        }
        for size in sizes
    }
    return Verified(sha256_of_files({name: hashes[name] for name in names}), also or None)


def _decoded(
    folder: Path, sizes: Sequence[str], names: Sequence[str], worker: MediaWorker
) -> dict[str, FrameFacts]:
    """Return what decoding the pictures `names` of each size gave, by size; "" is the first one."""
    return {size: worker.check_pictures(folder / size, names) for size in ("", *sizes)}


def _some(names: Sequence[str]) -> list[str]:
    """Return one name in `DECODED_EVERY`, the first and the last among them."""
    return [*names[:-1:DECODED_EVERY], *names[-1:]]

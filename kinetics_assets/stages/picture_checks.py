"""When pictures that a stage has made or taken over are known to be whole."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from kinetics_assets.io.atomic import folder_sha256

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kinetics_assets.media.client import MediaWorker
    from kinetics_assets.media.facts import FrameFacts

DECODED_EVERY: Final = 16
"""Of pictures whose bytes are known to be the encoder's, one in so many is decoded."""


def verified_sha256(
    folder: Path, names: list[str], *, facts: FrameFacts, worker: MediaWorker
) -> str:
    """Return the sha256 of the pictures `names` in `folder`, once they are known to be whole.

    Where the encoder's own sha256 is known, they are read back and compared with it: no byte that
    was lost or altered on the way to the disk survives that, which decoding cannot say. The first,
    the last and one in `DECODED_EVERY` are decoded too, lest the encoder itself be broken. Pictures
    of which nobody knows what they were are decoded one by one.

    Args:
        folder: Holds the pictures.
        names: All of them.
        facts: What is known of them.
        worker: Decodes.

    Raises:
        ClipError: Pictures are missing or do not decode.
        OSError: They are not what the encoder gave: the machine's fault, not the clip's.
    """
    if not facts.sha256:
        worker.check_pictures(folder, names)
        return folder_sha256(folder, names)
    sha256 = folder_sha256(folder, names)
    if sha256 != facts.sha256:
        text = "pictures read back are not those that were written"
        raise OSError(errno.EIO, text, str(folder))
    worker.check_pictures(folder, _some(names))
    return sha256


def _some(names: Sequence[str]) -> list[str]:
    """Return one name in `DECODED_EVERY`, the first and the last among them."""
    return [*names[:-1:DECODED_EVERY], *names[-1:]]

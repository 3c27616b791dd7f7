"""What a step makes for later steps of its run, because it decodes the clip anyway.

A hand-over is a folder with the pictures (for rawframes) or the grey frames (for flow) of one clip
and a record of what they were made from. It gets its name when it is complete. The step that it is
for takes it by renaming it, if the record says what that step would record now, and decodes itself
otherwise. Nothing is flushed to the disk, so a hand-over is believed only until the machine is
started anew.

Hand-overs cost no clip its verdict: whatever fails while one is made, the step goes on as if it had
been alone. Whatever is left when the step that it is for has worked is deleted.

Steps of other runs may work on the same class. So whoever takes or deletes a hand-over renames it
first: of two that want it one gets it whole, and what somebody is making is left to them.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from kinetics_assets.core.errors import EnvironmentFault
from kinetics_assets.core.layout import TEMP_PREFIX
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.atomic import sweep_temps, temp_path
from kinetics_assets.io.processes import this_start
from kinetics_assets.media.facts import FrameFacts
from kinetics_assets.stages.digests import output_digest, recipe_digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kinetics_assets.core.clips import Clip
    from kinetics_assets.core.settings import Settings
    from kinetics_assets.stages.order import ClassOrder

_RECORD: Final = "record.json"
_CONTENT: Final = {Stage.RAWFRAMES: "pictures", Stage.FLOW: "gray.npy"}


@dataclass(frozen=True, slots=True)
class HandOver:
    """What is known of the frames in a hand-over."""

    digest: str
    """Of what they were made from: `ahead_digest`."""
    facts: FrameFacts
    tools: str
    """What made them, for the manifest."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A hand-over that nobody else can take any more."""

    content: Path
    """The folder of pictures, or the file of grey frames; gone after the block."""
    facts: FrameFacts
    tools: str


def ahead_digest(stage: Stage, settings: Settings, input_sha256: str) -> str:
    """Return the digest of what a hand-over for `stage` is made from.

    Grey frames do not depend on the engine that they are for.
    """
    return output_digest(recipe_digest(stage, settings), input_sha256)


def begin(order: ClassOrder, stage: Stage, clip: Clip) -> Path:
    """Return a new temporary folder for a hand-over, with its content's folder if it has one.

    Raises:
        OSError, EnvironmentFault: It cannot be made.
    """
    final = order.layout.made_ahead(order.split, stage, clip.label) / clip.id.name
    temp = temp_path(final, stage=stage)
    temp.mkdir()
    if stage is Stage.RAWFRAMES:
        content_of(temp, stage).mkdir()
    return temp


def content_of(folder: Path, stage: Stage) -> Path:
    """Return what a hand-over for `stage` consists of."""
    return folder / _CONTENT[stage]


def complete(folder: Path, stage: Stage, clip: Clip, handed: HandOver) -> None:
    """Give the hand-over for `stage` in the temporary `folder` its name.

    Raises:
        OSError, EnvironmentFault: It cannot be written or renamed.
    """
    record = {
        **asdict(handed),
        "made_at_start": this_start(),
        "size_bytes": _size_of(content_of(folder, stage)),
    }
    (folder / _RECORD).write_text(json.dumps(record), encoding="utf-8")
    final = folder.parent / clip.id.name
    _discard(final)
    folder.rename(final)


@contextmanager
def taken(order: ClassOrder, stage: Stage, clip: Clip, *, digest: str) -> Iterator[Taken | None]:
    """Yield the clip's hand-over for `stage`, None if there is none that fits; gone afterwards.

    Args:
        order: The class.
        stage: Whom it is for.
        clip: One of the class.
        digest: What `ahead_digest` gives for the input as it is now.
    """
    final = order.layout.made_ahead(order.split, stage, clip.label) / clip.id.name
    if not final.is_dir():
        yield None
        return
    # beside the clips, where the next step sweeps it should this one be killed
    mine = temp_path(order.layout.frames(order.split, clip.label, clip.id), stage=stage)
    try:
        with suppress(OSError):  # another step has it, or it was deleted
            final.rename(mine)
        yield _read(mine, stage, digest=digest)
    finally:
        shutil.rmtree(mine, ignore_errors=True)


def remove_all(order: ClassOrder, stage: Stage) -> None:
    """Delete all hand-overs of the class for `stage` that are complete or a dead process's."""
    folder = order.layout.made_ahead(order.split, stage, order.label)
    with suppress(
        OSError, EnvironmentFault
    ):  # not there, or not empty, as the class's folder should be
        sweep_temps(folder)
        for entry in list(folder.iterdir()):
            if not entry.name.startswith(TEMP_PREFIX):
                _discard(entry)
        folder.rmdir()
        folder.parent.rmdir()


def _discard(folder: Path) -> None:
    """Delete a complete hand-over, if there is one and nobody is faster."""
    aside = temp_path(folder, stage="discarded")
    with suppress(OSError):
        folder.rename(aside)
        shutil.rmtree(aside)


def _read(folder: Path, stage: Stage, *, digest: str) -> Taken | None:
    """Return what is in `folder`, None if it is not what would be made now, whole."""
    content = content_of(folder, stage)
    try:
        record: dict[str, Any] = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        facts = FrameFacts(**record["facts"])
        fits = record["digest"] == digest and record["made_at_start"] == this_start()
        is_whole = fits and _size_of(content) == record["size_bytes"]
        if not is_whole or (stage is Stage.FLOW and not _holds(content, facts)):
            return None
        return Taken(content, facts, str(record["tools"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _size_of(content: Path) -> int:
    """Return the size of a file, or of all files in a folder and those below it, in bytes."""
    if not content.is_dir():
        return content.stat().st_size
    with os.scandir(content) as entries:
        return sum(
            _size_of(content / entry.name) if entry.is_dir() else entry.stat().st_size
            for entry in entries
        )


def _holds(gray: Path, facts: FrameFacts) -> bool:
    """Return whether a file of grey frames has the number and size of `facts`, all bytes there."""
    import numpy as np

    frames = np.load(gray, mmap_mode="r", allow_pickle=False)
    return bool(
        frames.dtype == np.uint8 and frames.shape == (facts.frames, facts.height_px, facts.width_px)
    )

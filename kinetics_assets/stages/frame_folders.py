"""Folders that two stages share: a clip's frames and its flow.

Each stage builds the folder aside with its own pictures and its own index file, links the other
stage's files in, and exchanges the folders in one step under a lock that both stages take. A reader
sees the old set or the new one, and an index file only beside all the pictures it counts.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kinetics_assets.core.layout import FLOW_INDEX, FRAMES_INDEX
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.atomic import (
    folder_sha256,
    os_faults,
    publish_folder,
    sync,
    temp_path,
)
from kinetics_assets.io.locks import exclusive
from kinetics_assets.stages.files import is_newer

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.layout import Layout
    from kinetics_assets.core.manifest import ManifestRow

_OWN = {
    Stage.RAWFRAMES: (FRAMES_INDEX, ("img_",)),
    Stage.FLOW: (FLOW_INDEX, ("flow_x_", "flow_y_")),
}


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
    """Of the stage's pictures, as in the manifest."""
    engine: str = ""
    profile: str = ""
    bound_px: float | None = None


def picture_names(stage: Stage, *, count: int, start_index: int) -> list[str]:
    """Return the names of a stage's pictures, as MMAction2's templates give them."""
    _, prefixes = _OWN[stage]
    numbers = range(start_index, start_index + count)
    return [f"{prefix}{number:05d}.jpg" for prefix in prefixes for number in numbers]


def own_names(stage: Stage, folder: Path) -> list[str]:
    """Return the pictures in `folder` that belong to `stage`, sorted."""
    _, prefixes = _OWN[stage]
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(prefixes))


def publish_pictures(
    stage: Stage, temp: Path, final: Path, *, index: FrameIndex, lock: Path
) -> None:
    """Make the pictures in `temp` the stage's part of the folder `final`.

    Args:
        stage: Whose pictures these are.
        temp: Folder beside `final` that holds them, and nothing else.
        final: The clip's folder.
        index: Written as the stage's index file.
        lock: Lock file that both stages take.
    """
    name, _ = _OWN[stage]
    with os_faults(f"publishing {final}"), exclusive(lock, wait=True, what=f"{final.parent}"):
        text = json.dumps(_plain(index), indent=1, sort_keys=True) + "\n"
        (temp / name).write_text(text, encoding="utf-8")
        _link_others(stage, final, temp)
        publish_folder(temp, final)


def remove_pictures(stage: Stage, folder: Path, *, into: Path | None, lock: Path) -> None:
    """Take the stage's part out of a clip's folder, keeping it in ``<into>/<clip>`` if given."""
    if not folder.is_dir():
        return
    index, _ = _OWN[stage]
    with os_faults(f"moving {folder}"), exclusive(lock, wait=True, what=f"{folder.parent}"):
        own = [*own_names(stage, folder), *([index] if (folder / index).exists() else [])]
        if into is not None:
            kept = into / folder.name
            kept.mkdir(parents=True, exist_ok=True)
            for name in own:
                (kept / name).unlink(missing_ok=True)
                os.link(folder / name, kept / name)
            sync(kept)
        temp = temp_path(folder, stage=stage)
        temp.mkdir()
        _link_others(stage, folder, temp)
        if any(temp.iterdir()):
            publish_folder(temp, folder)
        else:
            temp.rmdir()
            aside = temp_path(folder, stage=stage)
            folder.rename(aside)
            sync(folder.parent)
            shutil.rmtree(aside)


def pictures_are_there(stage: Stage, layout: Layout, row: ManifestRow) -> bool:
    """Return whether the stage's index file is there and says what `row` says."""
    index = read_index(stage, layout.base / row.path) if row.path else None
    return index is not None and (index.sha256, index.digest) == (row.sha256, row.digest)


def pictures_are_intact(stage: Stage, layout: Layout, row: ManifestRow) -> bool:
    """Return whether the stage's pictures have the sha256 that `row` records."""
    if not pictures_are_there(stage, layout, row):
        return False
    folder = layout.base / row.path
    return folder_sha256(folder, own_names(stage, folder)) == row.sha256


def pictures_look_whole(stage: Stage, layout: Layout, row: ManifestRow) -> bool:
    """Return whether the stage's pictures are those that `row` records, as far as a look tells.

    Names, sizes and times of all pictures are read; they are hashed when one was written to after
    the verdict.
    """
    if not pictures_are_there(stage, layout, row):
        return False
    _, prefixes = _OWN[stage]
    names: list[str] = []
    size_bytes, newer = 0, False
    with os.scandir(layout.base / row.path) as entries:
        for entry in entries:
            if entry.name.startswith(prefixes):
                stat = entry.stat()
                names.append(entry.name)
                size_bytes += stat.st_size
                newer = newer or is_newer(stat, row)
    if size_bytes != row.size_bytes or len(names) != (row.frames_decoded or 0) * len(prefixes):
        return False
    return not newer or pictures_are_intact(stage, layout, row)


def read_index(stage: Stage, folder: Path) -> FrameIndex | None:
    """Return what the stage's index file in `folder` says, None when there is none or it is bad."""
    name, _ = _OWN[stage]
    try:
        return FrameIndex(**json.loads((folder / name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def folder_bytes(folder: Path, names: list[str]) -> int:
    """Return the total size of the files `names`, in bytes."""
    return sum((folder / name).stat().st_size for name in names)


def _plain(index: FrameIndex) -> dict[str, object]:
    """Return the fields of `index` that say something."""
    fields = {name: getattr(index, name) for name in index.__slots__}
    return {name: value for name, value in fields.items() if value not in ("", None)}


def _link_others(stage: Stage, final: Path, temp: Path) -> None:
    """Link what other stages have in `final` into `temp`; a name of our own is left behind."""
    if not final.is_dir():
        return
    index, prefixes = _OWN[stage]
    for entry in os.scandir(final):
        if entry.name != index and not entry.name.startswith(prefixes):
            os.link(entry.path, temp / entry.name)

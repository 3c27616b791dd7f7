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
from pathlib import Path
from typing import TYPE_CHECKING

from kinetics_assets.io.atomic import (
    folder_sha256,
    link_or_copy,
    os_faults,
    publish_folder,
    sync,
    temp_path,
)
from kinetics_assets.io.locks import exclusive
from kinetics_assets.stages.files import is_newer
from kinetics_assets.stages.frame_index import (
    INDEX_NAMES,
    PREFIXES,
    FrameIndex,
    Held,
    parse_index,
    picture_names,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinetics_assets.core.clips import ClipId
    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.core.stages import Stage
    from kinetics_assets.stages.order import ClassOrder


@dataclass(frozen=True)
class FolderStore:
    """Keeps a stage's pictures loose, each clip's in one folder."""

    stage: Stage
    order: ClassOrder

    def place(self, clip: ClipId) -> Path:
        """Return the clip's folder."""
        return self.order.layout.frames(self.order.split, self.order.label, clip)

    def is_there(self, row: ManifestRow) -> bool:
        """Return whether the stage's index file is there and says what `row` says."""
        index = read_index(self.stage, self._folder(row)) if row.path else None
        return index is not None and (index.sha256, index.digest) == (row.sha256, row.digest)

    def is_intact(self, row: ManifestRow) -> bool:
        """Return whether the stage's pictures have the sha256 that `row` records."""
        if not self.is_there(row):
            return False
        folder = self._folder(row)
        return folder_sha256(folder, own_names(self.stage, folder)) == row.sha256

    def looks_whole(self, row: ManifestRow) -> bool:
        """Return whether the pictures are those that `row` records, as far as a look tells.

        Names, sizes and times of all pictures are read; they are hashed when one was written to
        after the verdict.
        """
        if not self.is_there(row):
            return False
        prefixes = PREFIXES[self.stage]
        names: list[str] = []
        size_bytes, newer = 0, False
        with os.scandir(self._folder(row)) as entries:
            for entry in entries:
                if entry.name.startswith(prefixes):
                    stat = entry.stat()
                    names.append(entry.name)
                    size_bytes += stat.st_size
                    newer = newer or is_newer(stat, row)
        if size_bytes != row.size_bytes or len(names) != (row.frames_decoded or 0) * len(prefixes):
            return False
        return not newer or self.is_intact(row)

    def take_out(self, row: ManifestRow, folder: Path) -> FrameIndex | None:
        """Link the row's pictures into the empty `folder` and return what their index says.

        None, if they are not there or not those that were verified; the folder is empty then.
        """
        is_there = FolderStore.is_there(self, row)  # further sizes of a form that has some aside
        index = read_index(self.stage, self._folder(row)) if is_there else None
        if index is None:
            return None
        names = picture_names(self.stage, count=index.count, start_index=index.start_index)
        if sorted(names) != own_names(self.stage, self._folder(row)):
            return None
        for name in names:
            link_or_copy(self._folder(row) / name, folder / name)
        if folder_sha256(folder, names) == index.sha256:
            return index
        for name in names:
            (folder / name).unlink()
        return None

    def hold(self, folder: Path, names: Sequence[str], *, final: Path, index: FrameIndex) -> Held:
        """Make the pictures `names` in `folder` ready to be the stage's part of `final`."""
        return Held(
            path=final,
            size_bytes=sum((folder / name).stat().st_size for name in names),
            sha256=index.sha256,
            publish=lambda: self._publish(folder, final, index),
        )

    def remove(self, path: Path, *, into: Path | None) -> None:
        """Take the stage's part out of a clip's folder; keep it in ``<into>/<clip>`` if given."""
        if not path.is_dir():
            return
        index = INDEX_NAMES[self.stage]
        with os_faults(f"moving {path}"), exclusive(self._lock, wait=True, what=f"{path.parent}"):
            own = [*own_names(self.stage, path), *([index] if (path / index).exists() else [])]
            if not own:
                return
            if into is not None:
                keep_files(path, own, into / path.name)
            temp = temp_path(path, stage=self.stage)
            temp.mkdir()
            _link_others(self.stage, path, temp)
            if any(temp.iterdir()):
                publish_folder(temp, path)
            else:
                temp.rmdir()
                aside = temp_path(path, stage=self.stage)
                path.rename(aside)
                sync(path.parent)
                shutil.rmtree(aside)

    def _publish(self, temp: Path, final: Path, index: FrameIndex) -> None:
        """Make the pictures in `temp`, which has nothing else, the stage's part of `final`."""
        name = INDEX_NAMES[self.stage]
        lock = exclusive(self._lock, wait=True, what=f"{final.parent}")
        with os_faults(f"publishing {final}"), lock:
            text = json.dumps(index.plain(), indent=1, sort_keys=True) + "\n"
            (temp / name).write_text(text, encoding="utf-8")
            _link_others(self.stage, final, temp)
            publish_folder(temp, final)

    def _folder(self, row: ManifestRow) -> Path:
        return self.order.layout.base / row.path

    @property
    def _lock(self) -> Path:
        """Lock file that both stages take."""
        return self.order.layout.frames_lock(self.order.split, self.order.label)


def own_names(stage: Stage, folder: Path) -> list[str]:
    """Return the pictures in `folder` that belong to `stage`, sorted."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(PREFIXES[stage]))


def read_index(stage: Stage, folder: Path) -> FrameIndex | None:
    """Return what the stage's index file in `folder` says, None when there is none or it is bad."""
    try:
        return parse_index((folder / INDEX_NAMES[stage]).read_bytes())
    except OSError:
        return None


def keep_files(folder: Path, names: Sequence[str], kept: Path) -> None:
    """Let the folder `kept`, on another disk if need be, hold the files `names` of `folder`."""
    kept.mkdir(parents=True, exist_ok=True)
    for name in names:
        (kept / name).unlink(missing_ok=True)
        link_or_copy(folder / name, kept / name)
        sync(kept / name)
    sync(kept)


def _link_others(stage: Stage, final: Path, temp: Path) -> None:
    """Link what other stages have in `final` into `temp`; a name of our own is left behind."""
    if not final.is_dir():
        return
    for entry in os.scandir(final):
        if entry.name != INDEX_NAMES[stage] and not entry.name.startswith(PREFIXES[stage]):
            try:
                os.link(entry.path, temp / entry.name)
            except OSError:  # copied where hard links are refused
                link_or_copy(Path(entry.path), temp / entry.name)

"""Clips from folders on this machine, in whatever layout their collector chose.

Where a clip may be is tried first by name, without listing a folder. Only a clip that is at none of
those places makes the folders be listed, once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from kinetics_assets.core.classes import folder_name
from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import ClipError, EmptyFile, NotAtSource
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.sources.base import Found

SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".flv")
"""Containers that are looked for, in order of preference."""
STEM = re.compile(r"[A-Za-z0-9_-]{11}(_[0-9]{6}_[0-9]{6})?", re.ASCII)
"""Names without suffix that may be a clip: a bare id, or id and times."""
SPLIT_FOLDERS = {
    Split.TRAIN: ("videos_train", "train"),
    Split.VAL: ("videos_val", "videos_validate", "val", "validate"),
    Split.TEST: ("videos_test", "test"),
}
"""Names that collectors give the folder of a split."""


@dataclass
class LocalSource:
    """Existing copies of a dataset.

    For a clip these are the places, and the first that has a file wins:

    1. folders in the order given;
    2. in each: ``videos_<split>``, ``<split>``, the folder itself;
    3. in each: ``<class>`` with underscores, with spaces, nested in each other as a rename over an
       existing folder leaves them, then no class folder;
    4. the clip's own name before the bare id, and suffixes in the order of `SUFFIXES`;
    5. then any other folder below, in path order; the clip's own name before the bare id.

    An empty file gives way to a later one that is not. Links to files and folders are followed,
    each folder once; what is no regular file is never opened.
    """

    folders: tuple[Path, ...]
    split: Split
    name: str = "local"
    may_heal: bool = False
    host: str = ""
    _index: dict[str, Path] | None = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def fetch(
        self, clips: Sequence[ClipId], *, label: str, scratch: Path
    ) -> Mapping[ClipId, Found | ClipError]:
        """Return a file or the reason for each of `clips`; nothing is copied.

        Raises:
            PermissionDenied: A folder cannot be read.
        """
        del scratch
        return {clip: self._find(clip, label=label) for clip in clips}

    def state_of(self, clip: ClipId) -> str:
        """Return the folders."""
        del clip
        return "\n".join(str(folder) for folder in self.folders)

    def is_alive(self) -> bool | None:
        """Return None: a folder does not throttle."""
        return None

    def _find(self, clip: ClipId, *, label: str) -> Found | ClipError:
        """Return the file of one clip, or why there is none."""
        empty: Path | None = None
        for path in self._candidates(clip, label):
            with os_faults(f"reading {path}"):
                size = _size_of_file(path)
            if size:
                is_whole = False if path.stem == clip.name else None
                return Found(path, str(path), is_whole_video=is_whole, is_ours=False)
            if size == 0:
                empty = empty or path
        if empty:
            return EmptyFile(f"{empty} has no bytes.")
        shown = ", ".join(str(folder) for folder in self.folders) or "no folder"
        return NotAtSource(f"{clip.name} is not in {shown}.")

    def _candidates(self, clip: ClipId, label: str) -> Iterator[Path]:
        """Yield the paths to look at, in order."""
        underscored = folder_name(label)
        spaced = underscored.replace("_", " ")
        classes = dict.fromkeys(
            (underscored, spaced, f"{underscored}/{spaced}", f"{spaced}/{underscored}", "")
        )
        names = [f"{stem}{suffix}" for stem in (clip.name, clip.youtube_id) for suffix in SUFFIXES]
        for folder in self.folders:
            for split_folder in (*SPLIT_FOLDERS[self.split], ""):
                for class_folder in classes:
                    place = folder / split_folder / class_folder
                    if place.is_dir():
                        yield from (place / name for name in names)
        index = self._listed()
        yield from (index[stem] for stem in (clip.name, clip.youtube_id) if stem in index)

    def _listed(self) -> dict[str, Path]:
        """Return stem -> first file of that name below the folders; listed once."""
        with self._lock:
            if self._index is None:
                self._index = _list_videos(self.folders)
            return self._index


def _list_videos(folders: tuple[Path, ...]) -> dict[str, Path]:
    """Return stem -> the first video of that name below `folders`, in path order.

    Only names that may be a clip are kept. An empty file is kept if there is no other.
    """
    index: dict[str, Path] = {}
    empty: dict[str, Path] = {}
    for path, size in _walk(folders):
        (index if size else empty).setdefault(path.stem, path)
    return empty | index


def _walk(folders: tuple[Path, ...]) -> Iterator[tuple[Path, int]]:
    """Yield (path, bytes) of the videos below `folders`; each real folder is visited once."""
    visited: set[tuple[int, int]] = set()
    waiting = list(reversed(folders))
    while waiting:
        folder = waiting.pop()
        with os_faults(f"listing {folder}"):
            try:
                status = folder.stat()
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError):
                continue
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        below: list[Path] = []
        for entry in entries:
            if entry.name.startswith(".") or entry.name.startswith("rawframes"):
                continue
            path = folder / entry.name
            if path.suffix.lower() in SUFFIXES and STEM.fullmatch(path.stem):
                size = _size_of_file(path)
                if size is not None:
                    yield path, size
            elif _is_folder(entry):
                below.append(path)
        waiting.extend(reversed(below))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is, or links to, a folder; a link in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _size_of_file(path: Path) -> int | None:
    """Return the bytes of a regular file, None if there is none; nothing is opened.

    Raises:
        PermissionError: The folder may not be entered.
    """
    try:
        if not path.is_file():
            return None
        return path.stat().st_size
    except FileNotFoundError:
        return None

"""Which file of a torrent holds a clip, told by names alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from kinetics_assets.core.classes import folder_name
from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.sources.local import SPLIT_FOLDERS, STEM, SUFFIXES

_ARCHIVE = re.compile(r"(.+)\.(tar|tar\.gz|tgz)", re.IGNORECASE)
_ARCHIVE_ENDINGS = frozenset({"tar", "gz", "tgz", "bz2", "xz", "zip", "7z", "rar"})
_MEMBER_ARCHIVE = re.compile(r".+\.(tar|tar\.gz|tgz|tar\.bz2|tar\.xz|zip|7z|rar)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TorrentFile:
    """One file of a torrent."""

    index: int
    path: str
    """Relative, with forward slashes; begins with the torrent's name if it has several files."""
    size_bytes: int


@dataclass
class TorrentNames:
    """The files of a torrent that may be a clip, and the archives that may be a class.

    Of several files the first of this order is taken: the clip's own name before the bare id; a
    folder of the wanted split; a folder of the wanted class; suffixes in the order of `SUFFIXES`;
    path order.
    """

    clips: dict[str, list[TorrentFile]] = field(default_factory=dict)
    """Stem -> files of that name."""
    classes: dict[str, list[TorrentFile]] = field(default_factory=dict)
    """Stem of an archive, lower case with underscores -> archives."""
    archives: int = 0
    """Archives of any kind, those whose name tells no class included."""

    @classmethod
    def of(cls, files: Iterable[TorrentFile]) -> TorrentNames:
        """Return the names of `files`, of which padding and links are left out by the caller."""
        names = cls()
        for file in files:  # 650,000 of them in the largest torrent
            name = file.path.rpartition("/")[2]
            stem, dot, suffix = name.rpartition(".")
            if f"{dot}{suffix.lower()}" in SUFFIXES and STEM.fullmatch(stem):
                names.clips.setdefault(stem, []).append(file)
            elif suffix.lower() in _ARCHIVE_ENDINGS and _MEMBER_ARCHIVE.fullmatch(name):
                names.archives += 1
                if match := _ARCHIVE.fullmatch(name):
                    names.classes.setdefault(_key(match[1]), []).append(file)
        return names

    def clip(self, clip: ClipId, *, label: str, split: Split) -> TorrentFile | None:
        """Return the file of a clip, None if there is none of its name or its video's."""
        for stem in (clip.name, clip.youtube_id):
            if files := self.clips.get(stem):
                return min(files, key=lambda file: _rank(file, label=label, split=split))
        return None

    def archive(self, *, label: str, split: Split) -> list[TorrentFile]:
        """Return the archives of a class: those below a folder of the split, else all of them."""
        files = self.classes.get(_key(folder_name(label)), [])
        of_split = [file for file in files if _is_below(file, SPLIT_FOLDERS[split])]
        of_another = [
            file
            for file in files
            if any(_is_below(file, folders) for folders in SPLIT_FOLDERS.values())
        ]
        return of_split or [file for file in files if file not in of_another]


def _rank(file: TorrentFile, *, label: str, split: Split) -> tuple[bool, bool, int, str]:
    """Return what files of one stem are sorted by."""
    path = PurePosixPath(file.path)
    classes = {_key(part) for part in path.parts[:-1]}
    return (
        not _is_below(file, SPLIT_FOLDERS[split]),
        _key(folder_name(label)) not in classes,
        SUFFIXES.index(path.suffix.lower()),
        file.path,
    )


def _is_below(file: TorrentFile, folders: tuple[str, ...]) -> bool:
    """Return whether a file is below a folder whose name begins with one of `folders`."""
    parents = [part.lower() for part in PurePosixPath(file.path).parts[:-1]]
    return any(part == name or part.startswith(f"{name}_") for part in parents for name in folders)


def _key(name: str) -> str:
    """Return a class name as names of archives and folders are compared."""
    return name.replace(" ", "_").lower()

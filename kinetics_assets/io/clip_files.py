"""Where the bytes of certain clips are under a root: found by name, and by hard link.

A clip's file or folder is called ``<id>_<start>_<end>``, in some copies a file just by the video's
id. Whatever else the same bytes are called is found by its inode. Symbolic links are not followed,
but for those that the caller names.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kinetics_assets.core.clips import parse_clip_name
from kinetics_assets.io.atomic import os_faults

Inode = tuple[int, int]
"""(device, number)."""
_OURS = frozenset({".csv", ".journal", ".json", ".lock", ".parquet", ".toml", ".txt"})
"""Suffixes of files that no video has; a class may be called as an id is."""
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")


@dataclass(frozen=True)
class Wanted:
    """Names that are looked for."""

    what: frozenset[str]
    """Clip names, and ids of videos of which all clips are meant."""
    _ids: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Learn the ids under which a whole video may stand."""
        clips = [parse_clip_name(name) for name in self.what]
        named = {clip.youtube_id for clip in clips if clip is not None}
        whole = {name for name, clip in zip(self.what, clips, strict=True) if clip is None}
        object.__setattr__(self, "_ids", frozenset(named | whole))

    @property
    def youtube_ids(self) -> frozenset[str]:
        """The videos concerned."""
        return self._ids

    def includes(self, name: str, *, is_folder: bool) -> bool:
        """Return whether a file or folder of this name is one of theirs."""
        stem, dot, suffix = name.partition(".")
        clip = parse_clip_name(stem)
        if clip is not None:
            return clip.name in self.what or clip.youtube_id in self.what
        is_media = bool(dot) and f".{suffix.rpartition('.')[2]}" not in _OURS
        return is_media and not is_folder and stem in self._ids


@dataclass(frozen=True, order=True, slots=True)
class FoundFile:
    """A file, or a folder with all that is in it."""

    path: Path
    is_folder: bool
    files: int
    size_bytes: int


@dataclass
class Search:
    """What a search has found."""

    found: list[FoundFile] = field(default_factory=list)
    inodes: dict[Inode, list[Path]] = field(default_factory=dict)
    """Names of each file that was found."""
    links: dict[Inode, int] = field(default_factory=dict)
    """Names that each of these files has anywhere."""
    not_followed: list[Path] = field(default_factory=list)
    """Links to folders outside."""
    archives: list[Path] = field(default_factory=list)
    """Archives; what is in them is not looked at."""

    @property
    def elsewhere(self) -> dict[Path, int]:
        """One name of each file that has more names than were found -> how many more."""
        return {
            names[0]: self.links[inode] - len(names)
            for inode, names in self.inodes.items()
            if self.links[inode] > len(names)
        }

    def add(self, path: Path, *, is_folder: bool) -> None:
        """Note a file or a folder as found."""
        files = list(_below(path)) if is_folder else [path]
        size_bytes = 0
        for file in files:
            status = file.lstat()
            size_bytes += status.st_size
            if stat.S_ISREG(status.st_mode):
                inode = (status.st_dev, status.st_ino)
                self.inodes.setdefault(inode, []).append(file)
                self.links[inode] = status.st_nlink
        self.found.append(FoundFile(path, is_folder, len(files), size_bytes))


def search(
    folder: Path, wanted: Wanted, *, followed: Collection[Path], passed_over: Collection[Path]
) -> Search:
    """Return what of the `wanted` clips is below `folder`, under their names or any other.

    Args:
        folder: Where to look.
        wanted: The clips.
        followed: Symbolic links to folders that are gone into.
        passed_over: Folders that are not.
    """
    outcome = Search()
    root = folder.resolve()
    with os_faults(f"searching {folder}"):
        for entry in _walk(folder, followed=followed, passed_over=passed_over):
            is_link = entry.is_symlink()
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_link and Path(entry.path) in followed:
                continue
            if wanted.includes(entry.name, is_folder=is_folder or (is_link and entry.is_dir())):
                outcome.add(Path(entry.path), is_folder=is_folder)
            elif is_link and entry.is_dir() and not _is_below(Path(entry.path), root):
                outcome.not_followed.append(Path(entry.path))
            elif entry.name.endswith(_ARCHIVES) and not is_folder and not _is_of_one_clip(entry):
                outcome.archives.append(Path(entry.path))
        add_links(outcome, folder, followed=followed, passed_over=passed_over)
    outcome.found.sort()
    return outcome


def add_links(
    outcome: Search,
    folder: Path,
    *,
    followed: Collection[Path],
    passed_over: Collection[Path],
) -> None:
    """Add the other names of files that were found, as far as they are below `folder`."""
    if not outcome.elsewhere:
        return
    known = {path for names in outcome.inodes.values() for path in names}
    for entry in _walk(folder, followed=followed, passed_over=passed_over):
        if not entry.is_file(follow_symlinks=False):
            continue
        status = entry.stat(follow_symlinks=False)
        is_same = (status.st_dev, status.st_ino) in outcome.inodes
        if is_same and Path(entry.path) not in known:
            outcome.add(Path(entry.path), is_folder=False)


def _walk(
    folder: Path, *, followed: Collection[Path], passed_over: Collection[Path]
) -> Iterator[os.DirEntry[str]]:
    """Yield everything below `folder`; a clip's folder is yielded and not gone into."""
    waiting = [folder]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except FileNotFoundError:
            continue  # a step at work has moved it
        for entry in entries:
            yield entry
            is_link = entry.is_symlink()
            if not is_link and not entry.is_dir():
                continue
            path = Path(entry.path)
            goes_in = path in followed or not is_link
            if goes_in and path not in passed_over and parse_clip_name(entry.name) is None:
                waiting.append(path)


def _is_of_one_clip(entry: os.DirEntry[str]) -> bool:
    """Return whether a file bears a clip's name, as packed frames and flow do."""
    return parse_clip_name(entry.name.partition(".")[0]) is not None


def _below(folder: Path) -> Iterator[Path]:
    """Yield every file below `folder`."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path))
        else:
            yield Path(entry.path)


def _is_below(path: Path, root: Path) -> bool:
    """Return whether a link leads to a place below `root`."""
    return path.resolve().is_relative_to(root)


def named_in(folder: Path, wanted: Wanted) -> Mapping[Path, bool]:
    """Return the files and folders of `wanted` directly in `folder` -> whether it is a folder."""
    if not folder.is_dir():
        return {}
    return {
        Path(entry.path): entry.is_dir(follow_symlinks=False)
        for entry in os.scandir(folder)
        if wanted.includes(entry.name, is_folder=entry.is_dir())
    }

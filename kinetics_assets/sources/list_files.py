"""Annotation lists in files: which of them is whose, in a folder, an archive or a single file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kinetics_assets.core.annotations import split_list
from kinetics_assets.core.clips import SPLIT_SPELLINGS, Split
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.headless import with_header
from kinetics_assets.core.layout import Layout
from kinetics_assets.io.archives import ArchiveLimits, unpack
from kinetics_assets.io.atomic import os_faults, temp_path

MAX_LIST_BYTES = 512 * 2**20
"""Largest file of lists; the largest published one has about 30 MB."""
_GZIP_START = b"\x1f\x8b"
_TAR_MAGIC = slice(257, 262)


@dataclass(frozen=True, slots=True)
class AnnotationList:
    """One list as it was got."""

    data: bytes
    name: str
    """File name, for the edition folder and for messages."""
    address: str
    """Where it came from, without secrets."""


def lists_in_file(
    path: Path, layout: Layout, *, name: str, address: str, split: Split | None = None
) -> dict[Split, AnnotationList]:
    """Return the lists in a tar archive, or in a file of rows with or without a header.

    Args:
        path: The file.
        layout: Of the dataset; an archive is unpacked in its folder for scratch.
        name: File name by which the split is told.
        address: Where it came from, without secrets.
        split: Whose list it is, where that is known.

    Raises:
        AnnotationError: Nothing tells which split it is.
        ArchiveRefused: The archive is damaged or breaks the rules.
    """
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(_GZIP_START) or start[_TAR_MAGIC] == b"ustar":
        with scratch_folder(layout) as folder:
            limits = ArchiveLimits(max_bytes=8 * MAX_LIST_BYTES)
            members = unpack(path, folder, select=_is_csv, limits=limits)
            files = [member.path for member in members]
            return lists_in_files(files, where=name, address=address)
    data = read_list(path)
    data = with_header(data, dataset=layout.dataset) or data
    split = split or split_of(name)
    if split is not None:
        return {split: AnnotationList(data, name, address)}
    return {
        split: AnnotationList(part, name, address)
        for split, part in split_list(data, name=name).items()
    }


def lists_in_files(
    files: list[Path], *, where: str, address: str = ""
) -> dict[Split, AnnotationList]:
    """Return one list per split of those among `files`, told by their names.

    A single CSV whose name says no split is told apart by its split column.

    Args:
        files: Any files.
        where: The folder or archive they are in, for messages.
        address: Where they came from; each file's own path if empty.

    Raises:
        AnnotationError: No file has a known name, or two fit one split equally well.
    """
    by_rank: dict[Split, list[tuple[int, Path]]] = {}
    for path in sorted(files):
        split = split_of(path.name) if _is_csv(path.name) else None
        if split is not None:
            by_rank.setdefault(split, []).append((_rank(path.name), path))
    if not by_rank:
        found = _by_column(files, address=address)
        if found:
            return found
        seen = ", ".join(sorted(path.name for path in files)[:10]) or "no files"
        raise AnnotationError(
            where,
            f"no list in it has a known name ({seen}).",
            remedy="Name them train.csv, val.csv, test.csv, or kinetics_train.csv and so on.",
        )
    lists: dict[Split, AnnotationList] = {}
    for split, ranked in by_rank.items():
        best = min(rank for rank, _ in ranked)
        chosen = [path for rank, path in ranked if rank == best]
        if len(chosen) > 1:
            names = " and ".join(path.name for path in chosen[:2])
            raise AnnotationError(
                where, f"{names} are both a {split} list.", remedy="Keep the one that you mean."
            )
        lists[split] = AnnotationList(
            read_list(chosen[0]), chosen[0].name, address or str(chosen[0])
        )
    return lists


def _by_column(files: list[Path], *, address: str) -> dict[Split, AnnotationList]:
    """Return the lists in the only CSV among `files`, told by its split column; none if it is not.

    Args:
        files: Any files.
        address: Where they came from; the file's own path if empty.
    """
    tables = [path for path in files if _is_csv(path.name)]
    if len(tables) != 1:
        return {}
    data, name = read_list(tables[0]), tables[0].name
    try:
        parts = split_list(data, name=name)
    except AnnotationError:
        return {}  # the name is then what is wrong with it
    return {
        split: AnnotationList(part, name, address or str(tables[0]))
        for split, part in parts.items()
    }


def split_of(name: str) -> Split | None:
    """Return the split that a file name says, None if it says none or two."""
    words = re.split(r"[^a-z]+", Path(name).stem.lower())
    found = {SPLIT_SPELLINGS[word] for word in words if word in SPLIT_SPELLINGS}
    return found.pop() if len(found) == 1 else None


def has_lines(data: bytes) -> bool:
    """Return whether a list has a line behind its header."""
    return sum(1 for line in data.splitlines() if line.strip()) > 1


def read_list(path: Path) -> bytes:
    """Return a list's bytes.

    Raises:
        AnnotationError: It is too large to be one.
    """
    with os_faults(f"reading {path}"):
        if path.stat().st_size > MAX_LIST_BYTES:
            raise AnnotationError(str(path), "it is too large for an annotation list.")
        return path.read_bytes()


@contextmanager
def scratch_folder(layout: Layout) -> Iterator[Path]:
    """Yield a private folder that is deleted after the block."""
    folder = temp_path(layout.scratch / "lists", stage="annotations")
    with os_faults(f"creating {folder}"):
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rank(name: str) -> int:
    """Return how well a name fits a list, 0 best: MMAction2's, the official ones, then any other.

    A holdout list stands in for a test list only if there is none.
    """
    stem = Path(name).stem.lower()
    if "holdout" in stem:
        return 3
    if stem in {"kinetics_train", "kinetics_val", "kinetics_test"}:
        return 0
    return 1 if stem in SPLIT_SPELLINGS else 2


def _is_csv(name: str) -> bool:
    """Return whether a file name is that of a list."""
    return name.lower().endswith(".csv")

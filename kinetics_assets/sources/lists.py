"""Where annotation lists come from: the official tarball, MMAction2's copies, the user's own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kinetics_assets.core.annotations import split_list
from kinetics_assets.core.clips import SPLIT_SPELLINGS, Split
from kinetics_assets.core.errors import AnnotationError, ClipError, Forbidden, Gone
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.archives import ArchiveLimits, unpack
from kinetics_assets.io.atomic import os_faults, temp_path
from kinetics_assets.io.egress import ANY_HOST, Egress, redact_url
from kinetics_assets.io.fetch import FetchLimits, fetch

MAX_LIST_BYTES = 512 * 2**20
"""Largest file of lists; the largest published one has about 30 MB."""
CHOICES = "annotations.source is `official`, `backup`, or a path or URL of a list, folder or tar."
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


def get_lists(settings: Settings) -> dict[Split, AnnotationList]:
    """Return the lists that `settings` name, by split; at least one.

    Raises:
        AnnotationError: A list is missing or cannot be had; says what `annotations.source` may be.
        ArchiveRefused: The tarball is damaged or breaks the rules.
        EnvironmentFault: No network, or the disk cannot be written.
    """
    layout = Layout.of(settings)
    source = settings.annotations.source
    if source == "official":
        url = settings.annotations.official_url.replace("{dataset}", settings.dataset)
        lists = _from_url(url, settings, layout, egress=_only_host_of(url, settings))
        _demand(lists, (Split.TRAIN, Split.VAL), address=redact_url(url))
        return lists
    if source == "backup":
        return _from_backup(settings, layout)
    if "://" in source:
        egress = Egress((ANY_HOST,), settings.sources.loopback_hosts)
        return _from_url(source, settings, layout, egress=egress)
    path = Path(source).expanduser()
    with os_faults(f"reading {path}"):
        if path.is_dir():
            files = [entry for entry in path.iterdir() if entry.is_file()]
            return _from_files(files, where=str(path))
        if path.is_file():
            return _from_file(path, layout, name=path.name, address=str(path))
    raise AnnotationError(str(path), "there is no such file or folder.", remedy=CHOICES)


def _from_backup(settings: Settings, layout: Layout) -> dict[Split, AnnotationList]:
    """Return the lists at MMAction2's addresses, one a split; the test list may be missing."""
    lists: dict[Split, AnnotationList] = {}
    template = settings.annotations.backup_url.replace("{dataset}", settings.dataset)
    for split in Split:
        url = template.replace("{split}", split)
        may_be_missing = (Gone, Forbidden) if split is Split.TEST else ()
        with (
            suppress(*may_be_missing),
            _fetched(
                url, settings, layout, egress=_only_host_of(url, settings), passing=may_be_missing
            ) as path,
        ):
            lists[split] = AnnotationList(path.read_bytes(), _url_name(url), redact_url(url))
    return lists


def _from_url(
    url: str, settings: Settings, layout: Layout, *, egress: Egress
) -> dict[Split, AnnotationList]:
    """Return the lists in the file at `url`."""
    with _fetched(url, settings, layout, egress=egress) as path:
        return _from_file(path, layout, name=_url_name(url), address=redact_url(url))


@contextmanager
def _fetched(
    url: str,
    settings: Settings,
    layout: Layout,
    *,
    egress: Egress,
    passing: tuple[type[ClipError], ...] = (),
) -> Iterator[Path]:
    """Yield the file at `url`, for the length of the block.

    Raises:
        AnnotationError: It cannot be had; an error in `passing` is raised as it is.
    """
    limits = FetchLimits(settings.sources.timeout_seconds, max_bytes=MAX_LIST_BYTES)
    with _scratch(layout) as folder:
        try:
            fetched = fetch(url, folder / "fetched", egress=egress, limits=limits)
        except passing:
            raise
        except ClipError as error:
            raise AnnotationError(redact_url(url), error.message, remedy=CHOICES) from error
        yield fetched.path


def _from_file(
    path: Path, layout: Layout, *, name: str, address: str
) -> dict[Split, AnnotationList]:
    """Return the lists in a tar archive or a CSV file."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(_GZIP_START) or start[_TAR_MAGIC] == b"ustar":
        with _scratch(layout) as folder:
            limits = ArchiveLimits(max_bytes=8 * MAX_LIST_BYTES)
            members = unpack(path, folder, select=_is_csv, limits=limits)
            files = [member.path for member in members]
            return _from_files(files, where=name, address=address)
    data = read_list(path)
    split = _split_of(name)
    if split is not None:
        return {split: AnnotationList(data, name, address)}
    return {
        split: AnnotationList(part, name, address)
        for split, part in split_list(data, name=name).items()
    }


def _from_files(files: list[Path], *, where: str, address: str = "") -> dict[Split, AnnotationList]:
    """Return one list per split of those among `files`, told by their names.

    Args:
        files: Any files.
        where: The folder or archive they are in, for messages.
        address: Where they came from; each file's own path if empty.

    Raises:
        AnnotationError: No file has a known name, or two fit one split equally well.
    """
    by_rank: dict[Split, list[tuple[int, Path]]] = {}
    for path in sorted(files):
        split = _split_of(path.name) if _is_csv(path.name) else None
        if split is not None:
            by_rank.setdefault(split, []).append((_rank(path.name), path))
    if not by_rank:
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


def _demand(lists: dict[Split, AnnotationList], splits: tuple[Split, ...], *, address: str) -> None:
    """Raise `AnnotationError` if a list is missing."""
    for split in splits:
        if split not in lists:
            raise AnnotationError(address, f"it has no {split} list.", remedy=CHOICES)


def _only_host_of(url: str, settings: Settings) -> Egress:
    """Return the rules for an address of the settings: its own host and nothing else."""
    parts, local = urlsplit(url), settings.sources.loopback_hosts
    return Egress(() if parts.netloc in local else (parts.hostname or "",), local)


def _split_of(name: str) -> Split | None:
    """Return the split that a file name says, None if it says none or two."""
    words = re.split(r"[^a-z]+", Path(name).stem.lower())
    found = {SPLIT_SPELLINGS[word] for word in words if word in SPLIT_SPELLINGS}
    return found.pop() if len(found) == 1 else None


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


def _url_name(url: str) -> str:
    """Return the file name at the end of a URL."""
    return Path(unquote(urlsplit(url).path)).name or "list"


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
def _scratch(layout: Layout) -> Iterator[Path]:
    """Yield a private folder that is deleted after the block."""
    folder = temp_path(layout.scratch / "lists", stage="annotations")
    with os_faults(f"creating {folder}"):
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""How bytes become visible: complete, durable, and all at once.

A file or folder is written under a temporary name beside its final one, flushed to the disk and
renamed. A crash leaves the old content or the new, never a mix, and at worst a temporary name that
every reader skips and `sweep_temps` removes.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import environment_fault
from kinetics_assets.core.layout import AHEAD_PREFIX, TEMP_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_MOST_SINGLE_SYNCS = 8


@contextmanager
def os_faults(doing: str) -> Iterator[None]:
    """Turn a full disk or a missing permission into the `EnvironmentFault` it is.

    Raises:
        EnvironmentFault: An `OSError` inside the block is the machine's fault.
        OSError: Any other, unchanged.
    """
    try:
        yield
    except OSError as error:
        fault = environment_fault(error, doing=doing)
        if fault is None:
            raise
        raise fault from error


def temp_path(final: Path, *, stage: str) -> Path:
    """Return an unused temporary name in the folder of `final`, which is created if missing.

    The name holds the writer's process id, so that `sweep_temps` can tell a dead writer's.
    """
    with os_faults(f"creating {final.parent}"):
        final.parent.mkdir(parents=True, exist_ok=True)
    name = f"{TEMP_PREFIX}{stage}-{os.getpid()}-{secrets.token_hex(6)}{final.suffix}"
    return final.parent / name


def write_file(final: Path, data: bytes) -> None:
    """Make `final` hold exactly `data`, durably; a reader sees the old or the new content."""
    write_chunks(final, [data])


def write_chunks(final: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Make `final` hold exactly `chunks`, one after the other, as `write_file` does.

    They are never joined: memory that was not touched before costs more than the writing.
    """
    with os_faults(f"writing {final}"):
        temp = temp_path(final, stage="file")
        try:
            with temp.open("wb") as file:
                file.writelines(chunks)
            publish_file(temp, final)
        finally:
            temp.unlink(missing_ok=True)


def publish_file(temp: Path, final: Path) -> None:
    """Give the complete file `temp` its final name, durably, replacing what was there."""
    with os_faults(f"publishing {final}"):
        sync(temp)
        temp.replace(final)
        sync(final.parent)


def publish_folder(temp: Path, final: Path) -> None:
    """Give the complete folder `temp` its final name, durably, replacing what was there.

    An existing folder is exchanged in one step and then deleted, so that a reader never sees the
    name missing or a mix of both.
    """
    with os_faults(f"publishing {final}"):
        _sync_folder(temp)
        if final.exists():
            _exchange(temp, final)
            sync(final.parent)
            shutil.rmtree(temp)
        else:
            temp.rename(final)
            sync(final.parent)


def sync(path: Path) -> None:
    """Flush a file's bytes, or a folder's entries, to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_folder(folder: Path) -> None:
    """Flush a folder and the files in it.

    A clip has hundreds of pictures, and one `syncfs` of the file system costs a small part of as
    many `fsync` calls (measured: 8 to 26 ms against 120 to 470 ms for 300 pictures on ext4).
    """
    entries = list(folder.iterdir())
    libc = ctypes.CDLL(None, use_errno=True)
    if len(entries) > _MOST_SINGLE_SYNCS and hasattr(libc, "syncfs"):
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.syncfs(fd) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), str(folder))
        finally:
            os.close(fd)
        return
    for entry in entries:
        sync(entry)
    sync(folder)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes, as hex digits."""
    with os_faults(f"reading {path}"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(folder: Path, names: list[str]) -> str:
    """Return the sha256 of the sorted lines ``<name> <sha256 of the file>`` of `names`."""
    return sha256_of_files(files_sha256(folder, names))


def files_sha256(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of each file `names` in `folder`, by name.

    For small files, of which there are many: each is read at once, in as few steps as possible.
    """
    found = {}
    with os_faults(f"reading {folder}"):
        for name in names:
            with open(f"{folder}/{name}", "rb", buffering=0) as file:  # noqa: PTH123 - in a hot loop
                found[name] = hashlib.sha256(file.read()).hexdigest()
    return found


def sha256_of_files(found: Mapping[str, str]) -> str:
    """Return the sha256 of the sorted lines ``<name> <sha256>`` of the files `found`."""
    lines = [f"{name} {sha256}\n" for name, sha256 in sorted(found.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def link_or_copy(source: Path, target: Path, *, copy: bool = False) -> None:
    """Make `target` the same bytes as `source`: by hard link, else by copying.

    A copy is made when asked for, across file systems, and where hard links are refused.
    """
    with os_faults(f"taking over {source}"):
        if not copy:
            try:
                os.link(source.resolve(strict=True), target)
            except OSError as error:
                if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}:
                    raise
            else:
                return
        shutil.copyfile(source, target)


def sweep_temps(folder: Path) -> int:
    """Delete temporary names whose writer is dead; return how many there were.

    What a step has made ahead for another one stays: it is complete, and the other's to take.
    """
    swept = 0
    with os_faults(f"sweeping {folder}"):
        for entry in list(os.scandir(folder)) if folder.is_dir() else ():
            if not entry.name.startswith(TEMP_PREFIX) or entry.name.startswith(AHEAD_PREFIX):
                continue
            if _writer_lives(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with suppress(FileNotFoundError):
                    Path(entry.path).unlink()
            swept += 1
    return swept


def _writer_lives(name: str) -> bool:
    """Return whether the process that made the temporary `name` is still there."""
    parts = name.removeprefix(TEMP_PREFIX).rsplit("-", 2)
    if len(parts) != 3 or not parts[1].isdigit():
        return False
    return int(parts[1]) == os.getpid() or Path("/proc", parts[1]).exists()


def _exchange(a: Path, b: Path) -> None:
    """Swap two names in one step (Linux `renameat2`), or move `b` aside where that is unknown."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2"):
        code = libc.renameat2(
            _AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), ctypes.c_uint(_RENAME_EXCHANGE)
        )
        if code == 0:
            return
        number = ctypes.get_errno()
        if number not in {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}:
            raise OSError(number, os.strerror(number), str(b))
    # Some network file systems cannot exchange; a reader may then miss the folder for an instant.
    aside = temp_path(b, stage="aside")
    b.rename(aside)
    a.rename(b)
    aside.rename(a)

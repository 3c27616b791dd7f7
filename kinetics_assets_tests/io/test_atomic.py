"""Atomic writes: the old content or the new, on the disk, and no litter after a crash."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import itertools
import os
import signal
import stat
from pathlib import Path

import pytest

from kinetics_assets.core.errors import DiskFull
from kinetics_assets.core.layout import TEMP_PREFIX
from kinetics_assets.io import atomic
from kinetics_assets.io.atomic import (
    folder_sha256,
    link_or_copy,
    os_faults,
    publish_file,
    publish_folder,
    sha256_of,
    sweep_temps,
    temp_path,
    write_file,
)
from kinetics_assets_tests.io.children import SMALL_DISK, child, own_mounts, run, said

ROUNDS = 300
VERSIONS = 3
needs_mounts = pytest.mark.skipif(not own_mounts(), reason="this user may not mount a small disk")


def _names(folder: Path) -> list[str]:
    """Return the sorted names in `folder`."""
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_holds_what_was_written(tmp_path: Path) -> None:
    """New, replaced, empty: the content is the bytes given, and nothing else is left behind."""
    final = tmp_path / "new folder" / "x.json"
    for data in (b"one", b"", b"longer than before"):
        write_file(final, data)
        assert final.read_bytes() == data
        assert _names(final.parent) == ["x.json"]


def test_temporary_names_are_unused_and_beside_the_file(tmp_path: Path) -> None:
    """A temporary name is on the same disk, keeps the suffix, and is never given twice."""
    final = tmp_path / "clip.mp4"
    names = {temp_path(final, stage="videos") for _ in range(100)}
    assert len(names) == 100
    for name in names:
        assert name.parent == final.parent
        assert name.suffix == ".mp4"
        assert name.name.startswith(f"{TEMP_PREFIX}videos-{os.getpid()}-")


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    """A folder in the way: the error is raised and no temporary name stays."""
    final = tmp_path / "x"
    final.mkdir()
    (final / "inside").touch()
    with pytest.raises(OSError, match=r"directory|not empty"):
        write_file(final, b"data")
    assert _names(tmp_path) == ["x"]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """While another process replaces a file without pause, every read is one of its versions."""
    final = tmp_path / "x"
    code = """
import sys, pathlib
from kinetics_assets.io.atomic import write_file
for number in range(10**9):
    write_file(pathlib.Path(sys.argv[1]), str(number % 10).encode() * 20_000)
    if number == 0:
        print("written", flush=True)
"""
    with child(code, final) as writer:
        assert said(writer) == "written"
        seen: set[bytes] = set()
        for read in itertools.count():
            seen.add(final.read_bytes())
            if read > ROUNDS and len(seen) > VERSIONS:
                break
            assert writer.poll() is None
    for content in seen:
        assert len(content) == 20_000
        assert len(set(content)) == 1


@pytest.mark.parametrize("moment", range(5))
def test_sigkill_leaves_a_whole_file_and_sweepable_litter(tmp_path: Path, moment: int) -> None:
    """Killed at any moment, the file is whole; what else lies there is swept by the next run."""
    final = tmp_path / "x"
    code = """
import sys, pathlib
from kinetics_assets.io.atomic import write_file
for number in range(10**9):
    write_file(pathlib.Path(sys.argv[1]), str(number % 10).encode() * 200_000)
    print(number, flush=True)
"""
    with child(code, final) as writer:
        for _ in range(1 + moment):
            assert said(writer)
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
    content = final.read_bytes()
    assert len(content) == 200_000
    assert len(set(content)) == 1
    litter = [name for name in _names(tmp_path) if name.startswith(TEMP_PREFIX)]
    assert sweep_temps(tmp_path) == len(litter)
    assert _names(tmp_path) == ["x"]


def test_a_folder_is_exchanged_in_one_step(tmp_path: Path) -> None:
    """While another process replaces a folder, its name is always there and holds one version."""
    final = tmp_path / "clip"
    code = """
import sys, pathlib
from kinetics_assets.io.atomic import publish_folder, temp_path
final = pathlib.Path(sys.argv[1])
for number in range(10**9):
    temp = temp_path(final, stage="rawframes")
    temp.mkdir()
    for name in "ab":
        (temp / f"{name}{number}").write_text(str(number))
    publish_folder(temp, final)
    if number == 0:
        print("written", flush=True)
"""
    versions: set[frozenset[str]] = set()
    with child(code, final) as writer:
        assert said(writer) == "written"
        for read in itertools.count():
            fd = os.open(final, os.O_RDONLY | os.O_DIRECTORY)
            names = frozenset(entry.name for entry in os.scandir(fd))
            os.close(fd)
            # a folder that was exchanged away while it was open is being deleted
            if len(names) == 2:
                versions.add(names)
            if read > ROUNDS and len(versions) > VERSIONS:
                break
            assert writer.poll() is None
    for names in versions:
        assert len({name[1:] for name in names}) == 1


def test_a_published_folder_replaces_all_of_the_old_one(tmp_path: Path) -> None:
    """Nothing of the former folder shows through, and its bytes are gone."""
    final = tmp_path / "clip"
    for names in (["a", "b"], ["b", "c"]):
        temp = temp_path(final, stage="flow")
        temp.mkdir()
        for name in names:
            (temp / name).write_text(name * 2)
        publish_folder(temp, final)
        assert _names(final) == names
        assert _names(tmp_path) == ["clip"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_exchange_gets_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Where the kernel refuses the exchange, the folder is moved aside and replaced."""

    class Refusing:
        """A C library whose `renameat2` fails with `number`."""

        def renameat2(self, *_arguments: object) -> int:
            """Fail."""
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_a, **_k: Refusing())
    monkeypatch.setattr(ctypes, "get_errno", lambda: number)
    test_a_published_folder_replaces_all_of_the_old_one(tmp_path)


def test_another_failure_of_the_exchange_is_raised(tmp_path: Path) -> None:
    """What is no refusal is an error, with the old folder untouched."""
    with pytest.raises(OSError, match="No such file"):
        atomic._exchange(tmp_path / "missing", tmp_path / "missing too")


def test_a_write_is_flushed_before_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that a power loss needs: flush the bytes, rename, flush the folder."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(fd: int) -> None:
        steps.append("flush folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "flush file")
        fsync(fd)

    def noted_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_file(tmp_path / "x", b"data")
    assert steps == ["flush file", "rename", "flush folder"]


def test_a_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    """A limit of the machine is named as such, and the old content stays."""
    final = tmp_path / "x"
    final.write_bytes(b"old")
    code = """
import resource, sys, pathlib
from kinetics_assets.core.errors import DiskFull
from kinetics_assets.io.atomic import write_file
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_file(pathlib.Path(sys.argv[1]), b"x" * 2000)
except DiskFull as fault:
    print(fault.message)
"""
    assert f"writing {final}" in run(code, final)
    assert final.read_bytes() == b"old"
    assert _names(tmp_path) == ["x"]


@needs_mounts
def test_a_full_disk_leaves_the_old_content(tmp_path: Path) -> None:
    """A real disk that is full, of bytes and then of inodes: named, nothing lost, nothing left."""
    code = f"""{SMALL_DISK}
from kinetics_assets.core.errors import DiskFull
from kinetics_assets.io.atomic import write_file
final = disk / "x"
write_file(final, b"old")
try:
    write_file(final, b"x" * 1_000_000)
except DiskFull:
    print("no space", final.read_bytes(), len(list(disk.iterdir())))
try:
    for number in range(100):
        (disk / str(number)).touch()
except OSError:
    pass
try:
    write_file(final, b"new")
except DiskFull:
    print("no inodes", final.read_bytes(), any(disk.glob(".tmp-*")))
"""
    assert run(code, tmp_path, prefix=own_mounts()).splitlines() == [
        "no space b'old' 1",
        "no inodes b'old' False",
    ]


@needs_mounts
def test_a_read_only_disk_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    """A disk that went read-only is a missing permission, not a failed clip."""
    code = f"""{SMALL_DISK}
from kinetics_assets.core.errors import PermissionDenied
from kinetics_assets.io.atomic import sweep_temps, temp_path, write_file
write_file(disk / "x", b"old")
(disk / ".tmp-videos-0-ab.mp4").touch()
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
try:
    write_file(disk / "x", b"new")
except PermissionDenied as fault:
    print(fault.reason, (disk / "x").read_bytes())
for touch in (lambda: temp_path(disk / "new" / "x", stage="videos"), lambda: sweep_temps(disk)):
    try:
        touch()
    except PermissionDenied as fault:
        print(fault.message)
"""
    said_so = run(code, tmp_path, prefix=own_mounts()).splitlines()
    assert said_so[0] == "permission_denied b'old'"
    assert [line.partition(str(tmp_path))[0] for line in said_so[1:]] == [
        "Not allowed while creating ",
        "Not allowed while sweeping ",
    ]


@needs_mounts
def test_a_link_across_disks_is_a_copy(tmp_path: Path) -> None:
    """A source on another disk cannot be linked; it is copied instead."""
    code = f"""{SMALL_DISK}
from kinetics_assets.io.atomic import link_or_copy
source = disk.parent / "source"
source.write_bytes(b"bytes")
link_or_copy(source, disk / "target")
print((disk / "target").read_bytes(), (disk / "target").stat().st_nlink)
"""
    disk = tmp_path / "disk"
    disk.mkdir()
    assert run(code, disk, prefix=own_mounts()) == "b'bytes' 1"


def test_a_link_shares_its_bytes_and_a_copy_does_not(tmp_path: Path) -> None:
    """A hard link takes no space; a copy that was asked for is a file of its own."""
    source = tmp_path / "source"
    source.write_bytes(b"bytes")
    (tmp_path / "alias").symlink_to(source)
    link_or_copy(tmp_path / "alias", tmp_path / "linked")
    link_or_copy(source, tmp_path / "copied", copy=True)
    assert (tmp_path / "linked").samefile(source)
    assert not (tmp_path / "linked").is_symlink()
    assert not (tmp_path / "copied").samefile(source)
    assert (tmp_path / "copied").read_bytes() == b"bytes"


def test_a_missing_source_is_an_error(tmp_path: Path) -> None:
    """A dangling link or a file that is gone is not taken over as something empty."""
    (tmp_path / "alias").symlink_to(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        link_or_copy(tmp_path / "alias", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_sweeping_spares_living_writers_and_all_else(tmp_path: Path) -> None:
    """Only temporary names of dead writers go: files, folders, and names without a number."""
    code = "import os; print(os.getpid(), flush=True); input()"
    with child(code) as living, child(code) as dead:
        assert said(living) == str(living.pid)
        dead.kill()
        dead.wait()
        spared = [
            temp_path(tmp_path / "mine.mp4", stage="videos").name,
            f"{TEMP_PREFIX}videos-{living.pid}-00.mp4",
            "clip.mp4",
            ".hidden",
        ]
        for name in [*spared, f"{TEMP_PREFIX}videos-{dead.pid}-00.mp4", f"{TEMP_PREFIX}strange"]:
            (tmp_path / name).touch()
        folder = tmp_path / f"{TEMP_PREFIX}rawframes-{dead.pid}-00"
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "img.jpg").touch()
        assert sweep_temps(tmp_path) == 3
        assert _names(tmp_path) == sorted(spared)


def test_sweeping_does_not_follow_links(tmp_path: Path) -> None:
    """A link with a temporary name goes; what it points at stays."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    swept = tmp_path / "swept"
    swept.mkdir()
    (swept / f"{TEMP_PREFIX}videos-x-y").symlink_to(kept)
    assert sweep_temps(swept) == 1
    assert _names(kept) == ["file"]


def test_sweeping_nothing_is_no_error(tmp_path: Path) -> None:
    """A class that was never begun has no folder."""
    assert sweep_temps(tmp_path / "missing") == 0


def test_hashes_are_those_of_sha256sum(tmp_path: Path) -> None:
    """A file's hash is that of its bytes; a folder's depends on names and bytes, not on order."""
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    one, two = (hashlib.sha256(data).hexdigest() for data in (b"one", b"two"))
    assert sha256_of(tmp_path / "a") == one
    both = hashlib.sha256(f"a {one}\nb {two}\n".encode()).hexdigest()
    assert folder_sha256(tmp_path, ["b", "a"]) == folder_sha256(tmp_path, ["a", "b"]) == both


def test_only_faults_of_the_machine_are_translated() -> None:
    """A missing file stays what it is; a full disk becomes the fault, with its cause kept."""
    with pytest.raises(FileNotFoundError), os_faults("reading x"):
        raise FileNotFoundError(errno.ENOENT, "gone")
    cause = OSError(errno.ENOSPC, "full")
    with pytest.raises(DiskFull, match="reading x") as caught, os_faults("reading x"):
        raise cause
    assert caught.value.__cause__ is cause


def test_publishing_a_file_replaces_the_old_one(tmp_path: Path) -> None:
    """The complete temporary file takes the name; it is gone under its own."""
    final = tmp_path / "clip.mp4"
    final.write_bytes(b"old")
    temp = temp_path(final, stage="videos")
    temp.write_bytes(b"new")
    publish_file(temp, final)
    assert final.read_bytes() == b"new"
    assert _names(tmp_path) == ["clip.mp4"]

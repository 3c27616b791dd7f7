"""Python, its packages, the folders and what confines decoders."""

from __future__ import annotations

import os
import platform
import re
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import EnvironmentFault, InternalError
from kinetics_assets.io.machine import machine_folder
from kinetics_assets.media.client import MediaWorker
from kinetics_assets.stages.doctor.check import Check, failed
from kinetics_assets.stages.doctor.probing import DIED, ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kinetics_assets.core.settings import Limits, Settings

_MODULES = ("av", "numba", "numpy", "pyarrow", "simplejpeg")
_DISTRIBUTIONS = ("dagster", "click", "rich", "pandas")
_FEW_INODES = 1_000_000
"""Frames are files: a class of Kinetics-400 alone may have some hundred thousand."""
_NETWORK_TYPES = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|afs|beegfs|ceph|gfs2?|glusterfs|gpfs|lustre|ncpfs|orangefs|pvfs2"
    r"|fuse\.(sshfs|s3fs|gcsfuse|rclone|glusterfs|ceph.*|juicefs|goofys|blobfuse2?|davfs2?)"
)
_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


def machine_checks(settings: Settings, *, needs_numba: bool = True) -> Iterator[Check]:
    """Yield what is found of Python, packages, folders and the sandbox."""
    home = dagster_home_of(settings.root)
    yield python_check()
    yield packages_check(needs_numba=needs_numba)
    yield writable_check("root", settings.root, setting="KINETICS_ROOT (or --root)")
    if settings.storage.rawframes_folder is not None:
        elsewhere = settings.storage.rawframes_folder
        yield writable_check("frames folder", elsewhere, setting="storage.rawframes_folder")
    yield space_check(settings.root, limits=settings.limits)
    yield inodes_check(settings.root)
    yield locks_check(settings.root, home, machine_folder())
    yield writable_check("dagster home", home, setting="DAGSTER_HOME")
    yield sandbox_check(settings.limits, writable=settings.root)


def dagster_home_of(root: Path, env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the Dagster instance: DAGSTER_HOME as set, else below the root."""
    chosen = env.get("DAGSTER_HOME")
    return Path(chosen).expanduser().absolute() if chosen else root / ".dagster"


def python_check() -> Check:
    """Return which Python runs, and which version of this package."""
    return Check(
        "python",
        "ok",
        f"Python {platform.python_version()}, kinetics-assets {_version('kinetics-assets')}.",
    )


def packages_check(*, needs_numba: bool) -> Check:
    """Return whether the compiled packages can be loaded, and the versions of all."""
    answer = ask("imports", *_MODULES)
    if DIED in answer:
        return Check(
            "packages",
            "missing",
            f"Loading {', '.join(_MODULES)} {answer[DIED]}.",
            f"Run `pip install --force-reinstall {' '.join(_MODULES)}`.",
        )
    wrong = {name: one["error"] for name, one in answer.items() if "error" in one}
    if wrong:
        return Check(
            "packages",
            "missing" if needs_numba or set(wrong) - {"numba"} else "warning",
            "; ".join(f"{name} cannot be loaded ({words})" for name, words in wrong.items()) + ".",
            f"Run `pip install --force-reinstall {' '.join(wrong)}`.",
        )
    versions = [f"{name} {one['version']}" for name, one in answer.items()]
    versions += [f"{name} {_version(name)}" for name in _DISTRIBUTIONS]
    return Check("packages", "ok", ", ".join(versions) + ".")


def writable_check(name: str, folder: Path, *, setting: str) -> Check:
    """Return whether files can be made in a folder, which need not exist yet."""
    there = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        where = "" if there == folder else f"{folder} does not exist, and "
        return Check(
            name,
            "missing",
            f"{where}{there} cannot be written ({error.strerror}).",
            f"Point {setting} at a folder that this user may write.",
        )
    return Check(name, "ok", f"{folder}" + ("." if there == folder else ", not made yet."))


def space_check(folder: Path, *, limits: Limits) -> Check:
    """Return how much space is free, and whether steps start with that."""
    there = _nearest(folder)
    numbers = os.statvfs(there)
    free_bytes = numbers.f_bavail * numbers.f_frsize
    says = f"{free_bytes / 2**30:.1f} GiB free under {folder}"
    if free_bytes < limits.min_free_bytes:
        return Check(
            "disk space",
            "missing",
            f"{says}; no step starts with less than {limits.min_free_bytes / 2**30:.2f} GiB.",
            "Free space there, or set storage.rawframes_folder to a folder on another disk.",
        )
    return Check("disk space", "ok", f"{says}.")


def inodes_check(folder: Path) -> Check:
    """Return how many files can still be made."""
    numbers = os.statvfs(_nearest(folder))
    if not numbers.f_files:  # some file systems have no such limit
        return Check("inodes", "ok", "The file system has no limit on the number of files.")
    if numbers.f_favail >= _FEW_INODES:
        return Check("inodes", "ok", f"{numbers.f_favail} more files can be made.")
    return Check(
        "inodes",
        "warning" if numbers.f_favail else "missing",
        f"Only {numbers.f_favail} more files can be made under {folder}; frames are files.",
        "Set storage.rawframes_folder to a file system with more inodes.",
    )


def locks_check(root: Path, home: Path, machine: Path, *, mounts: Path = _MOUNTS) -> Check:
    """Return whether the folders are on file systems of this machine, where locks always hold."""
    folders = {"the root": root, "DAGSTER_HOME": home, "KINETICS_MACHINE_DIR": machine}
    types = {name: file_system_of(folder, mounts=mounts) for name, folder in folders.items()}
    distant = {name: kind for name, kind in types.items() if _NETWORK_TYPES.fullmatch(kind)}
    if not distant:
        kinds = ", ".join(f"{name} on {kind}" for name, kind in types.items())
        return Check("locks", "ok", f"{kinds}.")
    ours = [name for name in distant if name != "the root"]
    return Check(
        "locks",
        "warning",
        "On a network file system, where locks may not hold between machines: "
        + ", ".join(f"{name} ({kind})" for name, kind in distant.items())
        + ".",
        f"Set {' and '.join(ours)} to a folder on this machine's own disk."
        if ours
        else "Let one machine at a time work on a dataset.",
    )


def file_system_of(folder: Path, *, mounts: Path = _MOUNTS) -> str:
    """Return the type of the file system that a folder is, or will be, on; "unknown" at worst."""
    there = _nearest(folder).resolve()
    best, kind = -1, "unknown"
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return kind
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), fields.split()[4]))
        # of two mounts at one place the later one is on top
        if there.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), rest.split()[0]
    return kind


def sandbox_check(limits: Limits, *, writable: Path) -> Check:
    """Return which protections against hostile files this machine does not give."""
    try:
        with MediaWorker(limits, writable=[_nearest(writable)]) as worker:
            degraded = worker.degraded
    except (EnvironmentFault, InternalError) as error:
        return failed("sandbox", error, state="missing")
    if not degraded:
        return Check("sandbox", "ok", "Decoders have no network, no programs, few folders.")
    return Check(
        "sandbox",
        "warning",
        "Decoding works, with less protection: " + "; ".join(degraded),
        "Take Linux 6.7 or later, and a container whose seccomp profile allows Landlock.",
    )


def _nearest(folder: Path) -> Path:
    """Return the folder, or what exists nearest above it."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _version(distribution: str) -> str:
    """Return the version of an installed package."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"

"""Folders, disks, packages and the sandbox, on this machine as it is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.settings import Limits, Settings, StorageSettings
from kinetics_assets.stages.doctor import machine
from kinetics_assets.stages.doctor.check import Check
from kinetics_assets.stages.doctor.machine import (
    dagster_home_of,
    file_system_of,
    inodes_check,
    locks_check,
    machine_checks,
    packages_check,
    python_check,
    sandbox_check,
    space_check,
    writable_check,
)
from kinetics_assets.stages.doctor.probing import ask

LIMITS = Limits()


def test_a_finding_has_a_remedy_unless_it_is_ok() -> None:
    """No problem without what to do, nothing to do where there is no problem."""
    with pytest.raises(ValueError, match="is off"):
        Check("a", "off", "b")
    with pytest.raises(ValueError, match="is ok"):
        Check("a", "ok", "b", "c")


def test_python_and_packages() -> None:
    """Versions are told."""
    assert "Python 3." in python_check().says
    assert "kinetics-assets" in python_check().says
    found = packages_check(needs_numba=True)
    assert found.is_ok
    assert "simplejpeg" in found.says


@pytest.mark.parametrize(
    ("name", "needs_numba", "state"),
    [("numba", False, "warning"), ("numba", True, "missing"), ("simplejpeg", False, "missing")],
)
def test_a_package_that_cannot_be_loaded_is_named(
    name: str, needs_numba: bool, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing if it is needed; numba is needed by the CPU engine alone."""
    (tmp_path / f"{name}.py").write_text('raise ImportError("half of it is gone")')
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(machine, "_MODULES", (name,))
    found = packages_check(needs_numba=needs_numba)
    assert found.state == state
    assert "half of it is gone" in found.says
    assert found.remedy == f"Run `pip install --force-reinstall {name}`."


def test_a_file_in_the_working_folder_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies about under a package's name is not taken for it."""
    (tmp_path / "click.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert "version" in ask("imports", "click")["click"]


def test_a_folder_is_written_to_without_leaving_anything(tmp_path: Path) -> None:
    """One that is not there yet is judged by what is above it, and is not made."""
    assert writable_check("root", tmp_path, setting="--root").is_ok
    assert "not made yet" in writable_check("root", tmp_path / "a" / "b", setting="--root").says
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/proc/self", "/proc/self/no-such-folder"])
def test_a_folder_that_cannot_be_written_is_missing(path: str) -> None:
    """Not even by root; the remedy names the setting."""
    found = writable_check("root", Path(path), setting="KINETICS_ROOT")
    assert found.state == "missing"
    assert "/proc/self" in found.says
    assert "KINETICS_ROOT" in found.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_missing(tmp_path: Path) -> None:
    """With the system's own words."""
    tmp_path.chmod(0o500)
    assert "Permission denied" in writable_check("root", tmp_path, setting="--root").says


def test_space_and_inodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little space is what steps call too little; few inodes are a warning, none is missing."""
    assert space_check(tmp_path / "later", limits=LIMITS).is_ok
    found = space_check(tmp_path, limits=replace(LIMITS, min_free_bytes=2**62))
    assert (found.state, "GiB free" in found.says) == ("missing", True)

    real = os.statvfs(tmp_path)
    for favail, files, state in ((7, 9, "warning"), (0, 9, "missing"), (0, 0, "ok")):
        numbers = os.statvfs_result((*real[:5], files, favail, favail, *real[8:]))
        monkeypatch.setattr(os, "statvfs", lambda _, numbers=numbers: numbers)
        assert inodes_check(tmp_path).state == state


def _mounts(folder: Path, *, kind: str, point: Path) -> Path:
    """Return a list of mounts with a root on ext4 and one more, which has a space in its name."""
    path = folder / "mountinfo"
    place = str(point).replace(" ", "\\040")
    path.write_text(
        "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"30 20 0:50 / {place} rw shared:2 - {kind} server:/x rw\n"
    )
    return path


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "lustre"])
def test_network_file_systems_are_told(kind: str, tmp_path: Path) -> None:
    """What can be put on the machine's own disk is named; for the root there is another advice."""
    share = tmp_path / "a share"
    share.mkdir()
    mounts = _mounts(tmp_path, kind=kind, point=share)
    local = tmp_path / "local"
    assert file_system_of(share / "root", mounts=mounts) == kind
    assert file_system_of(local, mounts=mounts) == "ext4"
    assert locks_check(local, local, local, mounts=mounts).is_ok
    root = locks_check(share, local, local, mounts=mounts)
    assert (root.state, "one machine at a time" in root.remedy) == ("warning", True)
    home = locks_check(share, share / ".dagster", local, mounts=mounts)
    assert f"DAGSTER_HOME ({kind})" in home.says
    assert "Set DAGSTER_HOME to a folder" in home.remedy


def test_local_overlays_are_no_network(tmp_path: Path) -> None:
    """A container's own disk may be a FUSE file system."""
    mounts = _mounts(tmp_path, kind="fuse.fuse-overlayfs", point=tmp_path)
    assert locks_check(tmp_path, tmp_path, tmp_path, mounts=mounts).is_ok


def test_the_dagster_home_is_as_set_or_below_the_root(tmp_path: Path) -> None:
    """As `kinetics up` takes it."""
    assert dagster_home_of(tmp_path, {}) == tmp_path / ".dagster"
    assert dagster_home_of(tmp_path, {"DAGSTER_HOME": "/x"}) == Path("/x")


def test_what_the_sandbox_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A protection that is not given is a warning; a child that does not start is missing."""
    assert sandbox_check(LIMITS, writable=tmp_path).state in {"ok", "warning"}
    lacks = property(lambda _: ("no Landlock: writes are not confined",))
    with monkeypatch.context() as patch:
        patch.setattr(machine.MediaWorker, "degraded", lacks)
        found = sandbox_check(LIMITS, writable=tmp_path)
    assert (found.state, "no Landlock" in found.says) == ("warning", True)
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert sandbox_check(LIMITS, writable=tmp_path).state == "missing"


def test_a_frames_folder_elsewhere_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only if the settings name one."""
    monkeypatch.setattr(machine, "packages_check", lambda **_: python_check())
    monkeypatch.setattr(machine, "sandbox_check", lambda *_, **__: python_check())
    plain = Settings(root=tmp_path, dataset="demo")
    other = replace(plain, storage=StorageSettings(rawframes_folder=Path("/proc/self")))
    assert "frames folder" not in {check.name for check in machine_checks(plain)}
    found = {check.name: check.state for check in machine_checks(other)}
    assert found["frames folder"] == "missing"

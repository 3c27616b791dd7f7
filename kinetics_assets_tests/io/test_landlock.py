"""Writes of a sandboxed child stay in the folders it was given."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from kinetics_assets.core.errors import PermissionDenied, SandboxUnusable
from kinetics_assets.core.settings import Limits
from kinetics_assets.io import landlock
from kinetics_assets.io.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPERATIONS = "kinetics_assets_tests.resources.sandbox_operations"
HERE, NEW = "outside/here", "outside/new"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one part inside and one part outside of the permitted one."""
    top: Path = tmp_path_factory.mktemp("landlock")
    for part in ("inside", "outside"):
        (top / part).mkdir()
        (top / part / "here").write_text("kept")
    return top


@pytest.fixture(scope="module")
def sandbox(folder: Path) -> Iterator[Sandbox]:
    """A sandbox that may write inside."""
    with Sandbox(OPERATIONS, limits=Limits(), writable=[folder / "inside"]) as shared:
        yield shared


def test_results_can_be_written(sandbox: Sandbox, folder: Path) -> None:
    """New files and existing ones below the folder."""
    for name in ("new", "here"):
        sandbox.call("write", path=str(folder / "inside" / name), size=100)
        assert (folder / "inside" / name).stat().st_size == 100
    assert sandbox.degraded == ()


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("remove", HERE), ("rename", HERE), ("truncate", HERE), ("append", HERE),
        ("make", NEW), ("make folder", NEW), ("link", NEW),
        ("remove", "inside/here"), ("make folder", "inside/folder"), ("link", "inside/link"),
    ],
)  # fmt: skip
def test_nothing_else_can_be_changed(how: str, name: str, sandbox: Sandbox, folder: Path) -> None:
    """Outside nothing at all, inside nothing is removed, and no folder or link is made."""
    assert sandbox.call("change", how=how, path=str(folder / name)) == {"errno": errno.EACCES}


def test_a_write_outside_is_reported_as_the_machines(sandbox: Sandbox, folder: Path) -> None:
    """A wrongly given target ends the step instead of blaming clips."""
    with pytest.raises(PermissionDenied, match="outside"):
        sandbox.call("write", path=str(folder / NEW), size=1)
    assert (folder / HERE).read_text() == "kept"


def test_a_link_leads_nowhere_else(sandbox: Sandbox, folder: Path) -> None:
    """A link inside that points outside does not carry the permission with it."""
    (folder / "inside" / "way-out").symlink_to(folder / HERE)
    with pytest.raises(PermissionDenied):
        sandbox.call("write", path=str(folder / "inside" / "way-out"), size=1)


def test_a_folder_that_is_missing_prevents_the_start(tmp_path: Path) -> None:
    """Better no child than one that may write anywhere."""
    with (
        Sandbox(OPERATIONS, limits=Limits(), writable=[tmp_path / "no"]) as own,
        pytest.raises(SandboxUnusable, match="No such file"),
    ):
        own.call("echo")


def test_a_kernel_without_landlock_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller learns that writes are not confined."""
    monkeypatch.setattr(landlock, "_CREATE_RULESET", 100_000)
    assert "not confined" in landlock.confine_writes([])

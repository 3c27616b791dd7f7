"""Archives of frames and flow against their rows, read by Python's own tarfile and zipfile."""

from __future__ import annotations

import tarfile
import zipfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kinetics_assets.verify.findings import Problem, Report
from kinetics_assets.verify.pictures import INDEX, check_bytes, check_index, check_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.core.stages import Stage


def check_packed(path: Path, stage: Stage, row: ManifestRow, report: Report) -> None:
    """Report what in the archive at `path`, of the right sha256, is not as its row says."""
    try:
        with ExitStack() as stack:
            _check(path, stage, row, report, stack)
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        report.find(Problem.FRAMES, row.path, f"cannot be read: {error}")


def _check(path: Path, stage: Stage, row: ManifestRow, report: Report, stack: ExitStack) -> None:
    """Compare members, index and pictures with the row."""
    members, read = _opened(path, stack)
    names = [name for name, _ in members]
    if names[:1] != [INDEX[stage]]:
        report.find(Problem.FRAMES, row.path, f"does not begin with {INDEX[stage]}")
        return
    if not check_names(set(names[1:]), stage, row, report):
        return
    if len(set(names)) != len(names):
        report.find(Problem.FRAMES, row.path, "a name is in it twice")
    where = f"{row.path}/{INDEX[stage]}"
    index = check_index(read(INDEX[stage]), where, row, report, sha256=None)
    if [tuple(member) for member in index.get("members", ())] != members[1:]:
        report.find(Problem.FRAMES, where, "has other members or sizes than the archive")
    check_bytes(names[1:], read, row, report, sha256=str(index.get("sha256")))


def _opened(path: Path, stack: ExitStack) -> tuple[list[tuple[str, int]], Callable[[str], bytes]]:
    """Return name and size of each member in order, and what reads one."""
    if path.suffix == ".zip":
        packed = stack.enter_context(zipfile.ZipFile(path))
        return [(info.filename, info.file_size) for info in packed.infolist()], packed.read
    archive = stack.enter_context(tarfile.open(path, "r:"))  # noqa: SIM115 - the stack closes it
    members = {member.name: member for member in archive}

    def read(name: str) -> bytes:
        file = archive.extractfile(members[name])
        return b"" if file is None else file.read()

    return [(member.name, member.size) for member in archive], read

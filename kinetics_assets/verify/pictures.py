"""Pictures of frames and flow, loose in folders, against their rows."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

from kinetics_assets.core.layout import FLOW_INDEX, FRAMES_INDEX
from kinetics_assets.core.stages import Stage
from kinetics_assets.verify.findings import Problem, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from kinetics_assets.core.manifest import ManifestRow

PREFIXES: Final = {Stage.RAWFRAMES: ("img_",), Stage.FLOW: ("flow_x_", "flow_y_")}
"""Beginnings of the names of a stage's pictures."""
INDEX: Final = {Stage.RAWFRAMES: FRAMES_INDEX, Stage.FLOW: FLOW_INDEX}
"""A stage's index file."""
_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_SHOWN_NAMES = 3


def check_pictures(
    folder: Path, stage: Stage, row: ManifestRow, report: Report, *, hash_content: bool
) -> set[str]:
    """Compare a stage's pictures in `folder` with its row; return the names that belong there."""
    names = expected_names(stage, row)
    if not folder.is_dir():
        report.find(Problem.FILE_MISSING, row.path, "no such folder")
        return names
    there = {e.name for e in os.scandir(folder) if e.name.startswith(PREFIXES[stage])}
    if not check_names(there, stage, row, report):
        return names | there
    where = f"{row.path}/{INDEX[stage]}"
    try:
        data = (folder / INDEX[stage]).read_bytes()
    except OSError as error:
        report.find(Problem.FRAMES, where, f"cannot be read: {error}")
    else:
        check_index(data, where, row, report, sha256=row.sha256)
    report.files += len(names)
    size_bytes = sum((folder / name).stat().st_size for name in names)
    if size_bytes != row.size_bytes:
        report.find(
            Problem.FILE_SIZE, row.path, f"{stage}: {size_bytes} bytes, not {row.size_bytes}"
        )
    if hash_content:

        def read(name: str) -> bytes:
            data = (folder / name).read_bytes()
            report.size_bytes += len(data)
            return data

        check_bytes(names, read, row, report, sha256=row.sha256)
    return names


def expected_names(stage: Stage, row: ManifestRow) -> set[str]:
    """Return the names of the pictures that a row counts."""
    numbers = range(row.start_index or 0, (row.start_index or 0) + (row.frames_decoded or 0))
    return {f"{prefix}{number:05d}.jpg" for prefix in PREFIXES[stage] for number in numbers}


def check_names(there: set[str], stage: Stage, row: ManifestRow, report: Report) -> bool:
    """Return whether the pictures that are `there` are those of the row; report it if not."""
    names = expected_names(stage, row)
    if row.start_index is not None and there == names:
        return True
    text = f"{len(there)} pictures of {stage}, expected {len(names)} from {row.start_index}"
    lacking, extra = sorted(names - there), sorted(there - names)
    text += f"; missing {shown(lacking)}" if lacking else ""
    text += f"; too many {shown(extra)}" if extra else ""
    report.find(Problem.FRAMES, row.path, text)
    return False


def check_index(
    data: bytes, where: str, row: ManifestRow, report: Report, *, sha256: str | None
) -> dict[str, Any]:
    """Compare the bytes of an index file with its row; return what it says.

    Args:
        data: The file's content.
        where: Its name, for the report.
        row: Of the pictures.
        report: Gets the findings.
        sha256: What the index has to have for the pictures' sha256; None for anything.
    """
    try:
        index = json.loads(data)
        said = {name: index.get(name) for name in ("count", "start_index", "sha256", "digest")}
    except (ValueError, AttributeError) as error:
        report.find(Problem.FRAMES, where, f"cannot be read: {error}")
        return {}
    wanted = {
        "count": row.frames_decoded,
        "start_index": row.start_index,
        "sha256": sha256 or said["sha256"],
        "digest": row.digest,
    }
    wrong = [name for name, value in wanted.items() if said[name] != value]
    if wrong:
        report.find(Problem.FRAMES, where, f"differs from the manifest in {', '.join(wrong)}")
    return dict(index)


def check_bytes(
    names: Collection[str],
    read: Callable[[str], bytes],
    row: ManifestRow,
    report: Report,
    *,
    sha256: str,
) -> None:
    """Compare the pictures' bytes with their recorded `sha256`, and look for cut JPEGs."""
    total = hashlib.sha256()
    for name in sorted(names):
        data = read(name)
        total.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
        if not (data.startswith(_JPEG_START) and data.endswith(_JPEG_END)):
            report.find(Problem.FILE_CONTENT, f"{row.path}/{name}", "not a complete JPEG")
    if total.hexdigest() != sha256:
        report.find(
            Problem.FILE_CONTENT,
            row.path,
            f"{min(names).split('_')[0]} pictures: sha256 {total.hexdigest()[:12]},"
            f" not {sha256[:12]}",
        )


def shown(names: Sequence[str]) -> str:
    """Return the first few of `names` and how many there are."""
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(names[:_SHOWN_NAMES]) + more

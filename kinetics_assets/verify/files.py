"""Files against manifests: what rows promise is there, and nothing else is."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kinetics_assets.core.classes import folder_name
from kinetics_assets.core.layout import FLOW_INDEX, FRAMES_INDEX, TEMP_PREFIX
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.stages import ALL_CLASS_STAGES, Stage
from kinetics_assets.verify.findings import Problem, Report
from kinetics_assets.verify.rows import interrupted

if TYPE_CHECKING:
    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.layout import Layout
    from kinetics_assets.verify.rows import Rows

_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_PREFIXES = {Stage.RAWFRAMES: ("img_",), Stage.FLOW: ("flow_x_", "flow_y_")}
_INDEX = {Stage.RAWFRAMES: FRAMES_INDEX, Stage.FLOW: FLOW_INDEX}
_SHOWN_NAMES = 3
_READ_BYTES = 2**20


@dataclass(slots=True)
class _Expected:
    """What the ok rows of one split say must be there."""

    files: set[str] = field(default_factory=set)
    """Paths relative to the dataset folder."""
    folders: dict[str, set[str]] = field(default_factory=dict)
    """Path of a frame folder -> names in it."""


def check_files(
    layout: Layout,
    split: Split,
    rows: Rows,
    report: Report,
    *,
    labels: set[str] | None,
    hash_content: bool,
) -> None:
    """Report files of ok rows that are absent or altered, and names that no row accounts for.

    Args:
        layout: Paths of the dataset.
        split: Which part.
        rows: Valid rows of all manifests of the split.
        report: Gets the findings.
        labels: Classes to look at; None means all.
        hash_content: Read every file and compare its sha256; otherwise only names and sizes.
    """
    expected = _Expected()
    unsettled = {label for _, label in rows if interrupted(layout, split, label)}
    for label in sorted(unsettled):
        report.note(f"{split} {label or 'unlabelled'!r}: a step is running or was interrupted")
    for (stage, label), clips in rows.items():
        if label in unsettled:
            continue
        for row in clips.values():
            if row.status is Status.OK and row.path:
                _check_output(layout, stage, row, expected, report, hash_content=hash_content)
    spared = {folder_name(label) for label in unsettled}
    chosen = None if labels is None else {folder_name(label) for label in labels}
    for root in dict.fromkeys(layout.stage_root(split, stage) for stage in ALL_CLASS_STAGES):
        _check_names(layout, root, expected, report, spared=spared, chosen=chosen)


def _check_output(
    layout: Layout,
    stage: Stage,
    row: ManifestRow,
    expected: _Expected,
    report: Report,
    *,
    hash_content: bool,
) -> None:
    """Compare one ok row with what is on the disk."""
    path = layout.base / row.path
    if stage in _PREFIXES:
        names = _check_pictures(path, stage, row, report, hash_content=hash_content)
        expected.folders.setdefault(row.path, set()).update(names, {_INDEX[stage]})
        return
    expected.files.add(row.path)
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        report.find(Problem.FILE_MISSING, row.path, str(error.strerror))
        return
    report.files += 1
    if size_bytes != row.size_bytes:
        report.find(Problem.FILE_SIZE, row.path, f"{size_bytes} bytes, not {row.size_bytes}")
    elif hash_content and (got := _sha256(path, report)) != row.sha256:
        report.find(Problem.FILE_CONTENT, row.path, f"sha256 {got[:12]}, not {row.sha256[:12]}")


def _check_pictures(
    folder: Path, stage: Stage, row: ManifestRow, report: Report, *, hash_content: bool
) -> set[str]:
    """Compare a stage's pictures in `folder` with its row; return the names that belong there."""
    numbers = range(row.start_index or 0, (row.start_index or 0) + (row.frames_decoded or 0))
    names = {f"{prefix}{number:05d}.jpg" for prefix in _PREFIXES[stage] for number in numbers}
    if not folder.is_dir():
        report.find(Problem.FILE_MISSING, row.path, "no such folder")
        return names
    there = {e.name for e in os.scandir(folder) if e.name.startswith(_PREFIXES[stage])}
    if row.start_index is None or there != names:
        text = f"{len(there)} pictures of {stage}, expected {len(names)} from {row.start_index}"
        lacking, extra = sorted(names - there), sorted(there - names)
        text += f"; missing {_shown(lacking)}" if lacking else ""
        text += f"; too many {_shown(extra)}" if extra else ""
        report.find(Problem.FRAMES, row.path, text)
        return names | there
    _check_index(folder / _INDEX[stage], row, report)
    report.files += len(names)
    size_bytes = sum((folder / name).stat().st_size for name in names)
    if size_bytes != row.size_bytes:
        report.find(
            Problem.FILE_SIZE, row.path, f"{stage}: {size_bytes} bytes, not {row.size_bytes}"
        )
    if hash_content:
        _check_picture_bytes(folder, sorted(names), row, report)
    return names


def _check_index(path: Path, row: ManifestRow, report: Report) -> None:
    """Compare a stage's index file with its row."""
    where = f"{row.path}/{path.name}"
    try:
        index = json.loads(path.read_bytes())
        said = {name: index.get(name) for name in ("count", "start_index", "sha256", "digest")}
    except (OSError, ValueError, AttributeError) as error:
        report.find(Problem.FRAMES, where, f"cannot be read: {error}")
        return
    wanted = {
        "count": row.frames_decoded,
        "start_index": row.start_index,
        "sha256": row.sha256,
        "digest": row.digest,
    }
    wrong = [name for name, value in wanted.items() if said[name] != value]
    if wrong:
        report.find(Problem.FRAMES, where, f"differs from the manifest in {', '.join(wrong)}")


def _check_picture_bytes(folder: Path, names: list[str], row: ManifestRow, report: Report) -> None:
    """Compare the pictures' bytes with the row's sha256, and look for cut JPEGs."""
    total = hashlib.sha256()
    for name in names:
        data = (folder / name).read_bytes()
        report.size_bytes += len(data)
        total.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
        if not (data.startswith(_JPEG_START) and data.endswith(_JPEG_END)):
            report.find(Problem.FILE_CONTENT, f"{row.path}/{name}", "not a complete JPEG")
    if total.hexdigest() != row.sha256:
        report.find(
            Problem.FILE_CONTENT,
            row.path,
            f"{names[0].split('_')[0]} pictures: sha256 {total.hexdigest()[:12]},"
            f" not {row.sha256[:12]}",
        )


def _check_names(
    layout: Layout,
    root: Path,
    expected: _Expected,
    report: Report,
    *,
    spared: set[str],
    chosen: set[str] | None,
) -> None:
    """Report every name below a stage's folder that no ok row accounts for."""
    if not root.is_dir():
        return
    class_folders = {Path(path).parent for path in (*expected.files, *expected.folders)}
    for entry in _public(root, report, layout):
        if entry.name in spared or (chosen is not None and entry.name not in chosen):
            continue
        relative = layout.relative(root / entry.name)
        if not entry.is_dir() or Path(relative) not in class_folders:
            # An empty class folder is what a class without good clips leaves behind.
            if not entry.is_dir() or any(Path(entry.path).iterdir()):
                report.find(Problem.FILE_UNKNOWN, relative, "no row accounts for it")
            continue
        for item in _public(Path(entry.path), report, layout):
            path = f"{relative}/{item.name}"
            if path in expected.folders and item.is_dir():
                inside = {name.name for name in _public(Path(item.path), report, layout)}
                if extra := sorted(inside - expected.folders[path]):
                    report.find(Problem.FILE_UNKNOWN, path, f"no row accounts for {_shown(extra)}")
            elif path not in expected.files:
                report.find(Problem.FILE_UNKNOWN, path, "no row accounts for it")


def _public(folder: Path, report: Report, layout: Layout) -> list[os.DirEntry[str]]:
    """Return the entries of `folder` by name, without temporary ones, which are noted."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    temps = sum(entry.name.startswith(TEMP_PREFIX) for entry in entries)
    if temps:
        report.note(f"{layout.relative(folder)}: {temps} temporary names (swept by the next run)")
    return [entry for entry in entries if not entry.name.startswith(TEMP_PREFIX)]


def _sha256(path: Path, report: Report) -> str:
    """Return the sha256 of a file, counting the bytes."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_READ_BYTES):
            report.size_bytes += len(part)
            total.update(part)
    return total.hexdigest()


def _shown(names: list[str]) -> str:
    """Return the first few of `names` and how many there are."""
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(names[:_SHOWN_NAMES]) + more

"""Files against manifests: what rows promise is there, and nothing else is."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kinetics_assets.core.classes import folder_name
from kinetics_assets.core.layout import TEMP_PREFIX, packing_of
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.stages import ALL_CLASS_STAGES, Stage
from kinetics_assets.verify.findings import Problem, Report
from kinetics_assets.verify.packed import check_packed
from kinetics_assets.verify.pictures import INDEX, PREFIXES, check_pictures, shown
from kinetics_assets.verify.rows import interrupted
from kinetics_assets.verify.shards import check_shards
from kinetics_assets.verify.sizes import check_sizes, size_roots

if TYPE_CHECKING:
    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.layout import Layout
    from kinetics_assets.verify.rows import Rows

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
        if stage is Stage.SHARDS:
            files = check_shards(layout, clips.values(), report, hash_content=hash_content)
            expected.files |= files
            continue
        for row in clips.values():
            if row.status is Status.OK and row.path:
                _check_output(layout, stage, row, expected, report, hash_content=hash_content)
                if stage is Stage.RAWFRAMES:
                    others = check_sizes(layout, split, row, report, hash_content=hash_content)
                    expected.folders.update(others)
    spared = {folder_name(label) for label in unsettled}
    chosen = None if labels is None else {folder_name(label) for label in labels}
    roots = [layout.stage_root(split, stage) for stage in ALL_CLASS_STAGES]
    for root in dict.fromkeys([*roots, *size_roots(layout, split)]):
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
    is_packed = packing_of(row.path) != "none"
    if stage in PREFIXES and not is_packed:
        names = check_pictures(path, stage, row, report, hash_content=hash_content)
        expected.folders.setdefault(row.path, set()).update(names, {INDEX[stage]})
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
    elif hash_content and stage in PREFIXES:
        check_packed(path, stage, row, report)


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
            if not entry.is_dir() or _public(Path(entry.path), report, layout):
                report.find(Problem.FILE_UNKNOWN, relative, "no row accounts for it")
            continue
        for item in _public(Path(entry.path), report, layout):
            path = f"{relative}/{item.name}"
            if path in expected.folders and item.is_dir():
                inside = {name.name for name in _public(Path(item.path), report, layout)}
                if extra := sorted(inside - expected.folders[path]):
                    report.find(Problem.FILE_UNKNOWN, path, f"no row accounts for {shown(extra)}")
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

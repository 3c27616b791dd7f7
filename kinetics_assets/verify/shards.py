"""Shards against their index files and rows, read by Python's own tarfile."""

from __future__ import annotations

import hashlib
import json
import tarfile
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.verify.findings import Problem, Report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kinetics_assets.core.layout import Layout


def check_shards(
    layout: Layout, rows: Iterable[ManifestRow], report: Report, *, hash_content: bool
) -> set[str]:
    """Report samples of ok rows that are absent or altered, and samples without a row.

    Args:
        layout: Paths of the dataset.
        rows: Of one class.
        report: Gets the findings.
        hash_content: Read every shard; otherwise only indexes and sizes are compared.

    Returns:
        The files that belong there, relative to the dataset folder.
    """
    by_shard: dict[str, dict[str, ManifestRow]] = {}
    for row in rows:
        if row.status is Status.OK and row.path:
            by_shard.setdefault(row.path, {})[row.clip.name] = row
    files = set()
    for path, wanted in by_shard.items():
        index = f"{path.removesuffix('.tar')}.json"
        files |= {path, index}
        samples = _index(layout, path, index, report)
        if samples is not None:
            _compare(path, samples, wanted, report)
            if hash_content:
                _read(layout, path, samples, report)
    return files


def _index(layout: Layout, path: str, index: str, report: Report) -> dict[str, Any] | None:
    """Return the samples of an index file by key, None where it or the shard is not there."""
    try:
        size_bytes = (layout.base / path).stat().st_size
        said = json.loads((layout.base / index).read_bytes())
        samples = {one["key"]: one for one in said["samples"]}
    except FileNotFoundError as error:
        report.find(Problem.FILE_MISSING, path, f"{error.filename} is not there")
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        report.find(Problem.FILE_CONTENT, index, f"cannot be read: {error!r}")
        return None
    report.files += 2
    if said.get("size_bytes") != size_bytes:
        text = f"{size_bytes} bytes, not {said.get('size_bytes')}"
        report.find(Problem.FILE_SIZE, path, text)
        return None
    return samples


def _compare(
    path: str, samples: dict[str, Any], wanted: dict[str, ManifestRow], report: Report
) -> None:
    """Compare an index with the rows of its shard."""
    for key in sorted(wanted.keys() - samples.keys()):
        report.find(Problem.FILE_MISSING, f"{path}/{key}", "the shard has no such sample")
    for key in sorted(samples.keys() - wanted.keys()):
        report.find(Problem.FILE_UNKNOWN, f"{path}/{key}", "no row accounts for it")
    for key in sorted(samples.keys() & wanted.keys()):
        row, sample = wanted[key], samples[key]
        said = {name: sample.get(name) for name in ("sha256", "digest", "size_bytes")}
        wrong = [name for name, value in said.items() if value != getattr(row, name)]
        if wrong:
            text = f"the index differs from the manifest in {', '.join(wrong)}"
            report.find(Problem.FILE_CONTENT, f"{path}/{key}", text)


def _read(layout: Layout, path: str, samples: dict[str, Any], report: Report) -> None:
    """Compare a shard's bytes with its index."""
    found: dict[str, list[list[object]]] = {}
    lines: dict[str, list[str]] = {}
    try:
        with tarfile.open(layout.base / path, "r:") as archive:
            for member in archive:
                file = archive.extractfile(member)
                data = b"" if file is None else file.read()
                key, _, extension = member.name.partition(".")
                report.size_bytes += len(data)
                found.setdefault(key, []).append([extension, member.offset_data, len(data)])
                sha256 = hashlib.sha256(data).hexdigest()
                lines.setdefault(key, []).append(f"{extension} {sha256}\n")
    except (OSError, tarfile.TarError) as error:
        report.find(Problem.FILE_CONTENT, path, f"cannot be read: {error}")
        return
    if list(found) != list(samples):
        report.find(Problem.FILE_CONTENT, path, "has other samples than its index")
    for key in sorted(found.keys() & samples.keys()):
        sha256 = hashlib.sha256("".join(lines[key]).encode()).hexdigest()
        if found[key] != samples[key].get("members") or sha256 != samples[key].get("sha256"):
            report.find(Problem.FILE_CONTENT, f"{path}/{key}", "is not what its index says")

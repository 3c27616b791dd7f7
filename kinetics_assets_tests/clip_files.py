"""Which very files the clips of a dataset have, so that it shows what was written again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.core.clips import Clip, Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.stages import CLASS_STAGES, Stage
from kinetics_assets.io.atomic import sha256_of
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.stages.frame_folders import own_names, read_index
from kinetics_assets.stages.frame_index import INDEX_NAMES
from kinetics_assets.stages.retire import read_retired

if TYPE_CHECKING:
    from pathlib import Path

Files = dict[str, tuple[int, int]]
"""``<stage>/<name>`` of each file of a clip -> its inode and time of writing in ns."""


def clip_files(layout: Layout) -> dict[tuple[Split, Clip], Files]:
    """Return what each clip has that is ok in any stage, index files of pictures included."""
    found: dict[tuple[Split, Clip], Files] = {}
    for split in Split:
        for stage in CLASS_STAGES:
            for path in sorted(layout.manifests(split, stage).glob("*.parquet")):
                for row in read_manifest(layout, split, stage, path.stem):
                    if row.status is Status.OK:
                        files = found.setdefault((split, row.annotation), {})
                        files |= _files_of(stage, layout.base / row.path)
    return found


def media(files: Files) -> Files:
    """Return `files` without the index files, which each class writes anew."""
    return {name: stamp for name, stamp in files.items() if not name.endswith(".json")}


def retired_stages(layout: Layout, split: Split, clip: Clip) -> list[Stage]:
    """Return the stages in which a clip is retired: an ok row, and its output as it says."""
    return [
        stage
        for stage in CLASS_STAGES
        for row in read_retired(layout.retired_manifest(split, stage, clip.label))
        if row.clip == clip.id and row.status is Status.OK and _is_kept(layout, split, stage, row)
    ]


def _files_of(stage: Stage, path: Path) -> Files:
    """Return what a stage has of a clip at `path`."""
    if path.is_dir():
        files = [path / name for name in (INDEX_NAMES[stage], *own_names(stage, path))]
    else:
        files = [path]
    return {f"{stage}/{file.name}": (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def _is_kept(layout: Layout, split: Split, stage: Stage, row: ManifestRow) -> bool:
    """Return whether the retired output of `row` is there."""
    kept = layout.retired_class(split, stage, row.label) / row.path.rpartition("/")[2]
    if kept.is_dir():
        index = read_index(stage, kept)
        return index is not None and index.sha256 == row.sha256
    return kept.is_file() and sha256_of(kept) == row.sha256

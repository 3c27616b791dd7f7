"""Taking clips out of file lists: those of a dataset, and those of Kinetics-710."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.clips import Split, parse_clip_name
from kinetics_assets.core.errors import KineticsError
from kinetics_assets.core.filelists import ListKind
from kinetics_assets.core.label_bridges import MERGED
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.merged_lists import LISTED, VERSIONS
from kinetics_assets.io.atomic import os_faults, write_file
from kinetics_assets.stages.filelists import run_filelists

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.settings import Settings
    from kinetics_assets.io.clip_files import Wanted


def shorten_lists(settings: Settings, wanted: Wanted) -> int:
    """Take the clips out of a dataset's file lists; return how many lines that were."""
    layout = Layout.of(settings)
    gone = 0
    for split in Split:
        lines = sum(_shorten_list(layout, split, kind, wanted) for kind in ListKind)
        gone += lines
        if lines:
            try:  # fewer lines are shuffled into another order, and the history counts them
                run_filelists(settings, split)
            except KineticsError:
                continue  # the list has no line too many as it is; `prepare` tells why
    return gone


def shorten_merged(root: Path, wanted: Wanted, *, dataset: str) -> int:
    """Take the clips out of the lists of Kinetics-710; return how many lines that were.

    A second call goes on where one was interrupted: the history is made to count what is there.

    Args:
        root: Folder of all datasets.
        wanted: The clips.
        dataset: Only from what is of this dataset; empty for all.
    """
    folder = root / MERGED
    history = folder / "history.json"
    try:
        with os_faults(f"reading {history}"):
            said = json.loads(history.read_bytes())
    except FileNotFoundError:
        return 0  # it is written with the lists
    except ValueError:
        said = None
    # if it is damaged, which version of 700 it was is not known: all lists are looked at
    record: dict[str, Any] = said if isinstance(said, dict) else {}
    gone = 0
    for name in (dataset,) if dataset else VERSIONS:
        if name not in VERSIONS or (record and name not in record):
            continue
        for split in LISTED:
            path = folder / f"{VERSIONS[name]}_{split}_list_videos.txt"
            if path.is_file():
                lines, stay = _without(path, wanted)
                gone += lines
                _count(record.get(name, {}).get(split, {}), stay)
    if record:
        data = (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()
        if data != history.read_bytes():
            write_file(history, data)
    return gone


def _count(said: dict[str, Any], lines: int) -> None:
    """Make what a history says of one list fit the number of its lines."""
    lost = said.get("lines", lines) - lines
    if lost:
        said["lines"] = lines
        said["left_out_taken_down"] = said.get("left_out_taken_down", 0) + lost


def _shorten_list(layout: Layout, split: Split, kind: ListKind, wanted: Wanted) -> int:
    """Take the clips out of both forms of one list; return how many lines that were."""
    text, twin = layout.filelist(split, kind), layout.filelist(split, kind, suffix=".json")
    key = "filename" if kind is ListKind.VIDEOS else "frame_dir"
    gone = _without(text, wanted)[0] if text.is_file() else 0
    if twin.is_file():
        try:
            with os_faults(f"reading {twin}"):
                records: list[dict[str, Any]] = json.loads(twin.read_bytes())
            kept = [record for record in records if not _names_one(str(record[key]), wanted)]
        except (ValueError, TypeError, LookupError):
            with os_faults(f"deleting {twin}"):
                twin.unlink()  # it may name a clip; it is made anew from the manifests
            return max(gone, 1)
        if len(kept) < len(records):
            write_file(twin, (json.dumps(kept) + "\n").encode())
    return gone


def _without(text: Path, wanted: Wanted) -> tuple[int, int]:
    """Take the clips out of a list of lines; return how many lines went, and how many stay."""
    with os_faults(f"reading {text}"):
        lines = text.read_bytes().splitlines(keepends=True)
    paths = (line.split(b" ")[0].decode(errors="replace") for line in lines)
    stay = [line for line, path in zip(lines, paths, strict=True) if not _names_one(path, wanted)]
    if len(stay) < len(lines):
        write_file(text, b"".join(stay))
    return len(lines) - len(stay), len(stay)


def _names_one(path: str, wanted: Wanted) -> bool:
    """Return whether the path in a line of a list is that of one of the clips."""
    stem = path.strip().rpartition("/")[2].partition(".")[0]
    return parse_clip_name(stem) is not None and wanted.includes(stem, is_folder=True)

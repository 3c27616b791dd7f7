"""A small whole dataset made by hand, file by file, for tests that damage or read it.

Nothing of the code under which datasets are normally made has a part in it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import ManifestRow, Status, decode_manifest, encode_manifest
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import CLASS_STAGES, Stage
from kinetics_assets.verify import Problem, verify_dataset

if TYPE_CHECKING:
    from collections.abc import Callable

TRAIN = Split.TRAIN
HEAD = "massaging person's head"
LABELS = ("abseiling", HEAD)
GOOD = {
    label: [ClipId(f"{number}AAAAAAAAA-", 0, 2), ClipId(f"-{number}BBBBBBBBB", 3, 5)]
    for number, label in enumerate(LABELS)
}
LOST = ClipId("LLLLLLLLLLL", 0, 2)
FRAMES = 3
CLIP = GOOD["abseiling"][0]


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Dataset:
    """A whole dataset of two classes, of which one has a lost clip."""

    settings: Settings
    layout: Layout
    edition: str

    def problems(self, *, hash_content: bool = True) -> set[Problem]:
        """Return the kinds of what `verify` finds."""
        report = verify_dataset(self.settings, hash_content=hash_content)
        return {finding.problem for finding in report.findings}

    def frames(self, label: str = "abseiling", clip: ClipId = CLIP) -> Path:
        """Return a clip's frame folder."""
        return self.layout.frames(TRAIN, label, clip)

    def edit_rows(
        self, stage: Stage, edit: Callable[[list[ManifestRow]], list[ManifestRow]]
    ) -> None:
        """Rewrite the manifest of one class."""
        path = self.layout.manifest(TRAIN, stage, "abseiling")
        path.write_bytes(encode_manifest(edit(decode_manifest(path.read_bytes()))))

    def edit_clip(self, stage: Stage, **changes: object) -> None:
        """Change fields of one row."""
        self.edit_rows(
            stage,
            lambda rows: [replace(r, **changes) if r.clip == CLIP else r for r in rows],  # type: ignore[arg-type]  # any field
        )


def write(path: Path, data: bytes) -> bytes:
    """Write a file, with its folders, and return the data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data


def _pictures(folder: Path, stage: Stage, digest: str) -> tuple[int, str]:
    """Write a stage's pictures and index; return size and digest."""
    prefixes = ("img_",) if stage is Stage.RAWFRAMES else ("flow_x_", "flow_y_")
    count = FRAMES if stage is Stage.RAWFRAMES else FRAMES - 1
    lines, size_bytes = [], 0
    for name in sorted(f"{p}{n:05d}.jpg" for p in prefixes for n in range(1, count + 1)):
        data = write(folder / name, b"\xff\xd8\xff" + name.encode() * 5 + b"\xff\xd9")
        lines.append(f"{name} {_sha(data)}\n")
        size_bytes += len(data)
    sha256 = _sha("".join(lines).encode())
    index = {"count": count, "start_index": 1, "sha256": sha256, "digest": digest}
    name = "_rgb.json" if stage is Stage.RAWFRAMES else "_flow.json"
    write(folder / name, json.dumps(index).encode())
    return size_bytes, sha256


def _ok_row(layout: Layout, stage: Stage, label: str, clip: ClipId, edition: str) -> ManifestRow:
    """Write one clip's output of `stage` and return its row."""
    row = ManifestRow(clip, label, edition, Status.OK, attempts=1, digest="d" * 16)
    if stage in {Stage.RAWFRAMES, Stage.FLOW}:
        folder = layout.frames(TRAIN, label, clip)
        size_bytes, sha256 = _pictures(folder, stage, row.digest)
        count = FRAMES if stage is Stage.RAWFRAMES else FRAMES - 1
        row = replace(row, frames_decoded=count, start_index=1, path=layout.relative(folder))
        return replace(row, size_bytes=size_bytes, sha256=sha256)
    path = layout.class_folder(TRAIN, stage, label) / f"{clip.name}.mp4"
    data = write(path, f"{stage} {clip.name}".encode() * 9)
    row = replace(row, frames_decoded=FRAMES, path=layout.relative(path))
    return replace(row, size_bytes=len(data), sha256=_sha(data))


def build(settings: Settings) -> Dataset:
    """Return a whole dataset on the disk."""
    layout = Layout.of(settings)
    clips = [(label, clip) for label in LABELS for clip in GOOD[label]] + [("abseiling", LOST)]
    lines = ["label,youtube_id,time_start,time_end,split"]
    lines += [f"{n},{c.youtube_id},{c.start_seconds},{c.end_seconds},train" for n, c in clips]
    data = "\n".join([*lines, "no row at all", ""]).encode()
    edition = _sha(write(layout.annotation_list(TRAIN), data))
    _keep_edition(layout, data, edition, rows=len(clips))
    listed: dict[str, list[tuple[str, int | None, int]]] = {}
    for stage in CLASS_STAGES:
        for number, label in ((0, "abseiling"), (2, HEAD)):
            rows = [_ok_row(layout, stage, label, clip, edition) for clip in GOOD[label]]
            for row in rows:
                count = row.frames_decoded if stage in {Stage.RAWFRAMES, Stage.FLOW} else None
                name = "/".join(row.path.split("/")[-2:])
                listed.setdefault(stage, []).append((name, count, number))
            if label == "abseiling":
                first = stage is Stage.VIDEOS
                status = Status.UNAVAILABLE if first else Status.BLOCKED
                reason = Reason.GONE if first else Reason.UPSTREAM
                rows.append(ManifestRow(LOST, label, edition, status, reason))
            write(layout.manifest(TRAIN, stage, label), encode_manifest(rows))
    for kind in ("videos", "rawframes", "flow"):
        entries = sorted(listed[kind])
        key = "filename" if kind == "videos" else "frame_dir"
        text = "".join(" ".join(str(w) for w in e if w is not None) + "\n" for e in entries)
        records = [
            {key: path, "label": [number]} | ({"total_frames": count} if count else {})
            for path, count, number in entries
        ]
        write(layout.filelist(TRAIN, kind), text.encode())
        write(layout.filelist(TRAIN, kind, suffix=".json"), json.dumps(records).encode())
    return Dataset(settings, layout, edition)


def _keep_edition(layout: Layout, data: bytes, sha256: str, *, rows: int) -> None:
    """Write what is kept of a list whose last line is no row."""
    record = {"sha256": sha256, "rows": rows, "rejected": 1}
    write(layout.current_edition, json.dumps({TRAIN: record}).encode())
    line = data.rstrip(b"\n").split(b"\n")[-1]
    rejected = [{"line": rows + 2, "reason": "1 field", "raw_sha256": _sha(line)}]
    path = layout.edition_rejected(sha256)
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rejected), path, write_page_checksum=True)

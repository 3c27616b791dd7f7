"""Clips that file lists leave out on purpose: lists of them, and what they rule out.

Such a list is CSV with the columns of an annotation list, of which ``youtube_id``, ``time_start``
and ``time_end`` are read; so any annotation list is one. `exclusion_text` writes them from what two
sets share. Lines that begin with ``#`` are comments, but for ``# rows: <number>``: a list that has
another number of rows than it says was cut or changed, and is refused.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kinetics_assets.core.annotations import read_clip_ids
from kinetics_assets.core.classes import DATASETS
from kinetics_assets.core.clips import ClipId, Split, parse_clip_name
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings, digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from kinetics_assets.core.leakage import SharedClip

HEADER: Final = ("youtube_id", "time_start", "time_end", "reason")
REMEDY: Final = (
    "`kinetics annotations leakage A B --write-exclusion FILE` writes such a list; any annotation"
    " list is one, too."
)
_COMMENT = re.compile(rb"^[ \t]*#[^\r\n]*", re.MULTILINE)
_ROWS = re.compile(rb"^[ \t]*#[ \t]*rows:[ \t]*([0-9]{1,9})[ \t]*$", re.MULTILINE)
_ID_LENGTH: Final = 11


@dataclass(frozen=True, slots=True)
class ExclusionList:
    """The clips of one list."""

    name: str
    """As the settings give it; of a path that is not relative only its last part."""
    sha256: str
    """Of the file's bytes."""
    clips: frozenset[ClipId]


@dataclass(frozen=True)
class Exclusion:
    """What a file list leaves out; nothing by default."""

    lists: tuple[ExclusionList, ...] = ()
    by_overlap: bool = False
    """Whether a clip must overlap one of the lists' in time; else it is enough that they are of the
    same video."""
    _spans: dict[str, list[ClipId]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the clips by their videos."""
        spans: dict[str, list[ClipId]] = {}
        for clip in set[ClipId]().union(*(one.clips for one in self.lists)):
            spans.setdefault(clip.youtube_id, []).append(clip)
        object.__setattr__(self, "_spans", spans)

    def __bool__(self) -> bool:
        """Return whether there is any list, be it empty."""
        return bool(self.lists)

    @property
    def videos(self) -> Collection[str]:
        """YouTube ids of all clips of the lists."""
        return self._spans.keys()

    def covers(self, clip: ClipId) -> bool:
        """Return whether `clip` is left out."""
        spans = self._spans.get(clip.youtube_id, ())
        if not self.by_overlap:
            return bool(spans)
        return any(
            one.start_seconds < clip.end_seconds and clip.start_seconds < one.end_seconds
            for one in spans
        )

    def covered(self, names: Iterable[str]) -> frozenset[str]:
        """Return those of the clip `names` that are left out."""
        if not self._spans:
            return frozenset()
        found = {name: parse_clip_name(name) for name in names if name[:_ID_LENGTH] in self._spans}
        return frozenset(name for name, clip in found.items() if clip and self.covers(clip))

    def record(self) -> dict[str, Any]:
        """Return in plain values what decides which clips are left out."""
        lists = [{"name": o.name, "sha256": o.sha256, "clips": len(o.clips)} for o in self.lists]
        return {"by": "overlap" if self.by_overlap else "video", "lists": lists}

    @property
    def version(self) -> str:
        """16 hex digits that change with any byte of the lists; empty without lists."""
        return exclusion_version({one.name: one.sha256 for one in self.lists})


def exclusion_version(hashes: Mapping[str, str]) -> str:
    """Return 16 hex digits for the sha256 of lists, by name; empty without lists."""
    return digest(sorted(hashes.items())) if hashes else ""


def exclusion_path(root: Path, text: str) -> Path:
    """Return the file that an entry of ``filelists.exclude`` means.

    Args:
        root: Folder of all datasets, from which relative paths start.
        text: A path, or DATASET/SPLIT for the current annotation list of a split.
    """
    dataset, _, split = text.partition("/")
    if dataset in DATASETS and split in {*Split}:
        return Layout.of(Settings(root=root, dataset=dataset)).annotation_list(Split(split))
    return root / Path(text).expanduser()


def exclusion_name(text: str) -> str:
    """Return what an entry of ``filelists.exclude`` is called where no path of a machine may be."""
    path = Path(text).expanduser()
    return path.name if path.is_absolute() else path.as_posix()


def parse_exclusion(data: bytes, *, name: str, where: str) -> ExclusionList:
    """Return the clips of a list.

    Args:
        data: The file.
        name: What the list is called.
        where: Its path, for messages.

    Raises:
        AnnotationError: It has no header, a line that names no clip, or another number of rows than
            it says; names file and line.
    """
    # comments become blank lines, so that messages count lines as the file does
    clips = read_clip_ids(_COMMENT.sub(b"", data), name=where, remedy=REMEDY)
    told = _ROWS.search(data)
    if told and int(told[1]) != len(clips):
        raise AnnotationError(
            where,
            f"it says that it has {int(told[1])} rows, and has {len(clips)}.",
            line=data[: told.start()].count(b"\n") + 1,
            remedy="If it was cut, get it whole; if you changed it, correct the number or delete"
            " the comment.",
        )
    return ExclusionList(name, hashlib.sha256(data).hexdigest(), frozenset(clips))


def exclusion_text(
    shared: Sequence[SharedClip], *, about: Mapping[str, str], other: str
) -> tuple[bytes, int]:
    """Return the list of the first set's clips among `shared`, and how many rows it has.

    Equal sets give equal bytes. A clip that is there under several labels has one row.

    Args:
        shared: The clips to leave out, sorted by clip.
        about: What to say in comments above the rows.
        other: What the other set is called.
    """
    rows = {one.clip.id: one for one in reversed(shared)}
    sink = io.StringIO()
    lines = ["Clips to leave out of file lists (filelists.exclude)"]
    lines += [f"{key}: {value}" for key, value in about.items()]
    for line in [*lines, f"rows: {len(rows)}"]:
        sink.write(f"# {' '.join(line.split())}\n")
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(HEADER)
    for clip in sorted(rows):
        one = rows[clip]
        shares = f"shares {one.shared_seconds} of {clip.duration_seconds} s"
        reason = f"{shares} with {one.other.id.name} of {' '.join(other.split())}"
        writer.writerow([clip.youtube_id, clip.start_seconds, clip.end_seconds, reason])
    return sink.getvalue().encode(), len(rows)

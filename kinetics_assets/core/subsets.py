"""Subsets of lists, by ids: mini sets that name their videos or clips and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kinetics_assets.core.annotations import ParsedList
from kinetics_assets.core.clips import ClipId, parse_clip_name
from kinetics_assets.core.errors import AnnotationError

_LINE_END = re.compile(rb"\r\n|\n|\r")
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}", re.ASCII)
_WORD = re.compile(r"[^\s,;]+")
_HEADERS = frozenset({"youtube_id", "video_id", "id"})


@dataclass(frozen=True, slots=True)
class Subset:
    """The clips that a file of ids names."""

    videos: frozenset[str]
    """YouTube ids of which every clip is wanted."""
    clips: frozenset[ClipId]

    def __contains__(self, clip: ClipId) -> bool:
        """Return whether `clip` is named."""
        return clip in self.clips or clip.youtube_id in self.videos

    def missing(self, found: set[ClipId]) -> tuple[str, ...]:
        """Return the names of what is in the subset and not among the clips `found`, sorted."""
        videos = self.videos - {clip.youtube_id for clip in found}
        clips = {clip.name for clip in self.clips - found}
        return tuple(sorted(videos | clips))


def parse_subset(data: bytes, *, name: str) -> Subset:
    """Return the ids in a file of one a line.

    A line is a YouTube id or a clip's name, with or without folders, an ending, and more fields
    behind blanks or commas; lines that begin with ``#`` and a header are passed over.

    Raises:
        AnnotationError: A line names neither, or there is none; names file and line.
    """
    videos: set[str] = set()
    clips: set[ClipId] = set()
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), start=1):
        word = _WORD.search(line)
        if word is None or line.lstrip().startswith("#") or word[0].lower() in _HEADERS:
            continue
        stem = word[0].rsplit("/", 1)[-1].partition(".")[0]
        clip = parse_clip_name(stem)
        if clip is not None:
            clips.add(clip)
        elif _YOUTUBE_ID.fullmatch(stem):
            videos.add(stem)
        else:
            raise AnnotationError(
                name,
                f"{stem[:40]!r} is neither a YouTube id nor the name of a clip.",
                line=number,
                remedy="A subset has one id a line: 11 characters, or <id>_<start>_<end>.",
            )
    if not videos and not clips:
        raise AnnotationError(name, "it names no video.", remedy="Give one YouTube id a line.")
    return Subset(frozenset(videos), frozenset(clips))


def rows_in(data: bytes, parsed: ParsedList, subset: Subset) -> bytes:
    """Return the header of the list `data` and those of its lines whose clip is in `subset`.

    Lines are untouched but for their ends. Lines that are no rows are left out.

    Args:
        data: The list, as published.
        parsed: What was read from it.
        subset: The clips that are wanted.
    """
    wanted = {row.line for row in parsed.rows if row.clip.id in subset}
    lines = list(enumerate(_LINE_END.split(data), start=1))
    header = next(number for number, line in lines if line.strip())
    kept = [line for number, line in lines if number == header or number in wanted]
    return b"\n".join([*kept, b""])

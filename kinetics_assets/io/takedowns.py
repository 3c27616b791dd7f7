"""The record of what was taken down: ``takedowns.json`` under the root, for all datasets there.

Every step reads it under its class lock before it does anything, so that what is recorded is never
fetched or made again. An entry names one clip, or a video with all clips of it; it holds for every
dataset under the root, or for one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.clips import ClipId, parse_clip_name, parse_youtube_id
from kinetics_assets.core.errors import InputError, SettingsError
from kinetics_assets.io.atomic import os_faults, write_file
from kinetics_assets.io.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

FILE_NAME = "takedowns.json"
_LOCK_NAME = ".takedowns.lock"
_VERSION = 1


@dataclass(frozen=True, order=True, slots=True)
class Takedown:
    """One entry."""

    what: str
    """``<id>_<start>_<end>`` of a clip, or the id of a video."""
    dataset: str
    """The dataset it holds for; empty for all under the root."""
    reason: str
    """Why, in the words of whoever ordered it; may be empty."""
    at: datetime
    """When it was recorded first (UTC)."""

    def covers(self, dataset: str, clip: ClipId) -> bool:
        """Return whether it rules out `clip` in `dataset`."""
        return self.dataset in {"", dataset} and self.what in {clip.name, clip.youtube_id}

    @property
    def text(self) -> str:
        """What a row says about it."""
        why = f": {self.reason}" if self.reason else ""
        what = "the video" if parse_clip_name(self.what) is None else "the clip"
        return f"{what} was taken down on {self.at.date().isoformat()}{why}"


@dataclass(frozen=True)
class Takedowns:
    """All entries under one root."""

    entries: tuple[Takedown, ...] = ()
    _by_what: dict[str, tuple[Takedown, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the entries by what they name."""
        names = {entry.what for entry in self.entries}
        index = {name: tuple(e for e in self.entries if e.what == name) for name in names}
        object.__setattr__(self, "_by_what", index)

    def entry_of(self, dataset: str, clip: ClipId) -> Takedown | None:
        """Return the entry that rules out `clip` in `dataset`, None if there is none."""
        if not self._by_what:
            return None
        named = (*self._by_what.get(clip.youtube_id, ()), *self._by_what.get(clip.name, ()))
        return next((entry for entry in named if entry.covers(dataset, clip)), None)

    def added(self, what: Iterable[str], *, dataset: str, reason: str, now: datetime) -> Takedowns:
        """Return the record with `what`; an entry that is there keeps its time, takes the reason.

        What holds for all datasets already is not narrowed to one.
        """
        entries = {(entry.what, entry.dataset): entry for entry in self.entries}
        for name in what:
            key = (name, "") if (name, "") in entries else (name, dataset)
            before = entries.get(key, Takedown(*key, reason, now))
            entries[key] = replace(before, reason=reason or before.reason)
        return Takedowns(tuple(sorted(entries.values())))

    def without(self, what: Iterable[str], *, dataset: str) -> Takedowns:
        """Return the record without the entries of `what`.

        Args:
            what: As they were taken down.
            dataset: Only the entries made for this dataset; empty for all entries.

        Raises:
            InputError: One of them has no such entry.
        """
        gone = {entry for name in what for entry in self._found(name, dataset)}
        return Takedowns(tuple(entry for entry in self.entries if entry not in gone))

    def _found(self, name: str, dataset: str) -> list[Takedown]:
        """Return the entries that `without` means by a name."""
        named = self._by_what.get(name, ())
        found = [entry for entry in named if not dataset or entry.dataset == dataset]
        if found:
            return found
        clip = parse_clip_name(name)
        wider = clip is not None and clip.youtube_id in self._by_what
        remedy = "`kinetics takedown` without arguments shows all entries."
        if wider and clip is not None:
            remedy = f"Its whole video is: name {clip.youtube_id} instead."
        elif named:
            remedy = "It was taken down for all datasets: leave out --dataset."
        raise InputError(f"{name} is not recorded as taken down as such.", remedy=remedy)


def parse_what(text: str) -> str:
    """Return `text` if it names a clip or a video.

    Raises:
        InputError: It is neither.
    """
    if parse_clip_name(text) is not None:
        return text
    try:
        return parse_youtube_id(text)
    except ValueError:
        raise InputError(
            f"{text[:60]!r} is neither a clip nor a video.",
            remedy="Give <id>_<start>_<end> with six digits each, as in the file's name, or the"
            " eleven characters of a YouTube id.",
        ) from None


def read_takedowns(root: Path) -> Takedowns:
    """Return the record under `root`, empty if there is none.

    Raises:
        SettingsError: It is damaged. Nothing may be fetched then: it could be what was taken down.
    """
    path = root / FILE_NAME
    try:
        with os_faults(f"reading {path}"):
            record = json.loads(path.read_bytes())
        if record["version"] != _VERSION:
            msg = f"version {record['version']!r}"
            raise ValueError(msg)
        return Takedowns(tuple(sorted(_entry(item) for item in record["takedowns"])))
    except FileNotFoundError:
        return Takedowns()
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} cannot be understood ({error}).",
            remedy="Mend it or bring it back from a backup; without it, clips that were taken"
            " down would be fetched again.",
        ) from error


def change_takedowns(root: Path, change: Callable[[Takedowns], Takedowns]) -> Takedowns:
    """Return the record after `change`, which is on the disk then; changes queue up.

    Raises:
        SettingsError: The record is damaged.
        EnvironmentFault: It cannot be written.
    """
    with exclusive(root / _LOCK_NAME, wait=True, what=f"the record of takedowns in {root}"):
        before = read_takedowns(root)
        after = change(before)
        if after != before:
            record = {"version": _VERSION, "takedowns": [_plain(e) for e in after.entries]}
            text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
            write_file(root / FILE_NAME, text.encode())
    return after


def _plain(entry: Takedown) -> dict[str, str]:
    """Return an entry as JSON-able record."""
    return {
        "what": entry.what,
        "dataset": entry.dataset,
        "reason": entry.reason,
        "at": entry.at.isoformat(),
    }


def _entry(item: dict[str, Any]) -> Takedown:
    """Return the entry that `_plain` made.

    Raises:
        ValueError, KeyError, TypeError: The record is something else.
    """
    texts = [item[name] for name in ("what", "dataset", "reason", "at")]
    if not all(isinstance(text, str) for text in texts):
        msg = "a field is no text"
        raise ValueError(msg)
    try:
        what = parse_what(item["what"])
    except InputError as error:
        raise ValueError(error.message) from None
    return Takedown(what, item["dataset"], item["reason"], datetime.fromisoformat(item["at"]))

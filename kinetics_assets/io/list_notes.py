"""What servers said of the annotation files that were fetched, so that they are asked only once.

The notes are an aid: a file that is missing or damaged costs a download, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.io.annotation_store import write_if_changed
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.io.fetch import Validators


@dataclass(frozen=True, slots=True)
class NotedList:
    """One list that a fetched file gave."""

    sha256: str
    """Of the list: its edition."""
    name: str
    """File name of the list, where it was got."""


@dataclass(frozen=True, slots=True)
class Note:
    """One file that was fetched, and what became of it."""

    sha256: str
    """Of the file as it was sent."""
    lists: dict[Split, NotedList]
    etag: str = ""
    last_modified: str = ""
    subset: str = ""
    """Digest of the subset that was taken of the file's rows, empty for all of them."""
    address: str = field(default="")
    """Where it came from, without secrets."""

    @property
    def validators(self) -> Validators:
        """What to send along when the file is asked for again."""
        return Validators(self.etag, self.last_modified)


def note_key(url: str) -> str:
    """Return the name of a file's note; the address itself may hold secrets."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def read_notes(layout: Layout) -> dict[str, Note]:
    """Return the notes by `note_key`; none if there are none that can be read."""
    try:
        with os_faults(f"reading {layout.fetched_lists}"):
            record = json.loads(layout.fetched_lists.read_bytes())
        return {key: _note(entry) for key, entry in record.items()}
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return {}


def write_notes(layout: Layout, notes: Mapping[str, Note]) -> None:
    """Keep `notes` in place of those that were kept."""
    record = {key: asdict(notes[key]) for key in sorted(notes)}
    write_if_changed(layout.fetched_lists, (json.dumps(record, indent=1) + "\n").encode())


def _note(entry: dict[str, object]) -> Note:
    """Return the note that `entry` is."""
    lists = entry.pop("lists")
    texts = {name: value for name, value in entry.items() if isinstance(value, str)}
    if not isinstance(lists, dict) or len(texts) != len(entry):
        msg = "not a note"
        raise ValueError(msg)
    return Note(lists={Split(split): NotedList(**said) for split, said in lists.items()}, **texts)

"""Downloads of large files that go on where they broke off, in this process or a later one.

The bytes so far stand beside the target under a hidden name, with a note of what they are a part
of: address, length, ETag. They are continued with ``Range`` and ``If-Range``, so that a server
whose file has changed sends the new one from its start. Parts of two files are never put together.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from kinetics_assets.core.errors import (
    ClipError,
    DownloadFailed,
    EmptyFile,
    KineticsError,
    NetworkDown,
    NetworkFailure,
    OverLimit,
    RateLimited,
    ServerError,
    Truncated,
)
from kinetics_assets.core.layout import PARTIAL_PREFIX, TEMP_PREFIX
from kinetics_assets.io.answers import (
    FetchLimits,
    answer_to,
    blocks_of,
    body_bytes,
    refusal,
    writing,
)
from kinetics_assets.io.atomic import publish_file, write_file
from kinetics_assets.io.checksums import broken_promise, digests_of, stated_checksums
from kinetics_assets.io.egress import Egress, redact_url
from kinetics_assets.io.fetch import Fetched
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.io.waits import backoff_seconds

_NOTE_SUFFIX = ".resume"
STALE_SECONDS = 14 * 86400.0
"""Age after which nobody is expected to go on with a part of a file."""
_HEALS = (NetworkFailure, Truncated, ServerError, NetworkDown)
_GAIN_BYTES = 2**20
"""An attempt that brought this much was no failure in a row."""
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a download is tried again, and after which pauses."""

    attempts: int = 5
    """Failures in a row, each with nearly nothing gained, after which it is given up."""
    most_requests: int = 100
    """Requests for one file at most."""
    base_seconds: float = 1.0
    """Longest pause after the first failure; doubles with each, drawn at random below that."""
    cap_seconds: float = 60.0
    """Longest pause between two attempts that the server did not ask for."""
    max_wait_seconds: float = 300.0
    """Longest pause that is sat out when the server asks for one."""


def fetch_resumable(
    url: str,
    target: Path,
    *,
    egress: Egress,
    pace: HostPace,
    limits: FetchLimits | None = None,
    retries: Retries | None = None,
) -> Fetched:
    """Return the file at `url`, stored complete under the name `target`.

    The caller sees to it that nobody else downloads to `target` at the same time. What had arrived
    stays for the next call when this one fails for a cause that may heal, or is killed.

    Args:
        url: Address of the file.
        target: Its name in the end; the parts stand in the same folder.
        egress: Which addresses may be asked.
        pace: Of the host; asked for a turn before every request.
        limits: Caps on the whole download.
        retries: How often it is tried.

    Raises:
        ClipError: As `kinetics_assets.io.fetch.fetch`, after the retries; `DownloadFailed` also
            when the bytes do not have the checksum that the server states for them.
        RateLimited: The server asks for a longer pause than is sat out.
        SourcePaused: The host is left alone for now.
        EnvironmentFault: No network, or a full disk.
    """
    limits, retries = limits or FetchLimits(), retries or Retries()
    partial = _Partial.of(target)
    budget = _Budget(retries, pace, ends_at=time.monotonic() + limits.total_seconds)
    while True:
        pace.take_turn()
        before = partial.size_bytes
        try:
            note = _go_on(url, partial, egress=egress, limits=limits, ends_at=budget.ends_at)
        except RateLimited as error:
            budget.asked_to_wait(error)
        except _HEALS as error:
            budget.failed(error, gained_bytes=partial.size_bytes - before)
        except ClipError:
            partial.drop()
            raise
        else:
            got = digests_of(partial.data, md5="md5" in note.stated)
            problem = broken_promise(note.stated, got)
            if not problem:
                size_bytes = partial.size_bytes
                partial.publish(target)
                return Fetched(target, note.address, got.sha256, size_bytes, note.etag)
            partial.drop()
            budget.failed(DownloadFailed(f"{note.address} came damaged: {problem}."))


def sweep_partials(folder: Path, *, older_than_seconds: float = STALE_SECONDS) -> int:
    """Delete parts in `folder` that nobody has gone on with for long; return how many.

    Notes that were never finished go with them; by age too, since their writer may be a process
    that cannot be seen from here.
    """
    if not folder.is_dir():
        return 0
    for note in folder.glob(f"{TEMP_PREFIX}*{_NOTE_SUFFIX}"):
        with suppress(FileNotFoundError):
            if time.time() - note.stat().st_mtime > older_than_seconds:
                note.unlink()
    found = folder.glob(f"{PARTIAL_PREFIX}*")
    swept = 0
    for data in {path.with_name(path.name.removesuffix(_NOTE_SUFFIX)) for path in found}:
        partial = _Partial(data)
        if partial.age_seconds() > older_than_seconds:
            partial.drop()
            swept += 1
    return swept


@dataclass(frozen=True, slots=True)
class _Note:
    """What the bytes of a partial file are a part of."""

    url_sha256: str
    """Of the address, which may hold secrets."""
    address: str
    etag: str
    last_modified: str
    length: int | None
    stated: dict[str, str] = field(default_factory=dict)
    """Checksums of the whole file."""

    @property
    def validator(self) -> str:
        """What ``If-Range`` may hold: a strong ETag, else a date; empty if there is neither."""
        return self.etag if self.etag.startswith('"') else self.last_modified

    @classmethod
    def of(cls, url: str, answer: http.client.HTTPResponse, *, last_url: str) -> _Note:
        """Return the note of a file that an answer sends from its start."""
        where = redact_url(last_url)
        return cls(
            url_sha256=_sha256(url),
            address=where,
            etag=answer.headers.get("ETag", ""),
            last_modified=answer.headers.get("Last-Modified", ""),
            length=body_bytes(answer, where=where),
            stated=stated_checksums(answer.headers),
        )

    def denies(self, answer: http.client.HTTPResponse, *, offset: int) -> str:
        """Return why a 206 does not continue this file at `offset`, empty if it does."""
        match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if not match:
            return "it does not say which part it sends"
        start, end = int(match[1]), int(match[2])
        total = None if match[3] == "*" else int(match[3])
        if start != offset or end < start or (total is not None and end >= total):
            return f"it sends {start}-{end} of {match[3]}, asked for was {offset}-"
        if total is None and self.length is None:
            return "it does not say how long the file is"  # a part's end would look like a file's
        if None not in {total, self.length} and total != self.length:
            return f"the file has {total} bytes now, it had {self.length}"
        if answer.length not in {None, end - start + 1}:
            return "it announces two lengths"
        etag = answer.headers.get("ETag", self.etag)
        return "" if etag == self.etag else f"the file is {etag[:60]} now, it was {self.etag[:60]}"

    def of_part(self, answer: http.client.HTTPResponse) -> _Note:
        """Return the note with the length of the file that a 206, not denied, states."""
        total = answer.headers.get("Content-Range", "").rpartition("/")[2]
        return self if total == "*" else replace(self, length=int(total))


@dataclass(frozen=True, slots=True)
class _Partial:
    """The bytes of a target that have arrived, and their note."""

    data: Path

    @classmethod
    def of(cls, target: Path) -> _Partial:
        """Return the partial file of a target."""
        return cls(target.with_name(f"{PARTIAL_PREFIX}{target.name}"))

    @property
    def note_path(self) -> Path:
        """File of the note."""
        return self.data.with_name(self.data.name + _NOTE_SUFFIX)

    @property
    def size_bytes(self) -> int:
        """Bytes that have arrived."""
        try:
            return self.data.stat().st_size
        except FileNotFoundError:
            return 0

    def note_for(self, url: str) -> _Note | None:
        """Return the note if these bytes can be continued from `url`; else they are deleted."""
        try:
            record: Any = json.loads(self.note_path.read_text())
            note = _Note(**record)
        except (OSError, ValueError, TypeError):
            note = None
        too_many = note and note.length is not None and self.size_bytes > note.length
        if note is None or too_many or note.url_sha256 != _sha256(url) or not note.validator:
            self.drop()
            return None
        return note

    def begin(self, note: _Note) -> None:
        """Start anew; old bytes are gone before the new note is there, so the two never meet."""
        with writing(self.data):
            self.data.parent.mkdir(parents=True, exist_ok=True)
            self.data.unlink(missing_ok=True)
        self.keep(note)

    def keep(self, note: _Note) -> None:
        """Make `note` that of the bytes that are there."""
        with writing(self.data):
            write_file(self.note_path, json.dumps(asdict(note)).encode())

    def publish(self, target: Path) -> None:
        """Give the complete bytes their name."""
        with writing(target):
            publish_file(self.data, target)
            self.note_path.unlink(missing_ok=True)

    def drop(self) -> None:
        """Delete the bytes, then the note."""
        with writing(self.data):
            self.data.unlink(missing_ok=True)
            self.note_path.unlink(missing_ok=True)

    def age_seconds(self) -> float:
        """Return how long ago the last byte arrived."""
        times = [p.stat().st_mtime for p in (self.data, self.note_path) if p.exists()]
        return time.time() - max(times, default=time.time())


@dataclass(slots=True)
class _Budget:
    """What is left of the attempts at one file."""

    retries: Retries
    pace: HostPace
    ends_at: float
    in_a_row: int = 0
    requests: int = 0

    def failed(self, error: KineticsError, *, gained_bytes: int = 0) -> None:
        """Wait before the next attempt, or raise `error` when there shall be none."""
        if gained_bytes >= _GAIN_BYTES:
            self.in_a_row = 0
        self._count(error)
        longest, cap = self.retries.base_seconds, self.retries.cap_seconds
        self.pace.sleep(backoff_seconds(self.in_a_row, base=longest, cap=cap))

    def asked_to_wait(self, error: RateLimited) -> None:
        """Hold the host as long as it asks, or raise `error` when that is too long."""
        wait = error.retry_after_seconds
        if wait is not None and wait > self.retries.max_wait_seconds:
            raise error
        if wait is None:
            self.failed(error)
        else:
            self._count(error)
            self.pace.hold(wait)

    def _count(self, error: KineticsError) -> None:
        """Count a failure and raise it if it was the last one allowed."""
        self.in_a_row += 1
        self.requests += 1
        spent = (
            self.in_a_row >= self.retries.attempts or self.requests >= self.retries.most_requests
        )
        if spent or time.monotonic() >= self.ends_at:
            raise error


def _go_on(
    url: str, partial: _Partial, *, egress: Egress, limits: FetchLimits, ends_at: float
) -> _Note:
    """Return the note of the file once all of it has arrived, after one request at most."""
    note = partial.note_for(url)
    offset = partial.size_bytes if note else 0
    if note and offset and offset == note.length:
        return note
    asks = {"Range": f"bytes={offset}-", "If-Range": note.validator} if note and offset else {}
    with answer_to(url, egress=egress, limits=limits, ends_at=ends_at, headers=asks) as (
        answer,
        last_url,
    ):
        if asks and note and answer.status == 206:
            problem = note.denies(answer, offset=offset)
            if problem:
                partial.drop()
                raise NetworkFailure(f"{note.address} cannot be continued: {problem}.")
            if note.length is None:
                note = note.of_part(answer)
                partial.keep(note)
        elif answer.status == 200:
            note, offset = _Note.of(url, answer, last_url=last_url), 0
            partial.begin(note)
        elif asks and answer.status == 416:
            partial.drop()
            raise NetworkFailure(f"{redact_url(last_url)} has no byte {offset} any more.")
        else:
            raise refusal(answer, url=last_url)
        if (note.length or 0) > limits.max_bytes:
            raise OverLimit(
                f"{note.address} has {note.length} bytes, more than the {limits.max_bytes} allowed."
            )
        _append(answer, partial, note, offset=offset, limits=limits, ends_at=ends_at)
    size = partial.size_bytes
    if note.length is not None and size != note.length:
        raise Truncated(f"{note.address} sent {size} of {note.length} bytes.")
    if not size:
        raise EmptyFile(f"{note.address} sent no bytes.")
    return note


def _append(
    answer: http.client.HTTPResponse,
    partial: _Partial,
    note: _Note,
    *,
    offset: int,
    limits: FetchLimits,
    ends_at: float,
) -> None:
    """Write the body of an answer behind the `offset` bytes that are there."""
    with writing(partial.data):
        # unbuffered: what was read is in the file when the process is killed
        file = partial.data.open("ab", buffering=0)
    with file:
        for block in blocks_of(
            answer, where=note.address, limits=limits, ends_at=ends_at, before=offset
        ):
            with writing(partial.data):
                rest = memoryview(block)
                while rest:
                    rest = rest[file.write(rest) :]


def _sha256(text: str) -> str:
    """Return the sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()

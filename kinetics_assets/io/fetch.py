"""The one function that downloads a small file; `kinetics_assets.io.resume` is for large ones."""

from __future__ import annotations

import hashlib
import http.client
import time
from dataclasses import dataclass
from pathlib import Path

from kinetics_assets.core.errors import DownloadFailed, EmptyFile, OverLimit, Truncated
from kinetics_assets.io.answers import (
    FetchLimits,
    answer_to,
    blocks_of,
    body_bytes,
    refusal,
    writing,
)
from kinetics_assets.io.atomic import publish_file, temp_path
from kinetics_assets.io.egress import Egress, redact_url

__all__ = ["FetchLimits", "Fetched", "Validators", "fetch", "fetch_if_changed"]


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server said of a file, by which it can tell later whether the file changed."""

    etag: str = ""
    last_modified: str = ""
    """As the server wrote it."""

    def headers(self) -> dict[str, str]:
        """Return the headers that ask for the file only if it changed; none without validators."""
        asked = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in asked.items() if value}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was downloaded."""

    path: Path
    address: str
    """Where it came from in the end, without secrets."""
    sha256: str
    size_bytes: int
    etag: str
    """As the server gave it, empty if it did not."""
    last_modified: str = ""
    """As the server gave it, empty if it did not."""

    @property
    def validators(self) -> Validators:
        """What to send with `fetch_if_changed` next time."""
        return Validators(self.etag, self.last_modified)


def fetch(url: str, target: Path, *, egress: Egress, limits: FetchLimits | None = None) -> Fetched:
    """Return the file at `url`, stored complete under the name `target`.

    Raises:
        AddressRefused: `url`, or where it redirects to, is not in the allow-list of `egress`.
        Gone, Forbidden, ServerError, DownloadFailed: The server says no.
        EmptyFile, Truncated, OverLimit: The answer has no bytes, too few, or too many.
        NetworkFailure: The connection broke, or it took too long.
        EnvironmentFault: No network, a full disk, or the server asks for a pause.
    """
    fetched = fetch_if_changed(url, target, known=Validators(), egress=egress, limits=limits)
    if fetched is None:
        raise DownloadFailed(f"{redact_url(url)} answers 304 to a request without conditions.")
    return fetched


def fetch_if_changed(
    url: str,
    target: Path,
    *,
    known: Validators,
    egress: Egress,
    limits: FetchLimits | None = None,
) -> Fetched | None:
    """Return the file at `url` as `fetch` does, None if the server says that it did not change.

    Args:
        url: Address of the file.
        target: Name that the complete file gets; untouched when nothing changed.
        known: What the server said of the file that is here; empty asks for it in any case.
        egress: As for `fetch`, with the same errors.
        limits: Caps on the download.
    """
    limits = limits or FetchLimits()
    ends_at = time.monotonic() + limits.total_seconds
    asked = answer_to(url, egress=egress, limits=limits, ends_at=ends_at, headers=known.headers())
    with asked as (answer, last_url):
        if answer.status == 304:
            return None
        if answer.status != 200:
            raise refusal(answer, url=last_url)
        return _store(answer, target, url=last_url, limits=limits, ends_at=ends_at)


def _store(
    answer: http.client.HTTPResponse,
    target: Path,
    *,
    url: str,
    limits: FetchLimits,
    ends_at: float,
) -> Fetched:
    """Return the answer's body, written aside, checked for length, and published."""
    where = redact_url(url)
    announced = body_bytes(answer, where=where)
    if announced is not None and announced > limits.max_bytes:
        raise OverLimit(f"{where} has {announced} bytes, more than the {limits.max_bytes} allowed.")
    with writing(target):
        temp = temp_path(target, stage="fetch")
        # Unbuffered: a buffer would be flushed on closing, and fail a second time, unexplained.
        file = temp.open("xb", buffering=0)
    digest = hashlib.sha256()
    size = 0
    try:
        with file:
            for block in blocks_of(answer, where=where, limits=limits, ends_at=ends_at):
                size += len(block)
                digest.update(block)
                with writing(temp):
                    rest = memoryview(block)
                    while rest:
                        rest = rest[file.write(rest) :]
        if announced is not None and size != announced:
            raise Truncated(f"{where} sent {size} of {announced} bytes.")
        if not size:
            raise EmptyFile(f"{where} sent no bytes.")
        with writing(target):
            publish_file(temp, target)
    finally:
        temp.unlink(missing_ok=True)
    etag, changed = (answer.headers.get(name, "") for name in ("ETag", "Last-Modified"))
    return Fetched(target, where, digest.hexdigest(), size, etag, changed)

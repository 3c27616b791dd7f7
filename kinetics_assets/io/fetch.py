"""The one function that downloads a small file; `kinetics_assets.io.resume` is for large ones."""

from __future__ import annotations

import hashlib
import http.client
import time
from dataclasses import dataclass
from pathlib import Path

from kinetics_assets.core.errors import EmptyFile, OverLimit, Truncated
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

__all__ = ["FetchLimits", "Fetched", "fetch"]


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


def fetch(url: str, target: Path, *, egress: Egress, limits: FetchLimits | None = None) -> Fetched:
    """Return the file at `url`, stored complete under the name `target`.

    Raises:
        AddressRefused: `url`, or where it redirects to, is not in the allow-list of `egress`.
        Gone, Forbidden, ServerError, DownloadFailed: The server says no.
        EmptyFile, Truncated, OverLimit: The answer has no bytes, too few, or too many.
        NetworkFailure: The connection broke, or it took too long.
        EnvironmentFault: No network, a full disk, or the server asks for a pause.
    """
    limits = limits or FetchLimits()
    ends_at = time.monotonic() + limits.total_seconds
    with answer_to(url, egress=egress, limits=limits, ends_at=ends_at) as (answer, last_url):
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
    return Fetched(target, where, digest.hexdigest(), size, answer.headers.get("ETag", ""))

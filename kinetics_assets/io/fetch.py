"""The one function that downloads a file."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from urllib.parse import SplitResult, quote, urljoin

from kinetics_assets.core.errors import (
    AddressRefused,
    ClipError,
    DownloadFailed,
    EmptyFile,
    Forbidden,
    Gone,
    KineticsError,
    NetworkDown,
    NetworkFailure,
    OverLimit,
    PermissionDenied,
    RateLimited,
    ServerError,
    Truncated,
)
from kinetics_assets.io.atomic import os_faults, publish_file, temp_path
from kinetics_assets.io.egress import MAX_REDIRECTS, Egress, redact, redact_url

_BLOCK_BYTES = 1 << 18
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"User-Agent": "kinetics-assets", "Accept": "*/*", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Caps on one download."""

    timeout_seconds: float = 30.0
    """Longest silence on the connection."""
    total_seconds: float = 3600.0
    """Longest time the whole download may take."""
    max_bytes: int = 4 * 2**30
    """Largest answer."""


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
    for _ in range(MAX_REDIRECTS + 1):
        parts = egress.check(url)
        with _answer(parts, egress=egress, limits=limits) as answer:
            if answer.status not in _REDIRECTS:
                _check_status(answer, url=url)
                return _store(answer, target, url=url, limits=limits, ends_at=ends_at)
            url = urljoin(url, answer.headers.get("Location", ""))
    raise AddressRefused(f"{redact_url(url)} redirects more than {MAX_REDIRECTS} times.")


@contextmanager
def _answer(
    parts: SplitResult, *, egress: Egress, limits: FetchLimits
) -> Iterator[http.client.HTTPResponse]:
    """Yield the answer to a GET; what breaks inside the block is raised as an error of ours."""
    host = parts.hostname or ""
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    connection: http.client.HTTPConnection = (
        http.client.HTTPSConnection(host, port, context=ssl.create_default_context())
        if is_tls
        else http.client.HTTPConnection(host, port)
    )
    where = redact_url(parts.geturl())
    try:
        plain = egress.connect(host, port, timeout_seconds=limits.timeout_seconds)
        connection.sock = plain
        if isinstance(connection, http.client.HTTPSConnection):
            connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        if parts.query:
            target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?")
        connection.request("GET", target, headers=_HEADERS)
        with closing(connection.getresponse()) as answer:
            yield answer
    except KineticsError:
        raise
    except http.client.IncompleteRead as error:
        raise Truncated(f"{where} sent fewer bytes than it announced ({error}).") from error
    except TimeoutError as error:
        silence = limits.timeout_seconds
        raise NetworkFailure(f"{where} was silent for {silence:g} s.") from error
    except ssl.SSLCertVerificationError as error:
        raise NetworkDown(
            f"The certificate of {host} is not valid ({error.verify_message}).",
            remedy="Check this machine's clock, its CA certificates, and for a proxy in between.",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise NetworkFailure(f"{where}: {redact(str(error) or type(error).__name__)}.") from error
    finally:
        connection.close()


def _check_status(answer: http.client.HTTPResponse, *, url: str) -> None:
    """Raise the error that an answer's status stands for."""
    status = answer.status
    if status == 200:
        return
    message = f"{redact_url(url)} answers {status} {redact(answer.reason)}."
    if status == 429:
        pause = answer.headers.get("Retry-After", "")
        asked = f" It asks to wait: {pause[:40]}." if pause else ""
        raise RateLimited(message + asked, remedy="Wait, then run again.")
    leaf: type[ClipError] = {404: Gone, 410: Gone, 401: Forbidden, 403: Forbidden}.get(
        status, ServerError if status >= 500 else DownloadFailed
    )
    raise leaf(message)


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
    announced = answer.length
    if announced is not None and announced > limits.max_bytes:
        raise OverLimit(f"{where} has {announced} bytes, more than the {limits.max_bytes} allowed.")
    with _writing(target):
        temp = temp_path(target, stage="fetch")
        # Unbuffered: a buffer would be flushed on closing, and fail a second time, unexplained.
        file = temp.open("xb", buffering=0)
    try:
        with file:
            size, sha256 = _copy(answer, file, where=where, limits=limits, ends_at=ends_at)
        if announced is not None and size != announced:
            raise Truncated(f"{where} sent {size} of {announced} bytes.")
        if not size:
            raise EmptyFile(f"{where} sent no bytes.")
        with _writing(target):
            publish_file(temp, target)
    finally:
        temp.unlink(missing_ok=True)
    return Fetched(target, where, sha256, size, answer.headers.get("ETag", ""))


def _copy(
    answer: http.client.HTTPResponse,
    file: FileIO,
    *,
    where: str,
    limits: FetchLimits,
    ends_at: float,
) -> tuple[int, str]:
    """Return (bytes, sha256) of the body, after writing it to `file`."""
    digest = hashlib.sha256()
    size = 0
    # read1 returns what has arrived: a server that drips bytes meets the deadline all the same.
    while block := answer.read1(_BLOCK_BYTES):
        size += len(block)
        if size > limits.max_bytes:
            raise OverLimit(f"{where} sends more than the {limits.max_bytes} bytes allowed.")
        if time.monotonic() > ends_at:
            raise NetworkFailure(f"{where} was not done after {limits.total_seconds:g} s.")
        digest.update(block)
        with _writing(Path(str(file.name))):
            rest = memoryview(block)
            while rest:
                rest = rest[file.write(rest) :]
    return size, digest.hexdigest()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise an `EnvironmentFault` for whatever the disk refuses, so that no network is blamed."""
    try:
        with os_faults(f"writing {path}"):
            yield
    except OSError as error:
        raise PermissionDenied(
            f"{path} cannot be written ({error.strerror}).",
            remedy="Check the disk, then run again.",
        ) from error

"""One request and its answer: redirects checked, every way to break an error of ours."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import SplitResult, quote, urljoin

from kinetics_assets.core.errors import (
    AddressRefused,
    ClipError,
    DownloadFailed,
    Forbidden,
    Gone,
    KineticsError,
    NetworkFailure,
    NetworkMisconfigured,
    OverLimit,
    PermissionDenied,
    RateLimited,
    ServerError,
    Truncated,
)
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.io.deadlines import Check, timely_answer
from kinetics_assets.io.egress import MAX_REDIRECTS, Egress, redact, redact_url
from kinetics_assets.io.waits import retry_after_seconds

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
    min_bytes_per_second: float = 0.0
    """Least rate, measured over each `timeout_seconds`; 0 for none."""


@contextmanager
def answer_to(
    url: str,
    *,
    egress: Egress,
    limits: FetchLimits,
    ends_at: float,
    headers: Mapping[str, str] | None = None,
) -> Iterator[tuple[http.client.HTTPResponse, str]]:
    """Yield the answer to a GET of `url`, and the address that redirects led to.

    The answer has whatever status, but no redirect. What breaks inside the block is raised as an
    error of ours.

    Args:
        url: Address to begin with.
        egress: Which addresses may be asked.
        limits: Caps on the silence and the time.
        ends_at: When the time is over, by `time.monotonic`, redirects and headers included.
        headers: Sent beside our own.

    Raises:
        AddressRefused: `url`, or where it redirects to, is not in the allow-list of `egress`.
        Truncated, NetworkFailure: The connection broke, or the time is over.
        EnvironmentFault: No network, or certificates that do not hold.
    """
    for _ in range(MAX_REDIRECTS + 1):
        parts = egress.check(url)
        where = redact_url(parts.geturl())
        check = partial(_check_time, where, limits=limits, ends_at=ends_at)
        with _asked(
            parts, egress=egress, limits=limits, check=check, headers=headers or {}
        ) as answer:
            if answer.status not in _REDIRECTS:
                yield answer, url
                return
            url = urljoin(url, answer.headers.get("Location", ""))
    raise AddressRefused(f"{redact_url(url)} redirects more than {MAX_REDIRECTS} times.")


def refusal(answer: http.client.HTTPResponse, *, url: str) -> KineticsError:
    """Return the error that the status of an answer without a body for us stands for.

    `RateLimited` for 429, and for 503 with a ``Retry-After`` that can be read.
    """
    status = answer.status
    message = f"{redact_url(url)} answers {status} {redact(answer.reason)}."
    asked = answer.headers.get("Retry-After", "")
    wait = retry_after_seconds(asked, now=datetime.now(UTC)) if asked else None
    if status == 429 or (status == 503 and wait is not None):
        asks = f" It asks to wait: {asked[:40]}." if asked else ""
        remedy = "Wait, then run again."
        return RateLimited(message + asks, remedy=remedy, retry_after_seconds=wait)
    leaf: type[ClipError] = {404: Gone, 410: Gone, 401: Forbidden, 403: Forbidden}.get(
        status, ServerError if status >= 500 else DownloadFailed
    )
    return leaf(message)


def body_bytes(answer: http.client.HTTPResponse, *, where: str) -> int | None:
    """Return the length that an answer announces for its body, None if it announces none.

    Raises:
        DownloadFailed: It announces two different ones, or no number.
    """
    said = {text.strip() for text in answer.headers.get_all("Content-Length", [])}
    if len(said) > 1 or not all(text.isascii() and text.isdigit() for text in said):
        raise DownloadFailed(
            f"{where} announces the length {' and '.join(sorted(said))[:80]}, which is none."
        )
    return answer.length


def blocks_of(
    answer: http.client.HTTPResponse,
    *,
    where: str,
    limits: FetchLimits,
    ends_at: float,
    before: int = 0,
) -> Iterator[bytes]:
    """Yield the body of an answer as it arrives, within the limits.

    Args:
        answer: Of which nothing was read yet.
        where: Its address, for messages.
        limits: Caps on the bytes, the rate and the time.
        ends_at: When the time is over, by `time.monotonic`.
        before: Bytes of the file that came with earlier answers.

    Raises:
        OverLimit: More bytes than allowed.
        NetworkFailure: Too slow, or not done in time.
    """
    size = before
    began, at_begin = time.monotonic(), size
    # read1 returns what has arrived: a server that drips bytes meets the deadline all the same.
    while block := answer.read1(_BLOCK_BYTES):
        size += len(block)
        if size > limits.max_bytes:
            raise OverLimit(f"{where} sends more than the {limits.max_bytes} bytes allowed.")
        _check_time(where, limits=limits, ends_at=ends_at)
        now = time.monotonic()
        if now - began >= limits.timeout_seconds:
            rate = (size - at_begin) / (now - began)
            if rate < limits.min_bytes_per_second:
                raise NetworkFailure(f"{where} sends only {rate:.0f} bytes a second.")
            began, at_begin = now, size
        yield block


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise an `EnvironmentFault` for whatever the disk refuses, so that no network is blamed."""
    try:
        with os_faults(f"writing {path}"):
            yield
    except OSError as error:
        raise PermissionDenied(
            f"{path} cannot be written ({error.strerror}).",
            remedy="Check the disk, then run again.",
        ) from error


def _check_time(where: str, *, limits: FetchLimits, ends_at: float) -> None:
    """Raise `NetworkFailure` when the time is over."""
    if time.monotonic() > ends_at:
        raise NetworkFailure(f"{where} was not done after {limits.total_seconds:g} s.")


@contextmanager
def _asked(
    parts: SplitResult,
    *,
    egress: Egress,
    limits: FetchLimits,
    check: Check,
    headers: Mapping[str, str],
) -> Iterator[http.client.HTTPResponse]:
    """Yield the answer to one GET; what breaks inside the block is raised as an error of ours."""
    host = parts.hostname or ""
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    connection: http.client.HTTPConnection = (
        http.client.HTTPSConnection(host, port, context=ssl.create_default_context())
        if is_tls
        else http.client.HTTPConnection(host, port)
    )
    connection.response_class = timely_answer(check)
    where = redact_url(parts.geturl())
    try:
        plain = egress.connect(host, port, timeout_seconds=limits.timeout_seconds)
        connection.sock = plain
        if isinstance(connection, http.client.HTTPSConnection):
            connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        if parts.query:
            target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?")
        connection.request("GET", target, headers={**_HEADERS, **headers})
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
        raise NetworkMisconfigured(
            f"The certificate of {host} is not valid ({error.verify_message}).",
            remedy="Check this machine's clock, its CA certificates, and for a proxy in between.",
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise NetworkFailure(f"{where}: {redact(str(error) or type(error).__name__)}.") from error
    finally:
        connection.close()

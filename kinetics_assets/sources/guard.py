"""One download's rules and budget, and HTTP connections that keep to them.

For code that brings its own HTTP client on top of the standard library (yt-dlp): it is given the
connections made here, which ask an `Egress` where they may go and a budget how much they may read.
"""

from __future__ import annotations

import http.client
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.errors import KineticsError, NetworkFailure, OverLimit
from kinetics_assets.io.deadlines import checked
from kinetics_assets.io.egress import Egress
from kinetics_assets.sources.youtube_proxy import Proxy, wrap_tls

_BLOCK_BYTES = 1 << 18


@dataclass
class Guard:
    """Rules and state of one download."""

    egress: Egress
    timeout_seconds: float
    """Longest silence on a connection."""
    max_bytes: int
    """Of all answers together."""
    ends_at: float
    """Time of the monotonic clock at which the download must be over."""
    proxy: Proxy | None = None
    """What the connections go through."""
    bytes_read: int = 0
    verdict: KineticsError | None = None
    """The first thing that was refused; the code in between may swallow what is raised."""

    answers: list[http.client.HTTPResponse] = field(default_factory=list)
    """Every answer that was begun."""

    def close(self) -> None:
        """Close the answers that nobody read to the end."""
        while self.answers:
            self.answers.pop().close()

    def refuse(self, error: KineticsError) -> KineticsError:
        """Return `error`, remembered as the reason."""
        self.verdict = self.verdict or error
        return error

    def check(self, url: str) -> None:
        """Raise `AddressRefused` if `url` may not be asked."""
        try:
            self.egress.check(url)
        except KineticsError as error:
            raise self.refuse(error) from None

    def connect(self, host: str, port: int) -> socket.socket:
        """Return a connection to a checked address, or through the proxy to a checked name.

        Raises:
            AddressRefused, NetworkDown: As `Egress.connect` does.
            NetworkMisconfigured, NetworkDown, NetworkFailure: As `Proxy.tunnel` does.
        """
        try:
            if self.proxy:
                return self.proxy.tunnel(host, port, timeout_seconds=self.timeout_seconds)
            return self.egress.connect(host, port, timeout_seconds=self.timeout_seconds)
        except KineticsError as error:
            raise self.refuse(error) from error

    def count(self, size: int) -> None:
        """Take note of bytes that arrived, or are announced.

        Raises:
            OverLimit: They are too many.
            NetworkFailure: The time is over.
        """
        self.bytes_read += size
        if self.bytes_read > self.max_bytes:
            raise self.refuse(OverLimit(f"The source has more than {self.max_bytes} bytes."))
        if time.monotonic() > self.ends_at:
            raise self.refuse(NetworkFailure("The download took longer than it may."))

    def connections(self, *, tls: bool) -> type[http.client.HTTPConnection]:
        """Return a class of connections, by https or http, that keep to this guard."""
        base = _TlsConnection if tls else _PlainConnection
        answer = type("GuardedAnswer", (_Answer,), {"guard": self})
        return type("GuardedConnection", (base,), {"guard": self, "response_class": answer})


if TYPE_CHECKING:
    _ConnectionBase = http.client.HTTPConnection
else:
    _ConnectionBase = object


class _GuardedConnect(_ConnectionBase):
    """Connects to checked addresses only."""

    guard: Guard

    def connect(self) -> None:
        """Open the connection."""
        self.sock = self.guard.connect(self.host, self.port)


class _PlainConnection(_GuardedConnect, http.client.HTTPConnection):
    """A connection by http."""


class _TlsConnection(_GuardedConnect, http.client.HTTPSConnection):
    """A connection by https."""

    _context: Any

    def connect(self) -> None:
        """Open the connection and check the certificate."""
        super().connect()
        self.sock = wrap_tls(self.sock, self._context, host=self.host)


class _Answer(http.client.HTTPResponse):
    """An answer whose bytes are counted as they arrive."""

    guard: Guard

    def begin(self) -> None:
        """Read the headers; an announced length that is too large ends it here."""
        self.guard.answers.append(self)
        self.fp = checked(self.fp, lambda: self.guard.count(0))
        super().begin()
        if self.length and self.guard.bytes_read + self.length > self.guard.max_bytes:
            self.guard.count(self.length)

    def read(self, amt: int | None = None) -> bytes:
        """Return bytes that have arrived, at most `amt`; all of the body for None.

        Raises:
            IncompleteRead: The whole body was asked for, and it ends too early.
        """
        if amt is not None:
            return self._some(amt)
        blocks = []
        while block := self._some(_BLOCK_BYTES):
            blocks.append(block)
        if self.length:
            raise http.client.IncompleteRead(b"".join(blocks), self.length)
        return b"".join(blocks)

    def _some(self, most: int) -> bytes:
        """Return up to `most` bytes; empty at the end."""
        # read1 returns what has arrived: a server that drips bytes meets the deadline anyway.
        block = self.read1(most) if most else b""
        self.guard.count(len(block))
        if self.length == 0:
            self.close()
        return block

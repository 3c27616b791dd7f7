"""Connections through an HTTP proxy: a tunnel to a host, with TLS on either leg.

The proxy is one that the user set, so it may be on this machine or in a private network. It finds
the host's address itself; which hosts may be asked is checked by name before.
"""

from __future__ import annotations

import base64
import io
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from kinetics_assets.core.errors import NetworkDown, NetworkFailure, NetworkMisconfigured

_MAX_ANSWER_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 16
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_UNREACHABLE = frozenset({502, 503, 504})
_REMEDY = "Check sources.youtube_proxy."


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that makes tunnels (the method CONNECT)."""

    host: str
    port: int
    is_tls: bool
    """Whether the way to the proxy itself is encrypted."""
    user: str = ""
    password: str = ""

    @classmethod
    def of(cls, url: str) -> Proxy | None:
        """Return the proxy at ``http[s]://[user:password@]host:port``, None for an empty `url`."""
        if not url:
            return None
        parts = urlsplit(url)
        return cls(
            host=parts.hostname or "",
            port=parts.port or (443 if parts.scheme == "https" else 80),
            is_tls=parts.scheme == "https",
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )

    def __repr__(self) -> str:
        """Return the address without the password."""
        return f"Proxy({self.address})"

    @property
    def address(self) -> str:
        """The address without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown: the password, as it is and as it is sent."""
        return (self.password, self._credentials) if self.password else ()

    def tunnel(self, host: str, port: int, *, timeout_seconds: float) -> socket.socket:
        """Return a connection to `host` through the proxy.

        Raises:
            NetworkMisconfigured: The proxy cannot be reached, does not know us, or is none.
            NetworkDown: The proxy cannot reach `host`.
            NetworkFailure: The proxy is silent.
        """
        connection = self._connect(timeout_seconds)
        try:
            self._ask(connection, host, port)
        except TimeoutError:
            connection.close()
            raise NetworkFailure(f"The proxy {self.address} was silent.") from None
        except OSError as error:
            connection.close()
            raise self._wrong(f"broke the connection ({error.strerror or error})") from None
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def _credentials(self) -> str:
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def _connect(self, timeout_seconds: float) -> socket.socket:
        """Return a connection to the proxy itself."""
        plain = None
        try:
            plain = socket.create_connection((self.host, self.port), timeout_seconds)
            if not self.is_tls:
                return plain
            return ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)
        except (OSError, UnicodeError) as error:
            if plain is not None:
                plain.close()
            why = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or error
            raise self._wrong(f"cannot be reached ({why})") from None

    def _ask(self, connection: socket.socket, host: str, port: int) -> None:
        """Ask the proxy for the way to `host` and read its answer, nothing beyond."""
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.user or self.password:
            lines.append(f"Proxy-Authorization: Basic {self._credentials}")
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
        answer = bytearray()
        while not answer.endswith(b"\r\n\r\n"):
            byte = connection.recv(1)
            if not byte or len(answer) > _MAX_ANSWER_BYTES:
                raise self._wrong("does not answer as a proxy")
            answer += byte
        found = _STATUS.match(answer)
        status = int(found[1]) if found else 0
        if status in range(200, 300):
            return
        if status == 407:
            raise self._wrong("wants another user or password (407)")
        if status in _UNREACHABLE:
            raise NetworkDown(
                f"The proxy {self.address} cannot reach {target} ({status}).",
                remedy="Check the network of the proxy.",
            )
        raise self._wrong(f"refuses to connect to {target} ({status or 'no status'})")

    def _wrong(self, what: str) -> NetworkMisconfigured:
        """Return the error for a proxy that does not work."""
        return NetworkMisconfigured(f"The proxy {self.address} {what}.", remedy=_REMEDY)


def wrap_tls(connection: socket.socket, context: ssl.SSLContext, *, host: str) -> Any:  # noqa: ANN401
    """Return `connection` encrypted, its other end proven to be `host`.

    The result is a socket, or as much of one as `http.client` needs.

    Raises:
        OSError: As `ssl` does.
    """
    if isinstance(connection, ssl.SSLSocket):
        return _TlsInTls(connection, context, host=host)
    return context.wrap_socket(connection, server_hostname=host)


class _TlsInTls:
    """TLS inside of a TLS connection, which `ssl` does not do by itself."""

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, *, host: str) -> None:
        """Shake hands through `outer`."""
        self._outer = outer
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inner = context.wrap_bio(self._arrived, self._leaving, server_hostname=host)
        self._readers = 0
        self._is_closed = False
        self._drive(self._inner.do_handshake)

    def sendall(self, data: bytes) -> None:
        """Send all of `data`."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._drive(self._inner.write, rest) :]

    def read(self, most: int) -> bytes:
        """Return up to `most` bytes that have arrived, none at the end."""
        try:
            return bytes(self._drive(self._inner.read, most))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a reader; the connection is open for as long as it is."""
        if mode != "rb":
            raise ValueError(mode)
        self._readers += 1
        return io.BufferedReader(_Reader(self), _BLOCK_BYTES)

    def settimeout(self, seconds: float | None) -> None:
        """Set the longest silence."""
        self._outer.settimeout(seconds)

    def close(self) -> None:
        """Close, at once or with the last reader."""
        self._is_closed = True
        if not self._readers:
            self._outer.close()

    def reader_closed(self) -> None:
        """Take note of a reader that is done."""
        self._readers -= 1
        if self._is_closed and not self._readers:
            self._outer.close()

    def _drive(self, act: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - of `act`
        """Return what `act` does, moving bytes in and out for as long as it wants some."""
        while True:
            try:
                result = act(*arguments)
            except ssl.SSLWantReadError:
                self._send()
                block = self._outer.recv(_BLOCK_BYTES)
                if block:
                    self._arrived.write(block)
                else:
                    self._arrived.write_eof()
            else:
                self._send()
                return result

    def _send(self) -> None:
        if self._leaving.pending:
            self._outer.sendall(self._leaving.read())


class _Reader(io.RawIOBase):
    """Reads a `_TlsInTls`."""

    def __init__(self, connection: _TlsInTls) -> None:
        self._connection = connection

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        """Fill `buffer` with what has arrived and return the number of bytes."""
        block = self._connection.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        """Let go of the connection."""
        if not self.closed:
            super().close()
            self._connection.reader_closed()

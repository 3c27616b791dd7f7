"""A real HTTP server on loopback with ranges and ETags, whose next answers can be spoilt."""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import termios
import threading
from array import array
from dataclasses import dataclass, field
from fcntl import ioctl
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from kinetics_assets_tests.loopback import LoopbackServer, QuietHandler

_RANGE = re.compile(r"bytes=(\d+)-")


@dataclass(frozen=True)
class Served:
    """One request and what it got."""

    path: str
    """With its quoting undone."""
    raw_path: str
    range: str
    """Its Range header, empty without one."""
    if_range: str
    status: int
    sent: int
    """Bytes of body."""


@dataclass(frozen=True)
class Spoilt:
    """How one answer goes wrong."""

    status: int = 0
    """Answer with this status and no file; 0 for a normal answer."""
    headers: dict[str, str] = field(default_factory=dict)
    """Added to the answer, or instead of what it would have; an empty value takes one away."""
    cut_after: int | None = None
    """Reset the connection once the client has this many bytes of body."""
    stall_after: int | None = None
    """Send no more after this many bytes, until `RangeServer.stalled` is released."""
    ignore_range: bool = False
    """Send the whole file with status 200 though a part was asked for."""
    body: bytes | None = None
    """Body instead of the true one."""


@dataclass
class RangeServer(LoopbackServer):
    """Context manager; the server runs in threads of this process while it is entered."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Path, unquoted -> body; its ETag follows the bytes."""
    headers: dict[str, str] = field(default_factory=dict)
    """Added to every file."""
    spoilt: dict[str, list[Spoilt]] = field(default_factory=dict)
    """Path -> what happens to the next answers, one after the other."""
    served: list[Served] = field(default_factory=list)

    def handler(self) -> type[_Handler]:
        """Return what answers."""
        return _Handler

    def __enter__(self) -> Self:
        """Start listening on a free port."""
        self.released = threading.Event()
        self.stalled = threading.Event()
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and end what stalls."""
        self.released.set()
        super().__exit__(kind, error, trace)

    def asked(self, path: str) -> list[Served]:
        """Return the requests for `path`."""
        return [one for one in self.served if one.path == path]


def etag_of(body: bytes) -> str:
    """Return the ETag that the server gives a body; it is no MD5 by its look."""
    return f'"{hashlib.sha256(body).hexdigest()[:20]}"'


class _Handler(QuietHandler):
    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        """Answer one request."""
        owner: RangeServer = self.owner
        self.close_connection = True
        path = unquote(self.path)
        waiting = owner.spoilt.get(path, [])
        spoilt = waiting.pop(0) if waiting else Spoilt()
        body = owner.files.get(path)
        status, headers, part = 404, {"Content-Length": "0"}, b""
        if spoilt.status:
            status, headers = spoilt.status, {"Content-Length": "0"}
        elif body is not None:
            status, headers, part = self._part(body, spoilt)
        headers = {k: v for k, v in (headers | spoilt.headers).items() if v}
        cuts = [n for n in (spoilt.cut_after, spoilt.stall_after) if n is not None]
        sent = part[: min([len(part), *cuts])]
        asked = self.headers
        owner.served.append(
            Served(
                path,
                self.path,
                asked.get("Range", ""),
                asked.get("If-Range", ""),
                status,
                len(sent),
            )
        )
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(sent)
        self.wfile.flush()
        if spoilt.stall_after is not None:
            owner.stalled.set()
            owner.released.wait()
        if spoilt.cut_after is not None:
            self._wait_until_received()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _wait_until_received(self) -> None:
        """Return when all that was sent is at the client: a reset throws away what is on its way.

        What the client's kernel has is read before the reset is noticed.
        """
        waiting = array("i", [1])
        while waiting[0] and not self.owner.stopping.wait(0.001):
            ioctl(self.connection.fileno(), termios.TIOCOUTQ, waiting)

    def _part(self, body: bytes, spoilt: Spoilt) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of a good answer."""
        headers = {"ETag": etag_of(body), **self.owner.headers}
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        body = body if spoilt.body is None else spoilt.body
        same = self.headers.get("If-Range", headers["ETag"]) == headers["ETag"]
        if not match or not same or spoilt.ignore_range:
            return 200, headers | {"Content-Length": str(len(body))}, body
        start = int(match[1])
        if start >= len(body):
            return 416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"}, b""
        part = body[start:]
        said = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return 206, headers | {"Content-Range": said, "Content-Length": str(len(part))}, part

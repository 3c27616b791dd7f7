"""A real HTTP server on loopback with one misbehaviour per path, and a log of what it was asked.

Faults are named by the first part of the path: ``/status-404/x.mp4``, ``/short-length/x.mp4``. Any
other path is served from `FaultServer.files`, 404 if it is not there; ``/gzip`` and ``/deflate``
with that content encoding.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message

from kinetics_assets_tests.loopback import LoopbackServer, QuietHandler

PAGE = b"<!DOCTYPE html><html><head><title>Sorry</title></head><body>Not here.</body></html>"
BODY = bytes(range(256)) * 40
"""10,240 bytes that a fault path announces; that they arrive is another matter."""
_TYPES = {".mp4": "video/mp4", ".csv": "text/csv", ".gz": "application/gzip", ".webm": "video/webm"}


@dataclass(frozen=True)
class Asked:
    """One request that arrived."""

    method: str
    path: str
    headers: Message


@dataclass
class FaultServer(LoopbackServer):
    """Context manager; the server runs in threads of this process while it is entered."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Path -> body."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Path -> Location."""
    requests: list[Asked] = field(default_factory=list)
    """In the order of arrival."""
    dripped: list[str] = field(default_factory=list)
    """Paths of which all that was to be dripped was taken, which takes a minute at least."""

    def handler(self) -> type[_Handler]:
        """Return what answers."""
        return _Handler

    def asked(self, path: str) -> list[str]:
        """Return the methods of the requests for `path`."""
        return [request.method for request in self.requests if request.path == path]


class _Handler(QuietHandler):
    def do_HEAD(self) -> None:  # noqa: N802 - http.server's name
        self._answer()

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self._answer()

    def _answer(self) -> None:
        server = self.owner
        server.requests.append(Asked(self.command, self.path, self.headers))
        self.close_connection = True
        fault = self.path.split("/")[1].split("?")[0]
        path = self.path.split("?")[0]
        if path in server.redirects:
            self._start(302, {"Location": server.redirects[path], "Content-Length": "0"})
        elif fault.startswith("status-"):
            self._status(int(fault.removeprefix("status-")))
        elif fault in _FAULTS:
            _FAULTS[fault](self)
        elif path in server.files:
            suffix = path[path.rfind(".") :]
            body = server.files[path]
            headers = {"Content-Type": _TYPES.get(suffix, "application/octet-stream")}
            if path in {"/gzip", "/deflate"}:
                headers |= {"Content-Type": "text/html", "Content-Encoding": path[1:]}
            self._start(200, headers | {"Content-Length": str(len(body)), "ETag": '"e1"'})
            self._send(body)
        else:
            self._status(404)

    def _status(self, status: int) -> None:
        headers = {"Content-Length": str(len(PAGE)), "Content-Type": "text/html"}
        self._start(status, headers | ({"Retry-After": "120"} if status == 429 else {}))
        self._send(PAGE)

    def _start(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, body: bytes) -> None:
        if self.command == "GET":
            self.wfile.write(body)
            self.wfile.flush()

    def _video(self, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._start(200, {"Content-Type": "video/mp4"} | named)

    def short_length(self) -> None:
        """Announce a length and send half of it."""
        self._video(Content_Length=str(len(BODY)))
        self._send(BODY[: len(BODY) // 2])

    def short_chunked(self) -> None:
        """Stop within a chunked body."""
        self._video(Transfer_Encoding="chunked")
        self._send(f"{len(BODY):x}\r\n".encode() + BODY[:1000])

    def short_close(self) -> None:
        """Send half a body without a length, so that nobody can tell."""
        self._video()
        self._send(BODY[: len(BODY) // 2])

    def empty(self) -> None:
        """Send a body of no bytes."""
        self._video(Content_Length="0")

    def page(self) -> None:
        """Send a web page as one."""
        self._start(200, {"Content-Type": "text/html", "Content-Length": str(len(PAGE))})
        self._send(PAGE)

    def page_as_video(self) -> None:
        """Send a web page as a video."""
        self._video(Content_Length=str(len(PAGE)))
        self._send(PAGE)

    def page_with_video(self) -> None:
        """Send a web page that shows some other video."""
        body = b'<html><body><video src="/files/other.mp4"></video></body></html>'
        self._start(200, {"Content-Type": "text/html", "Content-Length": str(len(body))})
        self._send(body)

    def playlist(self) -> None:
        """Send an HLS playlist whose pieces are on another host."""
        body = (
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://192.0.2.1/a.ts\n#EXT-X-ENDLIST\n"
        )
        self._start(
            200, {"Content-Type": "application/vnd.apple.mpegurl", "Content-Length": str(len(body))}
        )
        self._send(body)

    def reset(self) -> None:
        """Break the connection within the body."""
        self._video(Content_Length=str(len(BODY)))
        self._send(BODY[:1000])
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def silent(self) -> None:
        """Begin a body and say no more."""
        self._video(Content_Length=str(len(BODY)))
        self._send(BODY[:10])
        self.owner.stopping.wait()

    def drip(self) -> None:
        """Send a byte every 20 ms."""
        self._video(Content_Length=str(len(BODY)))
        self._drip(BODY)

    def drip_status(self) -> None:
        """Send the words behind the status a byte every 20 ms."""
        self._drip(b"HTTP/1.1 200 " + b"O" * 3000)
        self._send(b"\r\nContent-Length: 4\r\n\r\nfile")

    def drip_headers(self) -> None:
        """Send a header a byte every 20 ms."""
        self._drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 3000)
        self._send(b"\r\nContent-Length: 4\r\n\r\nfile")

    def drip_continue(self) -> None:
        """Say a byte every 20 ms that the answer is to come."""
        self._drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 120)
        self._send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfile")

    def _drip(self, data: bytes) -> None:
        for number in range(len(data)):
            self._send(data[number : number + 1])
            if self.owner.stopping.wait(0.02):
                return
        self.owner.dripped.append(self.path)

    def endless(self) -> None:
        """Send bytes without a length until nobody listens."""
        self._video()
        while not self.owner.stopping.is_set():
            self._send(BODY)


_FAULTS: dict[str, Callable[[_Handler], None]] = {
    "short-length": _Handler.short_length,
    "short-chunked": _Handler.short_chunked,
    "short-close": _Handler.short_close,
    "empty": _Handler.empty,
    "page": _Handler.page,
    "page-as-video": _Handler.page_as_video,
    "page-with-video": _Handler.page_with_video,
    "playlist": _Handler.playlist,
    "reset": _Handler.reset,
    "silent": _Handler.silent,
    "drip": _Handler.drip,
    "drip-status": _Handler.drip_status,
    "drip-headers": _Handler.drip_headers,
    "drip-continue": _Handler.drip_continue,
    "endless": _Handler.endless,
}

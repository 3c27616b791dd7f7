"""A real HTTP server of annotation files: it knows ETags and times, and can send half a file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from kinetics_assets_tests.loopback import LoopbackServer, QuietHandler


@dataclass(frozen=True)
class Answered:
    """One request, and what came of it."""

    path: str
    status: int
    body_bytes: int


@dataclass
class ListServer(LoopbackServer):
    """Context manager; the server runs in threads of this process while it is entered."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Path -> body."""
    validators: tuple[str, ...] = ("ETag",)
    """Headers by which clients may ask whether a file changed: ETag, Last-Modified."""
    cut: dict[str, int] = field(default_factory=dict)
    """Path -> bytes that are sent of the announced length, before the connection ends."""
    down: int = 0
    """Status of every answer while it is not 0."""
    answered: list[Answered] = field(default_factory=list)

    def handler(self) -> type[_Handler]:
        """Return what answers."""
        return _Handler

    def statuses(self) -> list[int]:
        """Return the statuses of all answers so far."""
        return [answer.status for answer in self.answered]

    def said_of(self, path: str) -> dict[str, str]:
        """Return the validators of the file at `path`; another body has other ones."""
        digest = hashlib.sha256(self.files[path]).hexdigest()
        second = int(digest[:6], 16) % 60
        said = {
            "ETag": f'"{digest[:16]}"',
            "Last-Modified": f"Sat, 01 Jan 2022 00:{int(digest[6:12], 16) % 60:02}:{second:02} GMT",
        }
        return {name: said[name] for name in self.validators}


class _Handler(QuietHandler):
    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        server, path = self.owner, self.path.split("?")[0]
        body = b"" if server.down else server.files.get(path)
        self.close_connection = True
        if server.down or body is None:
            self._send(server.down or 404, {}, b"")
            return
        said = server.said_of(path)
        asked = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
        if any(self.headers.get(asked[name]) == value for name, value in said.items()):
            self._send(304, said, b"", length=None)
            return
        self._send(200, said, body[: server.cut.get(path, len(body))], length=len(body))

    def _send(
        self, status: int, headers: dict[str, str], body: bytes, *, length: int | None = 0
    ) -> None:
        self.owner.answered.append(Answered(self.path, status, len(body)))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

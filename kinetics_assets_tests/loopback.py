"""What the servers of the tests have in common: they run in threads, on a free loopback port."""

from __future__ import annotations

import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class LoopbackServer:
    """Context manager; the server is up while it is entered."""

    server_class: type[socketserver.TCPServer] = ThreadingHTTPServer

    def handler(self) -> type[socketserver.BaseRequestHandler]:
        """Return the class that answers one connection; `owner` of it is this server."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Start listening on a free port."""
        self.stopping = threading.Event()
        handler = type("Handler", (self.handler(),), {"owner": self})
        self._server = self.server_class(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True  # type: ignore[attr-defined] # of the threading mix-in
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and end the answers that never end by themselves."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def host(self) -> str:
        """``127.0.0.1:<port>``."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def url(self, path: str = "") -> str:
        """Return the address of `path`."""
        return f"http://{self.host}{path}"


class QuietHandler(BaseHTTPRequestHandler):
    """Answers by HTTP; a client that hangs up is no error of the test."""

    owner: Any
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Print nothing."""

    def handle(self) -> None:
        """Answer one connection."""
        try:
            super().handle()
        except (ConnectionError, ValueError, OSError):
            self.close_connection = True

    def finish(self) -> None:
        """Close; the connection may be gone already."""
        try:
            super().finish()
        except (ConnectionError, ValueError, OSError):
            self.close_connection = True

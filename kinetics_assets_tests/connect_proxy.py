"""An HTTP proxy on this machine that makes tunnels, and misbehaves when told to."""

from __future__ import annotations

import base64
import select
import socket
import socketserver
import ssl
from dataclasses import dataclass, field

from kinetics_assets_tests.loopback import LoopbackServer


@dataclass
class ConnectProxy(LoopbackServer):
    """Context manager; the proxy is up while it is entered."""

    server_class = socketserver.ThreadingTCPServer

    credentials: str = ""
    """``user:password`` that is wanted, empty for none."""
    answer: bytes = b""
    """Sent instead of making a tunnel."""
    tls: ssl.SSLContext | None = None
    """Encrypts the way to the proxy."""
    asked: list[str] = field(default_factory=list)
    """Targets of the tunnels that were made."""
    refused: int = 0

    def handler(self) -> type[_Handler]:
        """Return what answers."""
        return _Handler

    def url(self, credentials: str = "") -> str:
        """Return the address."""
        user = f"{credentials}@" if credentials else ""
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{user}127.0.0.1:{self._server.server_address[1]}"

    def serve(self, plain: socket.socket) -> None:
        """Answer one client until it or the target hangs up."""
        try:
            client = self.tls.wrap_socket(plain, server_side=True) if self.tls else plain
        except OSError:
            return
        with client:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                if not (byte := client.recv(1)):
                    return
                head += byte
            wanted = base64.b64encode(self.credentials.encode())
            if self.answer:
                client.sendall(self.answer)
            elif self.credentials and b"Proxy-Authorization: Basic " + wanted not in head:
                self.refused += 1
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            else:
                target = head.split(b" ")[1].decode()
                self.asked.append(target)
                host, _, port = target.rpartition(":")
                with socket.create_connection((host, int(port)), 5) as server:
                    client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
                    _relay(client, server)


class _Handler(socketserver.BaseRequestHandler):
    owner: ConnectProxy

    def handle(self) -> None:
        self.owner.serve(self.request)


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side is done."""
    while True:
        waiting = isinstance(one, ssl.SSLSocket) and one.pending()
        readable = [one] if waiting else select.select([one, other], [], [], 120)[0]
        if not readable:
            return
        for source in readable:
            try:
                block = source.recv(65536)
                (other if source is one else one).sendall(block)
            except OSError:
                return
            if not block:
                return

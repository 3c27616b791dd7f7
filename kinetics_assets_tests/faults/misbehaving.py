"""A real HTTP server on loopback that misbehaves as told, path by path and answer by answer."""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from kinetics_assets_tests.loopback import LoopbackServer, QuietHandler

PAGE = b"<!DOCTYPE html><html><head><title>Sorry</title></head><body>Not here.</body></html>"
_RANGE = re.compile(r"bytes=([0-9]+)-")


@dataclass(frozen=True)
class Asked:
    """One request."""

    at: float
    """Time of the monotonic clock."""
    path: str
    """With its quoting undone."""
    range: str
    if_range: str


Answer = Callable[["Talk", bytes], None]
"""Sends an answer about the file whose bytes are given."""


@dataclass
class MisbehavingServer(LoopbackServer):
    """Context manager; the server runs in threads of this process while it is entered."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Path, unquoted -> bytes; 404 for any other."""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    """Path -> what the answers are, one after the other; the last one is repeated."""
    asked: list[Asked] = field(default_factory=list)

    def handler(self) -> type[Talk]:
        """Return what answers."""
        return Talk

    def requests(self, path: str) -> list[Asked]:
        """Return the requests for `path`."""
        return [one for one in self.asked if one.path == path]

    def next_answer(self, path: str) -> Answer:
        """Return what the next answer about `path` is."""
        waiting = self.answers.get(path, [])
        if not waiting:
            return good
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


class Talk(QuietHandler):
    """One connection, with one request on it."""

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        """Answer as told."""
        owner: MisbehavingServer = self.owner
        self.close_connection = True
        path = unquote(self.path)
        headers = self.headers
        owner.asked.append(
            Asked(time.monotonic(), path, headers.get("Range") or "", headers.get("If-Range") or "")
        )
        owner.next_answer(path)(self, owner.files.get(path, b""))

    def start(self, status: int, **headers: str) -> None:
        """Send the status line and the headers; underscores in their names become hyphens."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()

    def send(self, data: bytes) -> None:
        """Send a part of the body."""
        self.wfile.write(data)
        self.wfile.flush()

    def break_off(self) -> None:
        """Reset the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def is_stopping(self) -> bool:
        """Return whether the test is over."""
        stopping: threading.Event = self.owner.stopping
        return stopping.is_set()

    def wait_for_the_end(self) -> None:
        """Say no more until the test is over."""
        self.owner.stopping.wait()


def good(talk: Talk, data: bytes) -> None:
    """Send the file, or the part of it that was asked for."""
    if not data:
        talk.start(404, Content_Length="0")
        return
    etag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
    match = _RANGE.fullmatch(talk.headers.get("Range") or "")
    if match and (talk.headers.get("If-Range") or etag) == etag and int(match[1]) < len(data):
        part = data[int(match[1]) :]
        said = f"bytes {match[1]}-{len(data) - 1}/{len(data)}"
        talk.start(206, Content_Range=said, Content_Length=str(len(part)), ETag=etag)
        talk.send(part)
        return
    talk.start(200, Content_Length=str(len(data)), Content_Type="video/mp4", ETag=etag)
    talk.send(data)


def cut_with_length(talk: Talk, data: bytes) -> None:
    """Announce the whole length and close after half of it."""
    talk.start(200, Content_Length=str(len(data)), Content_Type="video/mp4")
    talk.send(data[: len(data) // 2])


def cut_chunked(talk: Talk, data: bytes) -> None:
    """Close within a chunk."""
    talk.start(200, Transfer_Encoding="chunked", Content_Type="video/mp4")
    talk.send(f"{len(data):x}\r\n".encode() + data[: len(data) // 2])


def cut_without_length(talk: Talk, data: bytes) -> None:
    """Send half of the file without a length, so that its end tells nothing."""
    talk.start(200, Content_Type="video/mp4")
    talk.send(data[: len(data) // 2])


def nothing(talk: Talk, data: bytes) -> None:
    """Send a body of no bytes."""
    del data
    talk.start(200, Content_Length="0", Content_Type="video/mp4")


def page(talk: Talk, data: bytes) -> None:
    """Send a web page as a video."""
    del data
    talk.start(200, Content_Length=str(len(PAGE)), Content_Type="video/mp4")
    talk.send(PAGE)


def reset(talk: Talk, data: bytes) -> None:
    """Break the connection in the middle of the body."""
    etag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
    talk.start(200, Content_Length=str(len(data)), Content_Type="video/mp4", ETag=etag)
    talk.send(data[: len(data) // 2])
    talk.break_off()


def reset_of_another_file(talk: Talk, data: bytes) -> None:
    """Break the connection in the middle of a file that is not there any more a moment later."""
    other = bytes(len(data))
    etag = f'"{hashlib.sha256(other).hexdigest()[:20]}"'
    talk.start(200, Content_Length=str(len(other)), Content_Type="video/mp4", ETag=etag)
    talk.send(other[: len(other) // 2])
    talk.break_off()


def endless(talk: Talk, data: bytes) -> None:
    """Send bytes without a length until nobody listens."""
    talk.start(200, Content_Type="video/mp4")
    while not talk.is_stopping():
        talk.send(data or PAGE)


def drip(talk: Talk, data: bytes) -> None:
    """Send a byte every second."""
    talk.start(200, Content_Length=str(len(data)), Content_Type="video/mp4")
    for place in range(len(data)):
        talk.send(data[place : place + 1])
        if talk.owner.stopping.wait(1.0):
            return


def silent(talk: Talk, data: bytes) -> None:
    """Begin a body and say no more."""
    talk.start(200, Content_Length=str(len(data)), Content_Type="video/mp4")
    talk.send(data[:10])
    talk.wait_for_the_end()


def status(code: int, *, retry_after: str | None = None) -> Answer:
    """Return the answer with a status and no file."""

    def answer(talk: Talk, data: bytes) -> None:
        del data
        more = {} if retry_after is None else {"Retry_After": retry_after}
        talk.start(code, Content_Length="0", **more)

    return answer


def redirect(target: str) -> Answer:
    """Return the answer that the file is elsewhere."""

    def answer(talk: Talk, data: bytes) -> None:
        del data
        talk.start(302, Content_Length="0", Location=target)

    return answer

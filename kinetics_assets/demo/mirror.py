"""The demo's mirror: a web server on this machine with the lists and the videos of the demo.

What it serves is generated once and kept in ``<root>/.demo-mirror``. It listens on 127.0.0.1 only,
on a port that the system chooses, and remembers every request.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from kinetics_assets.demo import clips
from kinetics_assets.io import atomic

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from kinetics_assets.demo.clips import DemoSource

MIRROR_VARIABLE = "KINETICS_DEMO_MIRROR"
"""Environment variable that tells every process of ours where the mirror is."""
CACHE_FOLDER = ".demo-mirror"
TARBALL = "demo.tar.gz"
_STAMP = "generator.txt"
_PAGE = (
    b"<!DOCTYPE html><html><head><title>Sorry</title></head><body>Come back later.</body></html>"
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request the mirror got."""

    method: str
    path: str
    status: int


def cache_folder(root: Path) -> Path:
    """Return the folder under `root` that keeps what the mirror serves."""
    return root / CACHE_FOLDER


@dataclass(frozen=True, slots=True)
class MissingVideo:
    """A video that the mirror's folder lacks."""

    source: DemoSource
    path: Path

    def make(self) -> None:
        """Generate it; it appears complete or not at all.

        Raises:
            EnvironmentFault: The disk is full or not writable.
        """
        with atomic.os_faults(f"generating {self.path}"):
            temp = atomic.temp_path(self.path, stage="demo")
            try:
                clips.encode(self.source, temp)
                atomic.publish_file(temp, self.path)
            finally:
                temp.unlink(missing_ok=True)


def generate(root: Path, *, classes: tuple[str, ...]) -> Path:
    """Return the mirror's folder under `root`, with every file of `classes` in it.

    Files that are there are kept, so that an interrupted call can simply be repeated.

    Raises:
        EnvironmentFault: The disk is full or not writable.
    """
    folder = prepare_folder(root, classes=classes)
    for video in missing_videos(folder, classes=classes):
        video.make()
    return folder


def prepare_folder(root: Path, *, classes: tuple[str, ...]) -> Path:
    """Return the mirror's folder under `root`, with the lists of `classes` in it.

    A folder that another version of the generator filled is emptied first.

    Raises:
        EnvironmentFault: The disk is full or not writable.
    """
    folder = cache_folder(root)
    with atomic.os_faults(f"preparing {folder}"):
        stamp = folder / _STAMP
        version = f"{clips.GENERATOR_VERSION}\n".encode()
        if _read(stamp) != version:
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            atomic.write_file(stamp, version)
        atomic.sweep_temps(folder)
        tarball = clips.tarball(clips.plan(classes))
        if _read(folder / TARBALL) != tarball:
            atomic.write_file(folder / TARBALL, tarball)
    return folder


def missing_videos(folder: Path, *, classes: tuple[str, ...]) -> list[MissingVideo]:
    """Return the videos of `classes` that the mirror's folder lacks."""
    wanted = [
        MissingVideo(source, video_path(folder, source.youtube_id))
        for source in clips.sources_of(clips.plan(classes))
        if source.fault in {None, clips.Fault.TRUNCATED}
    ]
    return [video for video in wanted if not video.path.exists()]


def video_path(folder: Path, youtube_id: str) -> Path:
    """Return the file of a video in the mirror's folder."""
    return folder / f"{youtube_id}.mp4"


class Mirror:
    """Serves a folder that `generate` made, from entering the context until leaving it."""

    def __init__(self, folder: Path) -> None:
        """Bind a free port of 127.0.0.1; nothing is answered before the context is entered."""
        self.folder = folder
        self.requests: list[Request] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.mirror = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )

    @property
    def address(self) -> str:
        """``http://127.0.0.1:<port>``, the value of `MIRROR_VARIABLE`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Start answering."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    """A server whose connections end with it."""

    daemon_threads = True
    block_on_close = False
    mirror: Mirror


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD, with byte ranges."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Send a file."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Send a file's headers."""
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - inherited names
        """Print nothing; requests are kept in `Mirror.requests`."""

    def _answer(self, *, with_body: bool) -> None:
        """Answer the request, and remember it."""
        content, content_type = self._content()
        if content is None:
            self._remember(HTTPStatus.NOT_FOUND)
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        span = _byte_range(self.headers.get("Range", ""), len(content))
        if span is None:
            self._remember(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start, stop = span
        is_part = "Range" in self.headers
        status = HTTPStatus.PARTIAL_CONTENT if is_part else HTTPStatus.OK
        self._remember(status)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()[:16]}"')
        if is_part:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        self.end_headers()
        if with_body:
            self.wfile.write(content[start:stop])

    def _content(self) -> tuple[bytes | None, str]:
        """Return the bytes and media type of the requested path, None when there are none."""
        name = self.path.partition("?")[0].removeprefix("/")
        folder = self.server.mirror.folder
        if name == TARBALL:
            return _read(folder / TARBALL), "application/gzip"
        youtube_id = name.removeprefix("videos/").removesuffix(".mp4")
        if name != f"videos/{youtube_id}.mp4" or youtube_id not in _faults():
            return None, ""
        if _faults()[youtube_id] is clips.Fault.DEAD_LINK:
            return None, ""
        if _faults()[youtube_id] is clips.Fault.HTML:
            return _PAGE, "video/mp4"
        return _read(video_path(folder, youtube_id)), "video/mp4"

    def _remember(self, status: HTTPStatus) -> None:
        """Add the request to the mirror's list."""
        self.server.mirror.requests.append(Request(self.command, self.path, int(status)))


@cache
def _faults() -> dict[str, clips.Fault | None]:
    """Return the fault, if any, of every video id of the whole demo."""
    sources = clips.sources_of(clips.plan(clips.chosen_classes()))
    return {source.youtube_id: source.fault for source in sources}


def _read(path: Path) -> bytes | None:
    """Return the bytes of a file, None when it does not exist."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _byte_range(header: str, size_bytes: int) -> tuple[int, int] | None:
    """Return (start, stop) of a Range header; the whole file when there is none.

    None stands for a range that the file does not have.
    """
    if not header.startswith("bytes=") or "," in header:
        return 0, size_bytes
    first, _, last = header.removeprefix("bytes=").partition("-")
    if not first:
        return (max(0, size_bytes - int(last)), size_bytes) if last.isdecimal() else None
    if not first.isdecimal() or int(first) >= size_bytes:
        return None
    stop = min(int(last) + 1, size_bytes) if last.isdecimal() else size_bytes
    return (int(first), stop) if stop > int(first) else None

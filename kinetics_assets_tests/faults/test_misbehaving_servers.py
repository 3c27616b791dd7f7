"""A server that misbehaves in every way: each fault ends in the status that docs/sources.md gives.

The same faults drive the mirror (an archive per class) and yt-dlp (an address per clip). While they
do, everything under a public name is watched: at no instant is there half a file.
"""

from __future__ import annotations

import io
import os
import random
import tarfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import MassFailure, RateLimited
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import (
    AnnotationSettings,
    Limits,
    Settings,
    SourceSettings,
    VideoRecipe,
)
from kinetics_assets.core.stages import Stage
from kinetics_assets.demo.clips import chosen_classes, encode, plan
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.faults import misbehaving as it
from kinetics_assets_tests.faults.misbehaving import Answer, MisbehavingServer
from kinetics_assets_tests.patience import be_patient
from kinetics_assets_tests.processes import until

LABEL = "massaging person's head"
VIDEO = "-0123456789"
"""An id that begins with a hyphen, as one in thirty does."""
CLIP = f"{VIDEO}_000000_000001"
SHORT_SECONDS = 0.2


@dataclass(frozen=True)
class Fault:
    """What the server does, and what becomes of the clip."""

    name: str
    answers: tuple[Answer, ...]
    """One after the other; the last is repeated."""
    mirror: tuple[Status, Reason | None]
    youtube: tuple[Status, Reason | None] | None
    """None: the step ends, as a test below says."""
    most_requests: int = 5
    """Of one source, in one step."""
    pause_seconds: float = 0.0
    """Least time between the first two requests."""
    patience: tuple[float, ...] = ()
    """Timeouts of the first connections in seconds; all others wait as long as they must."""


OK = (Status.OK, None)


def pending(reason: Reason) -> tuple[Status, Reason]:
    """Return the verdict of a clip that will be tried again."""
    return Status.PENDING, reason


def lost(reason: Reason) -> tuple[Status, Reason]:
    """Return the verdict of a clip that is gone for good."""
    return Status.UNAVAILABLE, reason


_ELSEWHERE = "http://192.0.2.1/x"
FAULTS = [
    Fault("no fault", (it.good,), OK, OK, most_requests=2),
    # a transfer that breaks once is mended in the step, one that always breaks stays open
    Fault("cut, with its length, once", (it.cut_with_length, it.good), OK, OK),
    Fault("cut in a chunk, once", (it.cut_chunked, it.good), OK, OK),
    Fault("reset, once", (it.reset, it.good), OK, OK),
    Fault("reset, and another file when resumed", (it.reset_of_another_file, it.good), OK, OK),
    Fault("silent, once", (it.silent, it.good), OK, OK, patience=(SHORT_SECONDS,)),
    Fault("5xx burst", (it.status(500), it.status(503), it.good), OK, OK),
    Fault(
        "cut, with its length",
        (it.cut_with_length,),
        pending(Reason.TRUNCATED),
        pending(Reason.TRUNCATED),
    ),
    Fault(
        "cut in a chunk", (it.cut_chunked,), pending(Reason.TRUNCATED), pending(Reason.TRUNCATED)
    ),
    Fault(
        "cut, without a length",
        (it.cut_without_length,),
        pending(Reason.BAD_ARCHIVE),
        pending(Reason.TRUNCATED),
    ),
    Fault("reset", (it.reset,), pending(Reason.NETWORK), pending(Reason.NETWORK)),
    Fault(
        "silent",
        (it.silent,),
        pending(Reason.NETWORK),
        pending(Reason.NETWORK),
        patience=(SHORT_SECONDS,) * 9,
    ),
    Fault(
        "a byte a second",
        (it.drip,),
        pending(Reason.NETWORK),
        pending(Reason.NETWORK),
        patience=(SHORT_SECONDS,) * 9,
    ),
    Fault(
        "endless",
        (it.endless,),
        pending(Reason.BAD_ARCHIVE),
        (Status.CORRUPT, Reason.OVER_LIMIT),
    ),
    Fault("5xx", (it.status(503),), pending(Reason.SERVER_ERROR), pending(Reason.SERVER_ERROR)),
    # answers that are no video
    Fault("a page", (it.page,), pending(Reason.BAD_ARCHIVE), pending(Reason.NOT_MEDIA)),
    Fault("no bytes", (it.nothing,), pending(Reason.BAD_ARCHIVE), pending(Reason.EMPTY_FILE)),
    Fault("404", (it.status(404),), pending(Reason.NOT_AT_SOURCE), lost(Reason.GONE)),
    Fault("410", (it.status(410),), pending(Reason.NOT_AT_SOURCE), lost(Reason.GONE)),
    Fault("403", (it.status(403),), pending(Reason.FORBIDDEN), pending(Reason.FORBIDDEN)),
    # addresses that may not be asked
    *(
        Fault(
            f"redirect to {target.split(':')[0]}, {target.split('/')[2] or 'this machine'}",
            (it.redirect(target),),
            pending(Reason.ADDRESS_REFUSED),
            pending(Reason.ADDRESS_REFUSED),
        )
        for target in (
            _ELSEWHERE,
            "https://169.254.169.254/latest/meta-data",
            "http://[::1]:1/x",
            "ftp://127.0.0.1/x",
            "file:///etc/passwd",
        )
    ),
    # pauses that a server asks for
    Fault("429, wait 1 s", (it.status(429, retry_after="1"), it.good), OK, OK, pause_seconds=1.0),
    Fault("503, wait 1 s", (it.status(503, retry_after="1"), it.good), OK, OK, pause_seconds=1.0),
    Fault(
        "429, until a time that is over",
        (it.status(429, retry_after="Thu, 01 Jan 1970 00:00:00 GMT"), it.good),
        OK,
        OK,
    ),
    # a site that does not say for how long means the whole session; a file server means the moment
    Fault("429, unreadable", (it.status(429, retry_after="soon"), it.good), OK, None),
    Fault("429, no time", (it.status(429), it.good), OK, None),
]


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip of one second."""
    row = next(
        row
        for row in plan(chosen_classes(1))
        if row.source.fault is None and row.source.seconds == 1
    )
    path = tmp_path_factory.mktemp("payload") / "clip.mp4"
    encode(row.source, path)
    return path.read_bytes()


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    """A server of this machine."""
    with MisbehavingServer() as running:
        yield running


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pauses that no server asks for be short; how they grow is tested where they are."""
    monkeypatch.setattr("kinetics_assets.io.resume.backoff_seconds", lambda *_, **__: 0.01)
    monkeypatch.setattr("kinetics_assets.sources.youtube._BACKOFF_SECONDS", 0.01)


def archive_of(payload: bytes) -> bytes:
    """Return the archive of the class, with some weight that does not compress."""
    packed = io.BytesIO()
    ballast = random.Random(1).randbytes(200_000)
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in ((f"{CLIP}.mp4", payload), ("ballast.bin", ballast)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


@dataclass(frozen=True)
class Way:
    """How a clip is asked for."""

    name: str
    path: str
    """Of the file on the server."""
    sources: SourceSettings


def way_of(name: str, server: MisbehavingServer) -> Way:
    """Return the mirror or yt-dlp, set to ask `server`."""
    common = SourceSettings(
        order=(name,),
        loopback_hosts=(server.host,),
        timeout_seconds=120.0,
        max_wait_seconds=5.0,
        max_source_bytes=2 * 2**20,
        youtube_interval_seconds=0,
        youtube_canaries=(),
        connections=1,
    )
    if name == "mirror":
        path = f"/kinetics/600/train/{LABEL}.tar.gz"
        return Way(name, path, replace(common, mirror_url=server.url("/kinetics")))
    path = f"/{CLIP}.mp4"
    return Way(
        name,
        path,
        replace(
            common,
            youtube_url=server.url("/{id}_{start}_{end}.mp4"),
            youtube_extractors=("generic",),
        ),
    )


def order_for(way: Way, root: Path) -> ClassOrder:
    """Return the class with one clip, its list in place."""
    listed = root.parent / "train.csv"
    listed.write_text(
        f"label,youtube_id,time_start,time_end,split\n{LABEL},{VIDEO},0,1,train\n", encoding="utf-8"
    )
    root.mkdir()
    settings = Settings(
        root=root,
        dataset="kinetics600",
        annotations=AnnotationSettings(source=str(listed)),
        sources=way.sources,
        videos=VideoRecipe(min_duration_share=0.5),
        limits=Limits(workers=1, min_free_bytes=0),
    )
    run_annotations(settings)
    return ClassOrder(settings, Split.TRAIN, LABEL)


class Watch:
    """Looks at the public names of a dataset again and again, from a thread of its own."""

    def __init__(self, folder: Path, whole: bytes) -> None:
        """Watch `folder`, whose clips are all to be `whole`."""
        self.halves: list[str] = []
        self._folder, self._whole = folder, whole
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            for folder, below, names in os.walk(self._folder):
                below[:] = [name for name in below if not name.startswith(".")]
                for name in names:
                    if name.endswith(".mp4") and not name.startswith("."):
                        self._look_at(Path(folder, name))

    def _look_at(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            data = path.read_bytes()
            if data != self._whole:
                self.halves.append(f"{path}: {len(data)} bytes")


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        pytest.param(fault, name, id=f"{fault.name}-{name}")
        for fault in FAULTS
        for name in ("mirror", "youtube")
        if getattr(fault, name) is not None
    ],
)
def test_each_fault_ends_in_its_status(  # noqa: PLR0917 - fixtures
    fault: Fault,
    name: str,
    server: MisbehavingServer,
    payload: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The verdict is the documented one, nothing half is ever seen, and the server not hammered."""
    be_patient(monkeypatch, but=fault.patience)
    way = way_of(name, server)
    server.files[way.path] = archive_of(payload) if name == "mirror" else payload
    server.answers[way.path] = list(fault.answers)
    order = order_for(way, tmp_path / "root")
    with Watch(order.layout.base, payload) as watch:
        (row,) = run_stage(Stage.VIDEOS, order).rows
    assert (row.status, row.reason) == getattr(fault, name), row.reason_text
    assert watch.halves == []
    until(lambda: server.asked, "the server to note a request")
    asked = server.requests(way.path)
    assert 1 <= len(asked) <= fault.most_requests
    assert {one.path for one in server.asked} == {way.path}
    if fault.pause_seconds:
        assert asked[1].at - asked[0].at >= fault.pause_seconds
    check_traces(order, row, payload)


def check_traces(order: ClassOrder, row: ManifestRow, payload: bytes) -> None:
    """Assert that a good clip is there as recorded, and that of a failed one there is nothing."""
    found = [path for path in order.layout.videos(order.split).rglob("*") if path.is_file()]
    if row.status is Status.OK:
        assert [path.read_bytes() for path in found] == [payload]
        assert order.layout.base / row.path == found[0]
    else:
        assert found == []
        assert row.tried
        assert row.tried[-1].reason is row.reason


@pytest.mark.parametrize("name", ["mirror", "youtube"])
@pytest.mark.parametrize("wish", ["1000000000", "Fri, 01 Jan 2999 00:00:00 GMT", "6"])
def test_a_pause_that_is_too_long_ends_the_step(
    wish: str, name: str, server: MisbehavingServer, payload: bytes, tmp_path: Path
) -> None:
    """What is not sat out fails the step as the source's wish, with no verdict on the clip."""
    way = way_of(name, server)
    server.files[way.path] = payload
    server.answers[way.path] = [it.status(429, retry_after=wish)]
    order = order_for(way, tmp_path / "root")
    with pytest.raises(RateLimited):
        run_stage(Stage.VIDEOS, order)
    assert len(server.asked) == 1


@pytest.mark.parametrize("wish", ["soon", None])
@pytest.mark.parametrize("name", ["mirror", "youtube"])
def test_a_storm_of_429_ends_the_step(
    wish: str | None, name: str, server: MisbehavingServer, payload: bytes, tmp_path: Path
) -> None:
    """A server that always says 429 and never for how long is left alone after a few requests."""
    way = way_of(name, server)
    server.files[way.path] = payload
    server.answers[way.path] = [it.status(429, retry_after=wish)]
    order = order_for(way, tmp_path / "root")
    with pytest.raises((RateLimited, MassFailure)):
        run_stage(Stage.VIDEOS, order)
    assert 1 <= len(server.asked) <= 5


@pytest.mark.parametrize("name", ["mirror", "youtube"])
def test_what_healed_is_not_asked_again(
    name: str, server: MisbehavingServer, payload: bytes, tmp_path: Path
) -> None:
    """After a burst of faults a rerun asks for nothing and changes nothing."""
    way = way_of(name, server)
    server.files[way.path] = archive_of(payload) if name == "mirror" else payload
    server.answers[way.path] = [it.reset, it.good]
    order = order_for(way, tmp_path / "root")
    run_stage(Stage.VIDEOS, order)
    manifest = order.layout.manifest(order.split, Stage.VIDEOS, order.label)
    before, asked = manifest.read_bytes(), len(server.asked)
    run_stage(Stage.VIDEOS, order)
    assert (manifest.read_bytes(), len(server.asked)) == (before, asked)

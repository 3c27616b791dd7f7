"""Downloads that go on: what is asked again, what is never put together, when it is given up."""

from __future__ import annotations

import base64
import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from kinetics_assets.core.errors import (
    DiskFull,
    DownloadFailed,
    EmptyFile,
    Gone,
    KineticsError,
    NetworkFailure,
    OverLimit,
    RateLimited,
    ServerError,
    SourcePaused,
    Truncated,
)
from kinetics_assets.io.answers import FetchLimits
from kinetics_assets.io.egress import Egress
from kinetics_assets.io.fetch import Fetched
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.io.resume import Retries, fetch_resumable, sweep_partials
from kinetics_assets_tests.patience import be_patient
from kinetics_assets_tests.processes import until
from kinetics_assets_tests.range_server import RangeServer, Spoilt, etag_of

TOP = Path(__file__).parents[2]
MIB = 2**20
BODY = bytes(range(256)) * 4096 * 3
"""Three MiB."""
PATH = "/a b/file.tar.gz"
QUICK = Retries(attempts=3, most_requests=8, base_seconds=0.01, cap_seconds=0.01)
PATIENT = FetchLimits(timeout_seconds=120, total_seconds=600)
"""A fault is to be met, not a limit, however slow the machine is."""
NOW = 1_700_000_000.0
"""Seconds since 1970 on the clock of the host's pace, which only sleeping moves."""
Get = Callable[..., Fetched]


@pytest.fixture
def server() -> Iterator[RangeServer]:
    """A server with one file."""
    with RangeServer({PATH: BODY}) as running:
        yield running


@pytest.fixture
def slept() -> list[float]:
    """Pauses that were slept, in seconds."""
    return []


@pytest.fixture
def get(server: RangeServer, tmp_path: Path, slept: list[float]) -> Get:
    """Return a function that downloads the file; pauses pass at once."""
    pace = HostPace(
        server.host, folder=tmp_path / "pace", sleep=slept.append, clock=lambda: NOW + sum(slept)
    )

    def run(*, retries: Retries = QUICK, limits: FetchLimits | None = None) -> Fetched:
        return fetch_resumable(
            server.url(PATH),
            tmp_path / "out" / "file.tar.gz",
            egress=Egress((), (server.host,)),
            pace=pace,
            limits=limits or PATIENT,
            retries=retries,
        )

    return run


def _spoil(server: RangeServer, *answers: Spoilt) -> None:
    server.spoilt[PATH] = list(answers)


def _names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "out").iterdir())


def test_an_undisturbed_download_is_one_request(
    server: RangeServer, get: Get, tmp_path: Path
) -> None:
    """The file is whole, what is told of it is true, and no part stays behind."""
    got = get()
    assert got.path.read_bytes() == BODY
    assert (got.size_bytes, got.sha256) == (len(BODY), hashlib.sha256(BODY).hexdigest())
    assert (got.etag, got.address) == (etag_of(BODY), server.url(PATH))
    assert [(one.range, one.status) for one in server.served] == [("", 200)]
    assert _names(tmp_path) == ["file.tar.gz"]


def test_a_broken_connection_is_continued(server: RangeServer, get: Get) -> None:
    """After a reset only the rest is asked for, with the ETag of the part that is there."""
    _spoil(server, Spoilt(cut_after=2 * MIB))
    assert get().path.read_bytes() == BODY
    first, second = server.served
    assert second.if_range == etag_of(BODY)
    offset = int(second.range.removeprefix("bytes=").removesuffix("-"))
    assert offset == 2 * MIB
    assert (second.status, second.sent) == (206, len(BODY) - offset)
    assert first.range == ""


def test_progress_renews_the_attempts(server: RangeServer, get: Get) -> None:
    """A line that breaks all the time but brings bytes each time gets there."""
    short = [Spoilt(cut_after=MIB + 9) for _ in range(2)]
    _spoil(server, *short)
    assert get(retries=replace(QUICK, attempts=2)).path.read_bytes() == BODY
    assert len(server.served) == 3


def test_a_changed_file_starts_anew(server: RangeServer, get: Get) -> None:
    """A new ETag on the way gives the new file, never the old start with the new end."""
    _spoil(server, Spoilt(cut_after=MIB), Spoilt(status=500), Spoilt(status=500))
    with pytest.raises(ServerError):
        get()
    server.files[PATH] = BODY[::-1]
    assert get().path.read_bytes() == BODY[::-1]
    last = server.served[-1]
    assert last.range
    assert (last.status, last.sent) == (200, len(BODY))


@pytest.mark.parametrize(
    "answer",
    [
        Spoilt(ignore_range=True),
        Spoilt(headers={"Content-Range": f"bytes 5-{len(BODY) - 1}/{len(BODY)}"}),
        Spoilt(headers={"Content-Range": ""}),
        Spoilt(headers={"ETag": '"other"'}),
        Spoilt(status=416),
    ],
    ids=["200", "other part", "no part named", "other file", "416"],
)
def test_an_answer_that_does_not_continue_is_not_appended(
    server: RangeServer, get: Get, answer: Spoilt
) -> None:
    """Whatever comes instead of the part asked for, the file is that of the server."""
    _spoil(server, Spoilt(cut_after=MIB), answer)
    assert get().path.read_bytes() == BODY
    assert len(server.served) <= 3
    assert server.served[-1].status == 200


def test_a_part_tells_the_length_that_the_first_answer_did_not(
    server: RangeServer, get: Get
) -> None:
    """A 206 that ends early is no end of the file, though nothing before it told the length."""
    said = f"bytes {MIB}-{2 * MIB - 1}/{len(BODY)}"
    _spoil(
        server,
        Spoilt(headers={"Content-Length": ""}, cut_after=MIB),
        Spoilt(body=BODY[: 2 * MIB], headers={"Content-Range": said}),
    )
    got = get()
    assert got.path.read_bytes() == BODY
    asked = [(one.range, one.status) for one in server.served]
    assert asked[:2] == [("", 200), (f"bytes={MIB}-", 206)]
    assert (f"bytes={2 * MIB}-", 206) in asked


@pytest.mark.parametrize(
    "said", [f"bytes {MIB}-{2 * MIB - 1}/*", f"bytes {MIB}-{2 * MIB - 1}/{2 * MIB - 1}"]
)
def test_a_part_of_a_file_of_no_known_length_is_not_appended(
    server: RangeServer, get: Get, said: str
) -> None:
    """Where no answer tells the length, or one that cannot be, the file is fetched anew."""
    _spoil(
        server,
        Spoilt(headers={"Content-Length": ""}, cut_after=MIB),
        Spoilt(body=BODY[: 2 * MIB], headers={"Content-Range": said}),
    )
    assert get().path.read_bytes() == BODY
    assert "" in [one.range for one in server.served[2:]]


def test_without_a_validator_nothing_is_continued(server: RangeServer, get: Get) -> None:
    """A server that gives no ETag and no date is asked for the whole file again."""
    _spoil(server, Spoilt(cut_after=MIB, headers={"ETag": ""}), Spoilt(headers={"ETag": ""}))
    assert get().path.read_bytes() == BODY
    assert [one.range for one in server.served] == ["", ""]


def test_a_killed_download_goes_on_in_another_process(
    server: RangeServer, get: Get, tmp_path: Path
) -> None:
    """SIGKILL leaves a hidden part and no file; the next process fetches only the rest."""
    _spoil(server, Spoilt(stall_after=2 * MIB))
    code = (
        "import sys, pathlib; from kinetics_assets.io.egress import Egress;"
        "from kinetics_assets.io.host_pace import HostPace;"
        "from kinetics_assets.io.resume import fetch_resumable;"
        "fetch_resumable(sys.argv[1], pathlib.Path(sys.argv[2]), egress=Egress((), (sys.argv[3],)),"
        " pace=HostPace(sys.argv[3], folder=pathlib.Path(sys.argv[4])))"
    )
    target = tmp_path / "out" / "file.tar.gz"
    arguments = [server.url(PATH), target, server.host, tmp_path / "pace"]
    with subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], cwd=TOP) as child:
        assert server.stalled.wait(60)
        part = target.with_name(".part-file.tar.gz")
        until(lambda: part.exists() and part.stat().st_size == 2 * MIB, "the part to be written")
        os.kill(child.pid, signal.SIGKILL)
    assert not target.exists()
    assert get().path.read_bytes() == BODY
    last = server.served[-1]
    assert (last.range, last.status, last.sent) == (f"bytes={2 * MIB}-", 206, MIB)
    assert _names(tmp_path) == ["file.tar.gz"]


def test_a_part_of_another_address_is_not_used(
    server: RangeServer, get: Get, tmp_path: Path
) -> None:
    """Bytes without a note, or with that of another address, are thrown away."""
    out = tmp_path / "out"
    out.mkdir()
    (out / ".part-file.tar.gz").write_bytes(b"old" * 500)
    assert get().path.read_bytes() == BODY
    assert server.served[0].range == ""


def test_a_burst_of_server_errors_heals(server: RangeServer, get: Get, slept: list[float]) -> None:
    """Errors are waited out with pauses; the number of requests is that of the answers."""
    _spoil(server, Spoilt(status=503), Spoilt(status=500))
    assert get().path.read_bytes() == BODY
    assert len(server.served) == 3
    assert len(slept) == 2


@pytest.mark.parametrize(
    ("answers", "leaf", "requests"),
    [
        ([Spoilt(status=500)] * 9, ServerError, 3),
        ([Spoilt(cut_after=10)] * 9, NetworkFailure, 3),
        ([Spoilt(body=BODY[:99], headers={"Content-Length": "200"})] * 9, Truncated, 3),
        ([Spoilt(status=404)], Gone, 1),
        ([Spoilt(body=b"")], EmptyFile, 1),
        ([Spoilt(headers={"Content-Length": "-5"})], DownloadFailed, 1),
        ([Spoilt(status=429, headers={"Retry-After": "0"})] * 9, RateLimited, 3),
        ([Spoilt(status=429)] * 9, RateLimited, 3),
        ([Spoilt(status=503, headers={"Retry-After": "999999999999"})] * 9, RateLimited, 1),
    ],
)
def test_it_is_given_up_in_time(
    server: RangeServer,
    get: Get,
    tmp_path: Path,
    *,
    answers: list[Spoilt],
    leaf: type[KineticsError],
    requests: int,
) -> None:
    """Each fault ends in its error after a bounded number of requests, and no file appears."""
    _spoil(server, *answers)
    with pytest.raises(leaf):
        get()
    assert len(server.served) == requests
    assert not (tmp_path / "out" / "file.tar.gz").exists()


def test_a_pause_asked_for_is_kept(server: RangeServer, get: Get, slept: list[float]) -> None:
    """A short Retry-After is sat out before the next request; a long one is told to the caller."""
    _spoil(server, Spoilt(status=503, headers={"Retry-After": "90"}))
    assert get().path.read_bytes() == BODY
    assert sum(slept) == pytest.approx(90)
    _spoil(server, Spoilt(status=429, headers={"Retry-After": "301"}))
    with pytest.raises(RateLimited) as caught:
        get()
    assert caught.value.retry_after_seconds == 301
    assert len(server.served) == 3


def test_a_paused_host_is_not_asked(server: RangeServer, get: Get, tmp_path: Path) -> None:
    """While the host's breaker is open no request leaves the machine."""
    HostPace(server.host, folder=tmp_path / "pace", clock=lambda: NOW).pause(3600, cause="a test")
    with pytest.raises(SourcePaused):
        get()
    assert server.served == []


@pytest.mark.parametrize(
    "limits",
    [
        replace(PATIENT, max_bytes=MIB),
        replace(PATIENT, max_bytes=len(BODY) - 1),
    ],
)
def test_too_large_a_file_is_not_kept(
    server: RangeServer, get: Get, tmp_path: Path, limits: FetchLimits
) -> None:
    """A file above the cap is refused by its announced length, or while it comes without one."""
    with pytest.raises(OverLimit):
        get(limits=limits)
    _spoil(server, Spoilt(headers={"Content-Length": ""}))
    with pytest.raises(OverLimit):
        get(limits=limits)
    assert _names(tmp_path) == []


def test_a_silent_server_is_left(
    server: RangeServer, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that stops is broken off when it was silent for too long, and asked for again."""
    be_patient(monkeypatch, but=[0.2])
    _spoil(server, Spoilt(stall_after=MIB))
    assert get().path.read_bytes() == BODY
    until(lambda: len(server.served) == 2, "the server to note both requests")


def test_a_slow_server_is_left(
    server: RangeServer, get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body below the least rate is broken off, and asked for again where it stopped.

    By a clock that is days ahead as soon as the first block was written, and then stands still.
    """
    part = tmp_path / "out" / ".part-file.tar.gz"
    clock = SimpleNamespace(monotonic=lambda: 1e6 * (part.exists() and part.stat().st_size > 0))
    monkeypatch.setattr("kinetics_assets.io.answers.time", clock)
    limits = replace(PATIENT, total_seconds=1e9, min_bytes_per_second=1000)
    assert get(limits=limits).path.read_bytes() == BODY
    first, second = server.served
    assert (first.range, second.status) == ("", 206)
    assert second.sent == len(BODY) - int(second.range.removeprefix("bytes=").removesuffix("-"))


@pytest.mark.parametrize("algorithm", ["Content-MD5", "x-goog-hash", "x-amz-checksum-sha256", "s3"])
def test_a_damaged_body_is_noticed_by_the_stated_checksum(
    server: RangeServer, get: Get, algorithm: str
) -> None:
    """Bytes of the right length that are not those of the server's checksum are fetched again."""
    md5 = hashlib.md5(BODY, usedforsecurity=False)
    server.headers = {
        "Content-MD5": {"Content-MD5": base64.b64encode(md5.digest()).decode()},
        "x-goog-hash": {
            "x-goog-hash": f"crc32c=AAAA,md5={base64.b64encode(md5.digest()).decode()}"
        },
        "x-amz-checksum-sha256": {
            "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(BODY).digest()).decode()
        },
        "s3": {"Server": "AmazonS3", "x-amz-request-id": "1", "ETag": f'"{md5.hexdigest()}"'},
    }[algorithm]
    bad = Spoilt(body=BODY[:-1] + b"x")
    _spoil(server, bad)
    assert get().path.read_bytes() == BODY
    assert len(server.served) == 2
    _spoil(server, *[bad] * 9)
    with pytest.raises(DownloadFailed, match="damaged"):
        get()


def test_only_stale_parts_are_swept(tmp_path: Path) -> None:
    """A part that somebody may go on with stays, an old one goes with its note."""
    for name in ("old", "new"):
        (tmp_path / f".part-{name}").write_bytes(b"x")
        (tmp_path / f".part-{name}.resume").write_bytes(b"{}")
        (tmp_path / f".tmp-file-{name}-1.resume").write_bytes(b"{")
    (tmp_path / "file").write_bytes(b"x")
    for path in tmp_path.glob("*old*"):
        os.utime(path, (1, 1))
    assert sweep_partials(tmp_path) == 1
    left = [".part-new", ".part-new.resume", ".tmp-file-new-1.resume", "file"]
    assert sorted(p.name for p in tmp_path.iterdir()) == left


def test_a_full_disk_is_the_machines_fault_and_what_came_is_kept(
    server: RangeServer, get: Get, tmp_path: Path
) -> None:
    """No room stops the step without a retry or a verdict; with room the same call goes on."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, before[1]))
        with pytest.raises(DiskFull):
            get()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert len(server.served) == 1
    assert not (tmp_path / "out" / "file.tar.gz").exists()
    assert get().path.read_bytes() == BODY
    assert server.served[-1].range == f"bytes={MIB}-"

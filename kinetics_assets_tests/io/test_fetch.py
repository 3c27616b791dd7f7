"""The one download function, against a real server that misbehaves."""

from __future__ import annotations

import errno
import hashlib
import resource
import shutil
import signal
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from kinetics_assets.core.errors import (
    AddressRefused,
    DiskFull,
    DownloadFailed,
    EmptyFile,
    Forbidden,
    Gone,
    KineticsError,
    NetworkFailure,
    NetworkMisconfigured,
    OverLimit,
    RateLimited,
    ServerError,
    Truncated,
)
from kinetics_assets.io.egress import Egress
from kinetics_assets.io.fetch import FetchLimits, fetch
from kinetics_assets_tests.processes import until
from kinetics_assets_tests.servers import BODY, FaultServer

PATIENT = FetchLimits(timeout_seconds=120.0, total_seconds=600.0, max_bytes=1_000_000)
"""A fault is to be met, not a limit, however slow the machine is."""
IMPATIENT = replace(PATIENT, timeout_seconds=0.2, total_seconds=0.4)
"""For servers that would never end; whatever of it is over first, the verdict is the same."""


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that misbehaves by path."""
    with FaultServer(files={"/a/list.csv": BODY}) as running:
        yield running


def _egress(server: FaultServer) -> Egress:
    """Return rules that allow the server and nothing else."""
    return Egress((), (server.host,))


def test_a_good_file_is_stored_whole(server: FaultServer, tmp_path: Path) -> None:
    """The file has the bytes; digest, size, tag and address are told; one request is made."""
    target = tmp_path / "deep" / "list.csv"
    got = fetch(server.url("/a/list.csv?key=hunter2"), target, egress=_egress(server))
    assert target.read_bytes() == BODY
    assert (got.sha256, got.size_bytes) == (hashlib.sha256(BODY).hexdigest(), len(BODY))
    assert (got.path, got.etag) == (target, '"e1"')
    assert got.address == server.url("/a/list.csv?key=...")
    assert [asked.method for asked in server.requests] == ["GET"]
    assert [path.name for path in target.parent.iterdir()] == ["list.csv"]


@pytest.mark.parametrize(
    ("path", "leaf"),
    [
        ("/status-404/x", Gone),
        ("/status-410/x", Gone),
        ("/status-403/x", Forbidden),
        ("/status-429/x", RateLimited),
        ("/status-500/x", ServerError),
        ("/status-503/x", ServerError),
        ("/status-418/x", DownloadFailed),
        ("/short-length/x", Truncated),
        ("/short-chunked/x", Truncated),
        ("/empty/x", EmptyFile),
        ("/reset/x", NetworkFailure),
        ("/endless/x", OverLimit),
        ("/silent/x", NetworkFailure),
        ("/drip/x", NetworkFailure),
    ],
)
def test_each_misbehaviour_has_its_error_and_leaves_nothing(
    server: FaultServer, tmp_path: Path, path: str, leaf: type[KineticsError]
) -> None:
    """No bad answer is stored, not even under a temporary name, and an old file stays as it was."""
    target = tmp_path / "x"
    target.write_bytes(b"old")
    limits = IMPATIENT if path in {"/silent/x", "/drip/x"} else PATIENT
    with pytest.raises(leaf):
        fetch(server.url(path), target, egress=_egress(server), limits=limits)
    until(lambda: server.asked(path), "the server to note the request")
    assert server.asked(path) == ["GET"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("what", ["status", "headers", "continue"])
def test_the_time_is_over_while_headers_are_read_too(
    server: FaultServer, tmp_path: Path, what: str
) -> None:
    """A server that drips what comes before the body, each byte in time, holds nobody."""
    limits = replace(PATIENT, total_seconds=0.4)
    with pytest.raises(NetworkFailure, match=r"was not done after 0\.4 s"):
        fetch(server.url(f"/drip-{what}/x"), tmp_path / "x", egress=_egress(server), limits=limits)
    server.redirects["/start"] = f"/drip-{what}/x"
    with pytest.raises(NetworkFailure, match=r"was not done after 0\.4 s"):
        fetch(server.url("/start"), tmp_path / "x", egress=_egress(server), limits=limits)
    assert server.dripped == []


def test_a_pause_asked_for_is_told(server: FaultServer, tmp_path: Path) -> None:
    """The message of a 429 has the server's Retry-After."""
    with pytest.raises(RateLimited, match="120"):
        fetch(server.url("/status-429/x"), tmp_path / "x", egress=_egress(server))


def test_an_announced_size_over_the_cap_is_not_downloaded(
    server: FaultServer, tmp_path: Path
) -> None:
    """A length above the cap ends it before the first byte of the body."""
    with pytest.raises(OverLimit, match=r"has 10240 bytes"):
        fetch(
            server.url("/a/list.csv"),
            tmp_path / "x",
            egress=_egress(server),
            limits=FetchLimits(max_bytes=10_239),
        )


def test_redirects_are_followed_within_the_list(server: FaultServer, tmp_path: Path) -> None:
    """A redirect on a listed host is followed, and the address told is where it ended."""
    server.redirects["/start"] = "/a/list.csv"
    got = fetch(server.url("/start"), tmp_path / "x", egress=_egress(server))
    assert got.address == server.url("/a/list.csv")


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:1/x",
        "http://169.254.169.254/latest",
        "http://[::1]/x",
        "https://example.org/x",
        "file:///etc/passwd",
        "/start",
    ],
)
def test_a_redirect_out_of_the_list_is_refused(
    server: FaultServer, tmp_path: Path, target: str
) -> None:
    """Another port, host or scheme is refused before it is connected; a circle ends after five."""
    server.redirects["/start"] = target
    with pytest.raises(AddressRefused):
        fetch(server.url("/start"), tmp_path / "x", egress=_egress(server))
    assert len(server.requests) == (6 if target == "/start" else 1)


def test_a_second_server_is_not_reached_by_redirect(tmp_path: Path) -> None:
    """A server on another port of this machine gets no request."""
    with FaultServer(files={"/x": BODY}) as other, FaultServer() as first:
        first.redirects["/x"] = other.url("/x")
        with pytest.raises(AddressRefused):
            fetch(first.url("/x"), tmp_path / "x", egress=_egress(first))
        assert len(first.requests) == 1
        assert not other.requests


def test_a_full_disk_is_the_machines_fault(server: FaultServer, tmp_path: Path) -> None:
    """Running out of room raises an environment fault and leaves no temporary file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        with pytest.raises(DiskFull) as caught:
            fetch(server.url("/a/list.csv"), tmp_path / "x", egress=_egress(server))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """A self-signed certificate is the network's fault; there is no switch to accept it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run(
        [*command, "-keyout", key, "-out", certificate, "-days", "2"],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as https:
        https.socket = context.wrap_socket(https.socket, server_side=True)
        thread = threading.Thread(target=https.handle_request, daemon=True)
        thread.start()
        host = f"127.0.0.1:{https.server_address[1]}"
        with pytest.raises(NetworkMisconfigured, match="certificate"):
            fetch(f"https://{host}/", tmp_path / "x", egress=Egress((), (host,)))
        thread.join()
    assert not (tmp_path / "x").exists()

"""Who we are to a site: cookies and proxies; and that nobody else learns of it."""

from __future__ import annotations

import hashlib
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.errors import (
    DownloadFailed,
    KineticsError,
    LoginRequired,
    NetworkDown,
    NetworkFailure,
    NetworkMisconfigured,
    SettingsError,
)
from kinetics_assets.io.egress import Egress
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.guard import Guard
from kinetics_assets.sources.youtube import YouTubeSource
from kinetics_assets.sources.youtube_cookies import read_cookies
from kinetics_assets.sources.youtube_proxy import Proxy
from kinetics_assets_tests.connect_proxy import ConnectProxy
from kinetics_assets_tests.video_site import MP4, Reply, VideoSite, know_the_site

ID = "-aaaaaaaaaa"
CLIP = ClipId(ID, 1, 11)
SECRET, NEW_SECRET, PASSWORD = "canary-cookie-5151", "canary-cookie-6262", "canary pass/7373"
QUOTED = "canary%20pass%2F7373"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[VideoSite]:
    """A site with one video, whose extractor is known."""
    know_the_site(monkeypatch)
    with VideoSite() as running:
        running.describes(ID, {"url": running.has("/x.mp4"), "ext": "mp4"})
        yield running


@pytest.fixture
def cookies(tmp_path: Path) -> Path:
    """A cookie file for 127.0.0.1 with a session cookie and one for other hosts."""
    path = tmp_path / "cookies.txt"
    path.write_text(
        "# Netscape HTTP Cookie File\n\n"
        f"#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tSID\t{SECRET}\n"
        "example.org\tFALSE\t/\tTRUE\t4102444800\tother\telsewhere\n"
    )
    return path


def _get(source: YouTubeSource, scratch: Path) -> Found | KineticsError:
    """Return the answer for the clip, raised or not."""
    try:
        return source.fetch([CLIP], label="", scratch=scratch)[CLIP]
    except KineticsError as error:
        return error


def _everything(error: BaseException) -> str:
    """Return all that a traceback of `error` would show, and its attributes."""
    told = "".join(traceback.format_exception(error))
    return f"{told}{error!r}{vars(error)}{error.args}"


def test_cookies_are_sent_and_their_file_never_changes(
    site: VideoSite, cookies: Path, tmp_path: Path
) -> None:
    """Two workers use one file at a time; what the site sets stays in each one's own copy.

    yt-dlp writes the cookies that it ends with into the file that it was given.
    """
    before = hashlib.sha256(cookies.read_bytes()).digest(), cookies.stat().st_mtime_ns
    new = {"Set-Cookie": f"NEW={NEW_SECRET}; Path=/; Max-Age=9999"}
    site.replies["/x.mp4"] = [Reply(MP4, headers=new)]
    source = site.source(youtube_cookies=cookies)
    scratches = [tmp_path / str(number) for number in range(2)]
    answers: list[Found | KineticsError] = []

    def work(scratch: Path) -> None:
        scratch.mkdir()
        answers.extend(_get(source, scratch) for _ in range(2))
        source._session().close()

    threads = [threading.Thread(target=work, args=[scratch]) for scratch in scratches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(answer) for answer in answers] == [Found] * 4
    assert all(f"SID={SECRET}" in sent for sent in site.cookies)
    assert "elsewhere" not in str(site.cookies)
    assert sum(NEW_SECRET in sent for sent in site.cookies) == 4  # the second video of each worker
    assert (hashlib.sha256(cookies.read_bytes()).digest(), cookies.stat().st_mtime_ns) == before
    written = [
        path.read_bytes()
        for scratch in scratches
        for path in scratch.rglob("*.*")
        if path.is_file()
    ]
    assert len(written) == 4
    assert not [data for data in written if SECRET.encode() in data]


@pytest.mark.parametrize("echo", ["{} is odd", "Please sign in as {}", "Unable to find {} at {}"])
def test_no_cookie_is_in_any_error(
    site: VideoSite, cookies: Path, tmp_path: Path, echo: str
) -> None:
    """A page that quotes our cookies, as read or as just set, does not bring them into a text."""
    site.describes(ID, {"says": echo.format(SECRET, NEW_SECRET), "warns": [f"see {NEW_SECRET}"]})
    (reply,) = site.replies[f"/watch/{ID}"]
    new = {"Set-Cookie": f"NEW={NEW_SECRET}; Path=/"}
    site.replies[f"/watch/{ID}"] = [Reply(reply.body, headers=new)]
    error = _get(site.source(youtube_cookies=cookies), tmp_path)
    assert isinstance(error, DownloadFailed | LoginRequired)
    assert echo.split("{}")[-2][-4:] in error.message
    assert SECRET not in _everything(error)
    assert NEW_SECRET not in _everything(error)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f'[{{"name": "SID", "value": "{SECRET}"}}]',
        f"# Netscape HTTP Cookie File\nx.org FALSE / TRUE 0 SID {SECRET}\n",
        f"# Netscape HTTP Cookie File\nx.org\tFALSE\t/\tTRUE\tsoon\tSID\t{SECRET}\n",
        f"x.org\tFALSE\t/\tTRUE\t0\tSID\t{SECRET}\n",
        None,
    ],
)
def test_a_cookie_file_that_is_none_is_a_setting_to_mend(
    site: VideoSite, tmp_path: Path, text: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is refused before the first request, and no line of it is shown; yt-dlp would print it."""
    path = tmp_path / "cookies.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match="youtube_cookies") as caught:
        site.source(youtube_cookies=path)
    assert SECRET not in _everything(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not site.asked


def test_secrets_have_no_repr(cookies: Path) -> None:
    """What may be printed by accident tells nothing."""
    assert SECRET not in repr(read_cookies(cookies))
    proxy = Proxy.of(f"http://user:{QUOTED}@127.0.0.1:1")
    assert proxy is not None
    assert proxy.password == PASSWORD
    assert PASSWORD not in repr(proxy)
    assert QUOTED not in repr(proxy)


def test_all_goes_through_the_proxy(site: VideoSite, tmp_path: Path) -> None:
    """Page and file come through tunnels that the proxy was asked for by user and password."""
    with ConnectProxy(credentials=f"user:{PASSWORD}") as proxy:
        found = _get(site.source(youtube_proxy=proxy.url(f"user:{QUOTED}")), tmp_path)
    assert isinstance(found, Found)
    assert found.path.read_bytes() == MP4
    assert proxy.asked == [site.host] * 2
    assert not proxy.refused


@pytest.mark.parametrize(
    ("answer", "leaf"),
    [
        (b"", NetworkMisconfigured),  # wants a password
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", NetworkMisconfigured),
        (b"SSH-2.0-OpenSSH\r\n\r\n", NetworkMisconfigured),
        (b"HTTP/1.1 200 OK", NetworkMisconfigured),
        (b"HTTP/1.1 501 Unsupported method\r\n\r\n", NetworkMisconfigured),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", NetworkDown),
    ],
)
def test_a_proxy_that_does_not_work_stops_the_source(
    site: VideoSite, tmp_path: Path, answer: bytes, leaf: type[KineticsError]
) -> None:
    """No clip is blamed for the proxy; nothing is asked without it; its password is not told."""
    with ConnectProxy(credentials="user:right", answer=answer) as proxy:
        error = _get(site.source(youtube_proxy=proxy.url(f"user:{QUOTED}")), tmp_path)
    assert isinstance(error, KineticsError)
    assert type(error) is leaf
    assert "proxy" in error.message
    assert error.remedy
    assert not site.asked
    told = _everything(error)
    assert not [s for s in (PASSWORD, QUOTED, *_sent(PASSWORD)) if s in told]


def _sent(password: str) -> tuple[str, ...]:
    proxy = Proxy.of("http://127.0.0.1:1")
    assert proxy is not None
    return Proxy(proxy.host, proxy.port, is_tls=False, user="user", password=password).secrets


def test_a_dead_proxy_is_named(site: VideoSite, tmp_path: Path) -> None:
    """A proxy that nobody listens at, or whose name is none, is a setting to look at."""
    with ConnectProxy() as gone:
        url = gone.url(f"user:{QUOTED}")
    for address in (url, f"http://user:{QUOTED}@nowhere.invalid:80"):
        error = _get(site.source(youtube_proxy=address), tmp_path)
        assert type(error) is NetworkMisconfigured
        assert "youtube_proxy" in str(error)
        assert QUOTED not in _everything(error)
    assert not site.asked


def test_a_silent_proxy_does_not_hang() -> None:
    """A proxy that takes the connection and says nothing meets the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        proxy = Proxy("127.0.0.1", deaf.getsockname()[1], is_tls=False)
        with pytest.raises(NetworkFailure, match="silent"):
            proxy.tunnel("example.org", 443, timeout_seconds=0.2)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 and a server's TLS that has it."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    both, key = folder / "both.pem", folder / "key.pem"
    made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    named = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [openssl, "req", *made, *named, "-keyout", key, "-out", both],
        check=True,
        capture_output=True,
        timeout=60,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(both, key)
    return both, server


def test_a_proxy_by_tls(
    site: VideoSite,
    tmp_path: Path,
    certificate: tuple[Path, ssl.SSLContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The way to the proxy can be encrypted; its certificate is checked."""
    trusted, server = certificate
    with ConnectProxy(tls=server) as proxy:
        url = proxy.url()
        error = _get(site.source(youtube_proxy=url), tmp_path)
        assert type(error) is NetworkMisconfigured
        assert "certificate" in error.message
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert isinstance(_get(site.source(youtube_proxy=url), tmp_path), Found)
    assert proxy.asked == [site.host] * 2


@pytest.mark.parametrize("is_tls", [False, True], ids=["http proxy", "https proxy"])
def test_a_site_by_tls_through_a_proxy(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch, *, is_tls: bool
) -> None:
    """The site is spoken to by TLS of its own, inside of whatever leads to the proxy."""
    trusted, server_tls = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    body = os.urandom(300_000)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            answer = self.rfile.read(size) + body
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Print nothing."""

    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site,
        ConnectProxy(tls=server_tls if is_tls else None) as proxy,
    ):
        site.socket = server_tls.wrap_socket(site.socket, server_side=True)
        thread = threading.Thread(target=site.serve_forever, daemon=True)
        thread.start()
        host = f"127.0.0.1:{site.server_address[1]}"
        guard = Guard(
            Egress((), (host,)),
            timeout_seconds=120,
            max_bytes=10**6,
            ends_at=time.monotonic() + 600,
            proxy=Proxy.of(proxy.url()),
        )
        connection = guard.connections(tls=True)(host)
        sent = b"x" * 200_000
        connection.request("POST", "/", body=sent)
        answer = connection.getresponse()
        assert answer.read() == sent + body
        connection.close()
        guard.close()
        site.shutdown()
        thread.join()
    assert proxy.asked == [host]

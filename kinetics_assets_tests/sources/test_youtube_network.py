"""yt-dlp under our network rules, where the generic extractor does not lead."""

from __future__ import annotations

import gc
import gzip
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kinetics_assets.core.errors import (
    AddressRefused,
    DownloadFailed,
    KineticsError,
    OverLimit,
)
from kinetics_assets.io.egress import Egress
from kinetics_assets.sources import youtube_network
from kinetics_assets.sources.guard import Guard
from kinetics_assets.sources.youtube_network import guarded_downloader
from kinetics_assets_tests.servers import BODY, PAGE, FaultServer


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with a file."""
    with FaultServer(files={"/x.mp4": BODY}) as running:
        yield running


@pytest.fixture
def guard(server: FaultServer) -> Iterator[Guard]:
    """Rules for `server`."""
    rules = Guard(
        Egress((), (server.host,)),
        timeout_seconds=120,
        max_bytes=1_000_000,
        ends_at=time.monotonic() + 600,
    )
    yield rules
    rules.close()


@pytest.mark.parametrize("protocol", ["rtmp", "m3u8", "mhtml", "websocket_frag", "f4m"])
def test_formats_that_need_another_program_are_refused(
    guard: Guard, server: FaultServer, tmp_path: Path, protocol: str
) -> None:
    """Programs like ffmpeg would not keep to our rules, so nothing is started and nothing asked."""
    info = {"url": server.url("/x.mp4"), "protocol": protocol, "ext": "mp4", "id": "x"}
    params = {"quiet": True, "hls_prefer_native": False}
    with (
        guarded_downloader(params, guard=guard) as downloader,
        pytest.raises(DownloadFailed, match="another program"),
    ):
        downloader.dl(str(tmp_path / "x.mp4"), info)
    assert guard.verdict is not None
    assert not server.requests


# yt-dlp does not close its part file when a piece fails
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("playlist", "refused"),
    [
        (b"#EXTM3U\n#EXTINF:1,\n/x.mp4\n#EXT-X-ENDLIST\n", None),
        (
            b'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="/key"\n#EXTINF:1,\n/x.mp4\n#EXT-X-ENDLIST\n',
            DownloadFailed,
        ),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/x.mp4\n#EXT-X-ENDLIST\n", AddressRefused),
    ],
    ids=["plain", "encrypted", "elsewhere"],
)
def test_pieces_of_a_stream_come_through_the_same_rules(
    guard: Guard,
    server: FaultServer,
    tmp_path: Path,
    playlist: bytes,
    refused: type[KineticsError] | None,
) -> None:
    """A stream in pieces is joined natively; what ffmpeg would be called for is refused."""
    server.files["/x.m3u8"] = playlist
    info = {"url": server.url("/x.m3u8"), "protocol": "m3u8_native", "ext": "mp4", "id": "x"}
    info |= {"http_headers": {}}  # type: ignore[dict-item] # a plain info of yt-dlp
    target = tmp_path / "x.mp4"
    params = {"quiet": True, "noprogress": True, "external_downloader": {"default": "native"}}
    params |= {"retries": 0, "fragment_retries": 0, "skip_unavailable_fragments": False}
    error: BaseException | None = None
    with guarded_downloader(params, guard=guard) as downloader:
        try:
            downloader.dl(str(target), info)
        except Exception as caught:  # noqa: BLE001 - yt-dlp wraps ours in its own
            error = caught
    if refused is None:
        assert error is None
        assert target.read_bytes() == BODY
    else:
        assert type(guard.verdict or error) is refused
        assert not target.exists()
    guard.verdict = None  # its traceback holds the file
    del error, downloader
    gc.collect()


def test_a_request_to_a_host_that_is_not_listed_is_not_sent(guard: Guard) -> None:
    """Whatever part of yt-dlp asks, and by whatever scheme, the guard is asked first."""
    with guarded_downloader({"quiet": True}, guard=guard) as downloader:
        for url in ("https://example.org/", "http://127.0.0.1:1/", "ftp://127.0.0.1/x", "data:,x"):
            with pytest.raises(Exception, match=r"may not be asked|[Uu]nsupported url scheme"):
                downloader.urlopen(url)
    assert type(guard.verdict) is AddressRefused


def test_proxies_of_the_environment_are_not_used(
    guard: Guard, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would connect for us, to addresses that nobody checked."""
    monkeypatch.setenv("http_proxy", "https://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    with guarded_downloader({"quiet": True}, guard=guard) as downloader:
        assert downloader.urlopen(server.url("/x.mp4")).read() == BODY


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_a_page_is_unpacked_within_bounds(
    server: FaultServer,
    guard: Guard,
    monkeypatch: pytest.MonkeyPatch,
    pack: Callable[[bytes], bytes],
) -> None:
    """Compressed pages are read; one that unpacks to too much is refused, not held in memory."""
    encoding = "gzip" if pack is gzip.compress else "deflate"
    server.files[f"/{encoding}"] = pack(PAGE)
    with guarded_downloader({"quiet": True}, guard=guard) as downloader:
        assert downloader.urlopen(server.url(f"/{encoding}")).read() == PAGE
        monkeypatch.setattr(youtube_network, "_MAX_PAGE_BYTES", len(PAGE) - 1)
        with pytest.raises(Exception, match="unpacks to more"):
            downloader.urlopen(server.url(f"/{encoding}"))


def test_an_announced_length_over_the_cap_is_not_read(server: FaultServer, guard: Guard) -> None:
    """A length above what is left of the budget ends the request at its headers."""
    guard.max_bytes = len(BODY) - 1
    with (
        guarded_downloader({"quiet": True}, guard=guard) as downloader,
        pytest.raises(Exception, match="more than"),
    ):
        downloader.urlopen(server.url("/x.mp4"))
    assert type(guard.verdict) is OverLimit


def test_what_is_built_on_in_yt_dlp_is_still_there() -> None:
    """The classes and methods that the guard overrides exist; a new yt-dlp may move them."""
    import yt_dlp.downloader.common
    from yt_dlp.networking import _urllib

    expected: list[tuple[Any, str]] = [
        (yt_dlp.YoutubeDL, "build_request_director"),
        (yt_dlp.YoutubeDL, "dl"),
        (yt_dlp.YoutubeDL, "_forceprint"),
        (yt_dlp.downloader.common.FileDownloader, "_hook_progress"),
        (_urllib.UrllibRH, "_create_instance"),
        (_urllib.UrllibRH, "_send"),
        (_urllib.UrllibRH, "_make_sslcontext"),
        (_urllib.HTTPHandler, "gz"),
        (_urllib.HTTPHandler, "deflate"),
        (_urllib.HTTPHandler, "http_open"),
        (_urllib.HTTPHandler, "https_open"),
        (_urllib.RedirectHandler, "redirect_request"),
    ]
    assert [name for owner, name in expected if not hasattr(owner, name)] == []

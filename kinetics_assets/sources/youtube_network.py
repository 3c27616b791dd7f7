"""yt-dlp held to our network rules: every request, redirect and connection is checked.

yt-dlp sends its requests through handlers that it picks from a list. A downloader made here has one
handler only, which asks a `Guard` before each request and each redirect, connects to the address
that was checked, and uses no proxy but the guard's. Other programs (ffmpeg, aria2c) would go round
it, so formats that need one are refused.

A downloader takes several ms to make, so it is kept for many videos; each has its own guard.

The classes are made inside functions because their bases are yt-dlp's, which is loaded late.
"""

from __future__ import annotations

import os
import threading
import urllib.request
import zlib
from functools import cache
from typing import Any
from urllib.parse import urljoin, urlsplit

from kinetics_assets.core.errors import DownloadFailed, KineticsError
from kinetics_assets.io.egress import MAX_REDIRECTS
from kinetics_assets.sources.guard import Guard

_MAX_PAGE_BYTES = 64 * 2**20
"""Most bytes that a compressed answer may unpack to; pages have about one MB."""
_TLS_CONTEXTS: dict[bool, Any] = {}
_TLS_GUARD = threading.Lock()


def guarded_downloader(params: dict[str, Any], *, guard: Guard) -> Any:  # noqa: ANN401 - no types
    """Return a `yt_dlp.YoutubeDL` with `params` whose every request goes through `guard`.

    Its attribute `guard` may be set to another one between two videos.
    """
    # Plugins are code from anywhere on the path; yt-dlp reads this when it starts.
    os.environ["YTDLP_NO_PLUGINS"] = "1"
    return _downloader_class()({**params, "proxy": ""}, guard)


@cache
def _downloader_class() -> Any:  # noqa: ANN401 - yt-dlp has no types
    """Return a YoutubeDL that has one request handler and starts no other program."""
    import yt_dlp
    from yt_dlp.downloader import get_suitable_downloader
    from yt_dlp.downloader.dash import DashSegmentsFD
    from yt_dlp.downloader.hls import HlsFD
    from yt_dlp.downloader.http import HttpFD

    class NativeHlsFD(HlsFD):
        """Refuses the streams that yt-dlp would hand to ffmpeg."""

        @classmethod
        def can_download(cls, manifest: str, *args: Any) -> bool:  # noqa: ANN401 - yt-dlp's types
            if "#EXT-X-KEY:METHOD=AES" in manifest or not super().can_download(manifest, *args):
                raise DownloadFailed("The stream needs ffmpeg to download.")
            return True

    class QuietHttpFD(HttpFD):
        """Computes no progress, which nobody is shown."""

        def _hook_progress(self, status: Any, info_dict: Any) -> None:  # noqa: ANN401 - yt-dlp's
            pass

    ours: dict[Any, Any] = {HlsFD: NativeHlsFD, HttpFD: QuietHttpFD}

    class GuardedYoutubeDL(yt_dlp.YoutubeDL):
        def __init__(self, params: dict[str, Any], guard: Guard) -> None:
            self.guard = guard
            super().__init__(params)

        def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:  # noqa: ANN401
            del handlers
            request_handler = _request_handler_class()
            director = super().build_request_director([request_handler], preferences)
            director.handlers[request_handler.RH_KEY].downloader = self
            return director

        def _forceprint(self, key: str, info_dict: Any) -> None:  # noqa: ANN401 - yt-dlp has no types
            """Work out nothing to print: for small files it would be a fifth of all the work."""

        def dl(self, name: str, info: Any, subtitle: bool = False, test: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002
            chosen = get_suitable_downloader(dict(info), self.params)
            if chosen in ours:
                return ours[chosen](self, self.params).download(name, dict(info), subtitle)
            if chosen is not DashSegmentsFD:
                protocol = str(info.get("protocol"))[:40]
                text = f"The format needs another program to download ({protocol})."
                raise self.guard.refuse(DownloadFailed(text))
            return super().dl(name, info, subtitle, test)

    return GuardedYoutubeDL


@cache
def _request_handler_class() -> Any:  # noqa: ANN401 - yt-dlp has no types
    """Return a request handler for http and https that asks its `guard`."""
    from yt_dlp.networking._urllib import UrllibRH
    from yt_dlp.networking.exceptions import RequestError

    opener_class, redirects_class = _opener_class(), _redirects_class()

    class GuardedRH(UrllibRH):
        _SUPPORTED_URL_SCHEMES = ("http", "https")
        downloader: Any

        def _create_instance(
            self,
            proxies: Any,  # noqa: ANN401, ARG002 - yt-dlp's signature
            cookiejar: Any,  # noqa: ANN401
            legacy_ssl_support: Any = None,  # noqa: ANN401
        ) -> urllib.request.OpenerDirector:
            opener = urllib.request.OpenerDirector()
            context = _tls_context(self, bool(legacy_ssl_support))
            for handler in (
                opener_class(self.downloader, context),
                urllib.request.HTTPCookieProcessor(cookiejar),
                urllib.request.UnknownHandler(),
                urllib.request.HTTPDefaultErrorHandler(),
                urllib.request.HTTPErrorProcessor(),
                redirects_class(self.downloader),
            ):
                opener.add_handler(handler)
            opener.addheaders = []
            return opener

        def _send(self, request: Any) -> Any:  # noqa: ANN401 - yt-dlp's own types
            try:
                return super()._send(request)
            except KineticsError as error:
                raise RequestError(cause=error) from error

    return GuardedRH


def _tls_context(handler: Any, is_legacy: bool) -> Any:  # noqa: ANN401, FBT001 - yt-dlp has no types
    """Return the process's one TLS context: to load the certificates of all authorities is slow."""
    with _TLS_GUARD:
        if is_legacy not in _TLS_CONTEXTS:
            made = handler._make_sslcontext(legacy_ssl_support=is_legacy)  # noqa: SLF001 - a base's
            _TLS_CONTEXTS[is_legacy] = made
        return _TLS_CONTEXTS[is_legacy]


@cache
def _opener_class() -> Any:  # noqa: ANN401 - yt-dlp has no types
    """Return a urllib handler that opens guarded connections."""
    from yt_dlp.networking._urllib import HTTPHandler

    class GuardedHandler(HTTPHandler):
        def __init__(self, downloader: Any, context: Any) -> None:  # noqa: ANN401 - yt-dlp, ssl
            super().__init__(context=context)
            self.downloader = downloader

        def http_open(self, req: Any) -> Any:  # noqa: ANN401 - urllib's own types
            return self.do_open(self.downloader.guard.connections(tls=False), req)

        def https_open(self, req: Any) -> Any:  # noqa: ANN401 - urllib's own types
            return self.do_open(
                self.downloader.guard.connections(tls=True), req, context=self._context
            )

        def http_request(self, req: Any) -> Any:  # noqa: ANN401 - urllib's own types
            self.downloader.guard.check(req.full_url)
            return super().http_request(req)

        https_request = http_request
        gz = staticmethod(lambda data: _inflate(data, zlib.MAX_WBITS | 16))
        deflate = staticmethod(lambda data: _inflate(data, zlib.MAX_WBITS))

    return GuardedHandler


@cache
def _redirects_class() -> Any:  # noqa: ANN401 - yt-dlp has no types
    """Return a urllib handler that follows few redirects, each checked."""
    from yt_dlp.networking._urllib import RedirectHandler

    class GuardedRedirects(RedirectHandler):
        max_redirections = MAX_REDIRECTS

        def __init__(self, downloader: Any) -> None:  # noqa: ANN401 - yt-dlp has no types
            self.downloader = downloader

        def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:  # noqa: ANN401
            target = headers.get("Location") or headers.get("URI") or ""
            self.downloader.guard.check(urljoin(req.full_url, target))
            return super().http_error_302(req, fp, code, msg, headers)

        http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

        def redirect_request(self, req: Any, *args: Any) -> Any:  # noqa: ANN401 - urllib's types
            new = super().redirect_request(req, *args)
            if urlsplit(new.full_url).netloc != urlsplit(req.full_url).netloc:
                new.headers.pop("Authorization", None)
            return new

    return GuardedRedirects


def _inflate(data: bytes, window_bits: int) -> bytes:
    """Return what `data` unpacks to.

    Raises:
        zlib.error: It is damaged, or unpacks to too much.
    """
    if not data:
        return data
    unpacker = zlib.decompressobj(window_bits)
    plain = unpacker.decompress(data, _MAX_PAGE_BYTES)
    if unpacker.unconsumed_tail:
        msg = f"the answer unpacks to more than {_MAX_PAGE_BYTES} bytes"
        raise zlib.error(msg)
    return plain

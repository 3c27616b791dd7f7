"""A video site on this machine: pages that describe videos, files, and an extractor for yt-dlp."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

import pytest
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.utils import ExtractorError

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.errors import KineticsError
from kinetics_assets.core.settings import SourceSettings
from kinetics_assets.sources import youtube_session
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.youtube import YouTubeSource
from kinetics_assets_tests.loopback import LoopbackServer, QuietHandler

MP4 = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 8
"""The beginning of something that may be an MP4."""
ID, CANARY = "-aaaaaaaaaa", "CANARYCANAR"
CLIPS = [ClipId(ID, 1, 11), ClipId(ID, 20, 30)]
Fetch = Callable[[YouTubeSource], Found | KineticsError]
"""Fetches the clips and returns their one answer, raised or not."""


@dataclass(frozen=True)
class Reply:
    """What the site answers."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class VideoSite(LoopbackServer):
    """Context manager; the site is up while it is entered."""

    replies: dict[str, list[Reply]] = field(default_factory=dict)
    """Path -> answers, one after the other; the last one stays."""
    asked: list[str] = field(default_factory=list)
    """Paths, in the order of arrival."""
    cookies: list[str] = field(default_factory=list)
    """The header of this name of each request."""
    sent_bytes: int = 0
    """Bytes of all bodies together."""
    allows_ranges: bool = False

    def handler(self) -> type[_Handler]:
        """Return what answers."""
        return _Handler

    def describes(self, youtube_id: str, *pages: dict[str, Any]) -> None:
        """Answer for a video with `pages`, one after the other: an info of yt-dlp, or ``says``."""
        replies = [Reply(json.dumps(page).encode()) for page in pages]
        self.replies[f"/watch/{youtube_id}"] = replies

    def has(self, path: str, body: bytes = MP4) -> str:
        """Serve a file and return its address."""
        self.replies[path] = [Reply(body)]
        return self.url(path)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        path = urlsplit(handler.path).path
        self.asked.append(path)
        self.cookies.append(handler.headers.get("Cookie", ""))
        left = self.replies.get(path) or [Reply(status=404)]
        reply = left.pop(0) if len(left) > 1 else left[0]
        body, status, headers = reply.body, reply.status, dict(reply.headers)
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        if asked and self.allows_ranges and status == 200:
            begin, end = int(asked[1]), min(int(asked[2]) + 1, len(body))
            usual = {"Content-Range": f"bytes {begin}-{end - 1}/{len(body)}"}
            body, status, headers = body[begin:end], 206, usual | headers
        self.sent_bytes += len(body)
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def settings(self, **changes: Any) -> SourceSettings:  # noqa: ANN401 - fields
        """Return settings under which only this site is asked, without a pace."""
        usual: dict[str, Any] = {
            "youtube_url": self.url("/watch/{id}"),
            "youtube_extractors": ("VideoSite",),
            "youtube_interval_seconds": 0.0,
            "youtube_canaries": (),
            "loopback_hosts": (self.host,),
            "timeout_seconds": 120.0,
        }
        return SourceSettings(**(usual | changes))

    def source(self, **changes: Any) -> YouTubeSource:  # noqa: ANN401 - fields
        """Return a source that asks this site only; its extractor must be known."""
        return YouTubeSource(self.settings(**changes))


class _Handler(QuietHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        self.owner.answer(self)


class VideoSiteIE(InfoExtractor):
    """Reads the pages of a `VideoSite`."""

    IE_NAME = "VideoSite"
    _VALID_URL = r"http://127\.0\.0\.1:\d+/watch/(?P<id>[\w-]{11})"

    def _real_extract(self, url: str) -> dict[str, Any]:
        video_id = self._match_id(url)
        page = self._download_json(url, video_id)
        for warning in page.pop("warns", ()):
            self.report_warning(warning)
        if "says" in page:
            raise ExtractorError(page["says"], expected=True)
        return {"id": video_id, "title": "a video"} | page


def info(url: str, **more: object) -> dict[str, object]:
    """Return a page that describes an MP4 at `url`."""
    return {"url": url, "ext": "mp4", **more}


def know_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let yt-dlp know the site's extractor; the rest of it is as always."""
    real = youtube_session.guarded_downloader

    def with_site(params: dict[str, Any], **keywords: Any) -> Any:  # noqa: ANN401 - yt-dlp's
        downloader = real(params, **keywords)
        downloader.add_info_extractor(VideoSiteIE())
        return downloader

    monkeypatch.setattr(youtube_session, "guarded_downloader", with_site)

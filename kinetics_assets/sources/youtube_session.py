"""One thread's yt-dlp, reused for many videos: descriptions and files, never a verdict.

yt-dlp is asked for a description first; the files are then fetched one by one. It would join
pictures and sound with a program of its own, which could go round our rules, so that is done
elsewhere.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinetics_assets.core.errors import (
    AddressRefused,
    DownloadFailed,
    EmptyFile,
    KineticsError,
    NotMedia,
    NotYet,
)
from kinetics_assets.core.settings import SourceSettings
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.io.egress import Egress
from kinetics_assets.sources.guard import Guard
from kinetics_assets.sources.local import SUFFIXES
from kinetics_assets.sources.youtube_cookies import read_cookies
from kinetics_assets.sources.youtube_errors import hide, kinetics_error
from kinetics_assets.sources.youtube_network import guarded_downloader
from kinetics_assets.sources.youtube_part import download_part
from kinetics_assets.sources.youtube_proxy import Proxy

FORMAT = "bv*[ext=mp4]+ba[ext=m4a]/b[ext=mp4]/bv*+ba/b/bv*"
"""Best pictures and best sound, as one file or two; an MP4 if there is a choice."""
_TOTAL_SECONDS = 3600.0
_BLOCK_BYTES = 1 << 18
_VIDEOS = 500
"""After so many videos a session begins anew, so that nothing in it grows for ever."""
_MATROSKA_START = b"\x1a\x45\xdf\xa3"
_NOT_YET = frozenset({"is_live", "is_upcoming", "post_live"})
_IN_FRAGMENTS = frozenset({"mp4", "m4a"})
_SUFFIX = re.compile(r"[a-z0-9]{1,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Download:
    """Files of one video."""

    video: Path
    sound: Path | None
    """The sound, if it is not in `video`."""
    starts_at_seconds: float = 0.0
    """Second of the video at which `video` begins."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there are none."""

    error: KineticsError
    has_description: bool
    """Whether the description came, so that it is the file that could not be had."""


@dataclass
class Session:
    """yt-dlp with one identity; to be used by one thread at a time."""

    settings: SourceSettings
    egress: Egress
    js_runtimes: dict[str, dict[str, str]] = field(default_factory=dict)
    _downloader: Any = field(default=None, repr=False)
    _heard: _Listener = field(init=False, repr=False)
    _secrets: tuple[str, ...] = field(default=(), repr=False)
    _videos: int = 0

    def __post_init__(self) -> None:
        """Begin without a downloader; it is made for the first video."""
        self._heard = _Listener()

    def download(
        self, url: str, folder: Path, *, span: tuple[float, float] | None = None
    ) -> Download | Failure:
        """Return the files of the video at `url`, or why there are none.

        Args:
            url: Address of the page or file.
            folder: Existing and empty; the files are put there.
            span: (start, end) of what is needed, in seconds. Of a long video only the part with it
                is fetched, where that can be had. None means all.
        """
        return self._attempt(url, folder, span)

    def look(self, url: str) -> KineticsError | None:
        """Return why there is no description of the video at `url`, None if there is one."""
        answer = self._attempt(url, None)
        return answer.error if isinstance(answer, Failure) else None

    def close(self) -> None:
        """Forget the identity and whatever was learned."""
        if self._downloader is not None:
            self._downloader.close()
        self._downloader, self._videos = None, 0

    def _attempt(
        self, url: str, folder: Path | None, span: tuple[float, float] | None = None
    ) -> Download | Failure:
        """Return the files, or why there are none; without a folder only the description."""
        guard = Guard(
            self.egress,
            timeout_seconds=self.settings.timeout_seconds,
            max_bytes=self.settings.max_source_bytes,
            ends_at=time.monotonic() + _TOTAL_SECONDS,
            proxy=Proxy.of(self.settings.youtube_proxy),
        )
        self._heard.forget()
        has_description = False
        answer = Download(Path(), None)
        error: KineticsError | None = None
        try:
            downloader = self._ready(guard)
            info = downloader.extract_info(url, download=False)
            parts = _parts(info, guard)
            has_description = True
            if folder is not None:
                if (info.get("duration") or 0) <= self.settings.youtube_whole_minutes * 60:
                    span = None
                files = [self._file(info, p, folder / f"{n}", span) for n, p in enumerate(parts)]
                (video, starts_at), *sound = files
                answer = Download(video, sound[0][0] if sound else None, starts_at)
        except KineticsError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001 - yt-dlp raises anything
            error = kinetics_error(
                failure, warnings=self._heard.warnings, secrets=self._all_secrets(guard)
            )
        finally:
            guard.close()
        if error is None and isinstance(guard.verdict, AddressRefused):
            return answer  # yt-dlp could do without what was refused
        error = guard.verdict or error
        if error is None:
            return answer
        return Failure(_without_secrets(error, self._all_secrets(guard)), has_description)

    def _ready(self, guard: Guard) -> Any:  # noqa: ANN401 - yt-dlp has no types
        """Return the downloader, under the rules of `guard`."""
        if self._videos >= _VIDEOS:
            self.close()
        if self._downloader is None:
            cookies = read_cookies(self.settings.youtube_cookies)
            self._secrets = cookies.values
            params = self._params() | {"cookiefile": cookies.copy()}
            self._downloader = guarded_downloader(params, guard=guard)
        self._downloader.guard = guard
        self._videos += 1
        return self._downloader

    def _all_secrets(self, guard: Guard) -> tuple[str, ...]:
        """Return what no message may hold: cookies as read and as they are now, passwords."""
        jar = self._downloader.cookiejar if self._downloader is not None else ()
        now = tuple(cookie.value for cookie in jar if cookie.value)
        return (*self._secrets, *now, *(guard.proxy.secrets if guard.proxy else ()))

    def _file(
        self,
        info: dict[str, Any],
        part: dict[str, Any],
        path: Path,
        span: tuple[float, float] | None,
    ) -> tuple[Path, float]:
        """Return one downloaded file, `path` with a suffix, and the second at which it begins.

        Raises:
            EmptyFile: It has no bytes.
            RuntimeError: There is none; with what yt-dlp said.
        """
        suffix = str(part.get("ext") or "").lower()
        path = path.with_suffix(f".{suffix if _SUFFIX.fullmatch(suffix) else 'bin'}")
        if span and suffix in _IN_FRAGMENTS and part.get("protocol") in {"http", "https"}:
            starts_at = download_part(self._downloader, part, path, span)
            if starts_at is not None:
                return path, starts_at
        whole = {name: value for name, value in info.items() if name != "requested_formats"}
        self._downloader.dl(str(path), whole | part)
        if not path.is_file() or path.is_symlink():
            said = " ".join([*self._heard.errors, *self._heard.warnings])
            raise RuntimeError(f"yt-dlp left no file. {said}")  # the rules find the cause in it
        with os_faults(f"reading {path}"), path.open("rb") as file:
            start = file.read(4)
        if not start:
            raise EmptyFile("The source sent no bytes.")
        if path.suffix in SUFFIXES:
            return path, 0.0
        return path.rename(path.with_suffix(".mkv" if start == _MATROSKA_START else ".mp4")), 0.0

    def _params(self) -> dict[str, Any]:
        """Return yt-dlp's options."""

        def only_media(info: dict[str, Any], **_: Any) -> str | None:  # noqa: ANN401 - yt-dlp's
            # The generic extractor follows the players it finds in a web page or a playlist, to
            # whatever they show.
            if info.get("extractor_key") == "Generic" and not info.get("direct"):
                self._downloader.guard.refuse(
                    NotMedia("The address has a web page or a playlist, not a video file.")
                )
                return "not a video file"
            return None

        return {
            "allowed_extractors": list(self.settings.youtube_extractors),
            "buffersize": _BLOCK_BYTES,
            "cachedir": False,
            "color": "never",
            "continuedl": False,
            "external_downloader": {"default": "native"},
            "fixup": "never",
            "format": self.settings.youtube_format or FORMAT,
            "format_sort": [f"res:{self.settings.youtube_height_px}", "vcodec:h264", "proto"],
            "hls_prefer_native": True,
            "js_runtimes": self.js_runtimes,
            "logger": self._heard,
            "match_filter": only_media,
            "noplaylist": True,
            "noprogress": True,
            "noresizebuffer": True,
            "quiet": True,
            # A retry inside yt-dlp appends to what it has, even if the file changed meanwhile.
            "retries": 0,
            "fragment_retries": 3,
            "extractor_retries": 1,
            "skip_unavailable_fragments": False,
            "socket_timeout": self.settings.timeout_seconds,
            "updatetime": False,
        }


class _Listener:
    """Keeps what yt-dlp says instead of printing it."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def forget(self) -> None:
        """Begin anew."""
        self.warnings.clear()
        self.errors.clear()

    def debug(self, message: str) -> None:
        """Drop progress."""

    def warning(self, message: str) -> None:
        """Keep a warning; the cause of a failure is often there."""
        self.warnings.append(message)

    def error(self, message: str) -> None:
        """Keep an error."""
        self.errors.append(message)


def _parts(info: dict[str, Any] | None, guard: Guard) -> list[dict[str, Any]]:
    """Return the formats that were chosen: one, or the pictures and the sound.

    Raises:
        NotYet: The video is still to come, or still going on.
        KineticsError: There is no video, or yt-dlp was refused something.
    """
    if isinstance(guard.verdict, NotMedia):
        raise guard.verdict
    if not info or info.get("_type", "video") != "video":
        raise NotMedia("The address has a list of videos, not one video.")
    if info.get("is_live") or info.get("live_status") in _NOT_YET:
        raise NotYet("The video is announced, live, or still being made from a live one.")
    parts: list[dict[str, Any]] = list(info.get("requested_formats") or [info])
    if len(parts) > 2:
        raise DownloadFailed(f"The format has {len(parts)} parts; pictures and sound are two.")
    return sorted(parts, key=lambda part: part.get("vcodec") == "none")


def _without_secrets(error: KineticsError, secrets: Sequence[str]) -> KineticsError:
    """Return `error` with nothing secret in it, nor in what it was made from."""
    error.message = hide(error.message, secrets)
    error.args = (f"{error.message} {error.remedy}".strip(),)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)

"""Clips from YouTube, or from any address with the video's id in it, by way of yt-dlp."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kinetics_assets.core.clips import ClipId, parse_youtube_id
from kinetics_assets.core.errors import (
    AddressRefused,
    ClipError,
    DownloadFailed,
    EmptyFile,
    KineticsError,
    NetworkFailure,
    NotMedia,
    SettingsError,
    Truncated,
)
from kinetics_assets.core.settings import SourceSettings, digest
from kinetics_assets.io.atomic import os_faults, temp_path
from kinetics_assets.io.egress import Egress, redact_url
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.guard import Guard
from kinetics_assets.sources.local import SUFFIXES
from kinetics_assets.sources.youtube_errors import kinetics_error
from kinetics_assets.sources.youtube_network import guarded_downloader

YOUTUBE_HOSTS = (
    "youtube.com",
    ".youtube.com",
    "youtu.be",
    ".googlevideo.com",
    ".ytimg.com",
    ".youtube-nocookie.com",
    "youtubei.googleapis.com",
    "jnn-pa.googleapis.com",
)
"""Where yt-dlp goes for a video of YouTube."""
_ATTEMPTS = 2
_BROKEN = (NetworkFailure, Truncated)
"""Failures that are tried once more at once, from the first byte."""
_TOTAL_SECONDS = 3600.0
_FORMAT = "b[ext=mp4]/b"
_MATROSKA_START = b"\x1a\x45\xdf\xa3"


@dataclass(frozen=True)
class YouTubeSource:
    """Downloads whole videos, each once, however many clips are cut from it.

    A download begins in an empty folder each time, since yt-dlp would go on with whatever part of
    a file it finds. It reports success for a web page, or for a body that stops early without a
    length, so the caller must decode what it gets.
    """

    settings: SourceSettings
    name: str = "youtube"
    may_heal: bool = True
    _egress: Egress = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the address once, before any clip.

        Raises:
            SettingsError: The address has no ``{id}``, or may not be asked.
        """
        template = self.settings.youtube_url
        if "{id}" not in template:
            raise SettingsError(
                "sources.youtube_url has no {id}.", remedy="Put {id} where the video's id belongs."
            )
        address = urlsplit(self._url("A" * 11))
        host = address.hostname or ""
        hosts: tuple[str, ...] = YOUTUBE_HOSTS if Egress(YOUTUBE_HOSTS).allows(host) else (host,)
        if address.netloc in self.settings.loopback_hosts:
            hosts = ()
        egress = Egress(hosts, self.settings.loopback_hosts)
        try:
            egress.check(self._url("A" * 11))
        except AddressRefused as error:
            raise SettingsError(
                f"sources.youtube_url: {error.message}", remedy=error.remedy
            ) from None
        object.__setattr__(self, "_egress", egress)

    def fetch(
        self, clips: Sequence[ClipId], *, label: str, scratch: Path
    ) -> Mapping[ClipId, Found | ClipError]:
        """Return the whole video, the same file for each of `clips`, or the reason.

        Raises:
            EnvironmentFault: No network, a full disk, a missing tool, or the site wants a pause.
        """
        del label
        youtube_id = parse_youtube_id(clips[0].youtube_id)
        answer: Found | ClipError
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                path = self._download(youtube_id, scratch)
            except ClipError as error:
                answer = error
                if isinstance(error, _BROKEN) and attempt < _ATTEMPTS:
                    continue
            else:
                address = redact_url(self._url(youtube_id))
                answer = Found(path, address, is_whole_video=True, is_ours=True)
            break
        return dict.fromkeys(clips, answer)

    @property
    def host(self) -> str:
        """Return the host of the address."""
        return urlsplit(self.settings.youtube_url).netloc

    def state_of(self, clip: ClipId) -> str:
        """Return the address and the identity that it is asked with."""
        del clip
        identity = (self.settings.youtube_cookies, self.settings.youtube_proxy)
        return digest(self.settings.youtube_url, *identity)

    def is_alive(self) -> bool | None:
        """Return None: no canary yet."""
        return None

    def _url(self, youtube_id: str) -> str:
        """Return the address of a video."""
        return self.settings.youtube_url.replace("{id}", youtube_id)

    def _download(self, youtube_id: str, scratch: Path) -> Path:
        """Return the downloaded file, in a folder of its own below `scratch`.

        Raises:
            ClipError, EnvironmentFault: As yt-dlp's failure is understood.
        """
        folder = temp_path(scratch / "video", stage=self.name)
        with os_faults(f"creating {folder}"):
            folder.mkdir()
        guard = Guard(
            self._egress,
            timeout_seconds=self.settings.timeout_seconds,
            max_bytes=self.settings.max_source_bytes,
            ends_at=time.monotonic() + _TOTAL_SECONDS,
        )
        said = _Listener()
        try:
            with guarded_downloader(self._params(folder, guard, said), guard=guard) as downloader:
                info = downloader.extract_info(self._url(youtube_id))
        except KineticsError as error:
            raise guard.verdict or error from error
        except Exception as error:
            if guard.verdict:
                raise guard.verdict from error
            raise kinetics_error(error, warnings=tuple(said.warnings)) from error
        finally:
            guard.close()
        if guard.verdict:
            raise guard.verdict
        return _only_file(info, folder, said)

    def _params(self, folder: Path, guard: Guard, said: _Listener) -> dict[str, Any]:
        """Return yt-dlp's options."""

        def only_media(info: dict[str, Any], **_: Any) -> str | None:  # noqa: ANN401 - yt-dlp's
            # The generic extractor follows the players it finds in a web page or a playlist, to
            # whatever they show.
            if info.get("extractor_key") == "Generic" and not info.get("direct"):
                guard.refuse(
                    NotMedia("The address has a web page or a playlist, not a video file.")
                )
                return "not a video file"
            return None

        return {
            "allowed_extractors": list(self.settings.youtube_extractors),
            "cachedir": False,
            "color": "never",
            "continuedl": False,
            "external_downloader": {"default": "native"},
            "fixup": "never",
            "format": self.settings.youtube_format or _FORMAT,
            "hls_prefer_native": True,
            "logger": said,
            "match_filter": only_media,
            "noplaylist": True,
            "noprogress": True,
            "outtmpl": {"default": str(folder / "video.%(ext)s")},
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
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def debug(self, message: str) -> None:
        """Drop progress."""

    def warning(self, message: str) -> None:
        """Keep a warning; the cause of a failure is often there."""
        self.warnings.append(message)

    def error(self, message: str) -> None:
        """Keep an error."""
        self.errors.append(message)


def _only_file(info: dict[str, Any] | None, folder: Path, said: _Listener) -> Path:
    """Return the one file that a download left in `folder`.

    Raises:
        EmptyFile, DownloadFailed: There is none, or it has no bytes.
    """
    downloads = (info or {}).get("requested_downloads") or []
    path = Path(downloads[0]["filepath"]) if downloads else None
    if path is None or path.parent != folder or not path.is_file() or path.is_symlink():
        heard = tuple(said.errors + said.warnings)
        raise kinetics_error(DownloadFailed("yt-dlp left no file."), warnings=heard)
    with os_faults(f"reading {path}"), path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise EmptyFile("The source sent no bytes.")
    if path.suffix.lower() in SUFFIXES:
        return path
    return path.rename(path.with_suffix(".mkv" if start == _MATROSKA_START else ".mp4"))

"""Clips from YouTube, or from any address with the video's id in it, by way of yt-dlp."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kinetics_assets.core.clips import ClipId, parse_youtube_id
from kinetics_assets.core.errors import (
    AddressRefused,
    ClipError,
    DownloadFailed,
    ExtractorBroken,
    Forbidden,
    Gone,
    KineticsError,
    NetworkFailure,
    RateLimited,
    ServerError,
    SettingsError,
    Truncated,
    VideoUnavailable,
)
from kinetics_assets.core.reasons import Kind
from kinetics_assets.core.settings import SourceSettings, digest
from kinetics_assets.io.atomic import os_faults, temp_path
from kinetics_assets.io.egress import Egress, redact_url
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.io.waits import backoff_seconds
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.youtube_canary import Canary
from kinetics_assets.sources.youtube_cookies import read_cookies
from kinetics_assets.sources.youtube_proxy import Proxy
from kinetics_assets.sources.youtube_session import Failure, Session
from kinetics_assets.sources.youtube_tools import youtube_tools

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
_ANY_TIME: dict[type[KineticsError], int] = {
    Gone: 2,
    NetworkFailure: 2,
    Truncated: 2,
    ServerError: 3,
    RateLimited: 4,
}
"""How often a video is asked for in all, by the failure, each time from the first byte."""
_WITH_A_FRESH_ADDRESS: dict[type[KineticsError], int] = {Forbidden: 3}
"""The same for a file whose address was just given: such an address is good for a short time."""
_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS = 1.0, 30.0


@dataclass(frozen=True)
class YouTubeSource:
    """Downloads whole videos, each once, however many clips are cut from it.

    Where the address has ``{start}`` and ``{end}``, it is the clips that are downloaded, each by
    its own address.

    A download begins in an empty folder each time, since yt-dlp would go on with whatever part of
    a file it finds. It reports success for a web page, or for a body that stops early without a
    length, so the caller must decode what it gets.
    """

    settings: SourceSettings
    name: str = "youtube"
    may_heal: bool = True
    pace: HostPace = field(init=False, repr=False)
    """Of the host that is asked."""
    _egress: Egress = field(init=False, repr=False)
    _canary: Canary = field(init=False, repr=False)
    _of_thread: threading.local = field(init=False, repr=False, default_factory=threading.local)

    def __post_init__(self) -> None:
        """Check the settings once, before any clip.

        Raises:
            SettingsError: The address has no ``{id}``, or may not be asked, or the cookies cannot
                be read.
        """
        if "{id}" not in self.settings.youtube_url:
            raise SettingsError(
                "sources.youtube_url has no {id}.", remedy="Put {id} where the video's id belongs."
            )
        url = self._url(ClipId("A" * 11, 0, 1))
        address = urlsplit(url)
        host = address.hostname or ""
        hosts: tuple[str, ...] = YOUTUBE_HOSTS if Egress(YOUTUBE_HOSTS).allows(host) else (host,)
        if address.netloc in self.settings.loopback_hosts:
            hosts = ()
        egress = Egress(hosts, self.settings.loopback_hosts)
        try:
            egress.check(url)
        except AddressRefused as error:
            raise SettingsError(
                f"sources.youtube_url: {error.message}", remedy=error.remedy
            ) from None
        read_cookies(self.settings.youtube_cookies)
        pace = HostPace(self.host, interval_seconds=self.settings.youtube_interval_seconds)
        object.__setattr__(self, "_egress", egress)
        object.__setattr__(self, "pace", pace)
        object.__setattr__(self, "_canary", Canary(pace, self._canaries(), self._look))

    @property
    def host(self) -> str:
        """Return the host of the address."""
        return urlsplit(self.settings.youtube_url).netloc.rpartition("@")[2]

    def state_of(self, clip: ClipId) -> str:
        """Return the address and the identity that it is asked with.

        The port of a server on this machine does not count: it may have another one each time.
        """
        del clip
        proxy = Proxy.of(self.settings.youtube_proxy)
        identity = (self.settings.youtube_cookies, proxy.address if proxy else "")
        address = urlsplit(self.settings.youtube_url)
        if address.netloc in self.settings.loopback_hosts:
            address = address._replace(netloc=address.hostname or "")
        return digest(address.geturl(), *identity)

    def is_alive(self) -> bool | None:
        """Return whether a canary can be seen, or anything could be had some minutes ago.

        Raises:
            EnvironmentFault: The network is down, or the site wants proof of a human.
        """
        return self._canary.is_alive()

    def fetch(
        self, clips: Sequence[ClipId], *, label: str, scratch: Path
    ) -> Mapping[ClipId, Found | ClipError]:
        """Return the whole video, the same file for each of `clips`, or the reason.

        Raises:
            EnvironmentFault: No network, a full disk, a missing tool, or the site wants a pause.
        """
        del label
        if self._is_by_clip:
            return {clip: self._get(clip, scratch, span=None) for clip in clips}
        span = min(clip.start_seconds for clip in clips), max(clip.end_seconds for clip in clips)
        return dict.fromkeys(clips, self._get(clips[0], scratch, span=span))

    @property
    def _is_by_clip(self) -> bool:
        return "{start}" in self.settings.youtube_url or "{end}" in self.settings.youtube_url

    @property
    def _is_youtube(self) -> bool:
        """Whether the address is YouTube's own."""
        return self._egress.hosts == YOUTUBE_HOSTS

    def _canaries(self) -> tuple[str, ...]:
        """Return the ids that may be asked for.

        The default one is a video of YouTube, which another host need not have; and an address of
        clips has none for whole videos.
        """
        ids = self.settings.youtube_canaries
        if self._is_by_clip or (not self._is_youtube and ids == SourceSettings().youtube_canaries):
            return ()
        return tuple(parse_youtube_id(youtube_id) for youtube_id in ids)

    def _url(self, clip: ClipId) -> str:
        """Return the address of a clip's video, or of the clip."""
        return (
            self.settings.youtube_url.replace("{id}", parse_youtube_id(clip.youtube_id))
            .replace("{start}", f"{clip.start_seconds:06d}")
            .replace("{end}", f"{clip.end_seconds:06d}")
        )

    def _session(self) -> Session:
        """Return this thread's session.

        Raises:
            ToolMissing: YouTube needs a tool that is not on this machine.
        """
        session: Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            runtimes = youtube_tools().js_runtimes if self._is_youtube else {}
            session = Session(self.settings, self._egress, runtimes)
            self._of_thread.session = session
        return session

    def _look(self, youtube_id: str) -> KineticsError | None:
        """Return why a video's description cannot be had, None if it can."""
        return self._session().look(self._url(ClipId(youtube_id, 0, 1)))

    def _get(
        self, clip: ClipId, scratch: Path, *, span: tuple[float, float] | None
    ) -> Found | ClipError:
        """Return the file behind the address of `clip`, at least its `span`, or the reason.

        Raises:
            EnvironmentFault: As `fetch` does.
        """
        url, session = self._url(clip), self._session()
        asked: Counter[type[KineticsError]] = Counter()
        while True:
            folder = temp_path(scratch / "video", stage=self.name)
            with os_faults(f"creating {folder}"):
                folder.mkdir()
            self.pace.take_turn()
            answer = session.download(url, folder, span=span)
            if not isinstance(answer, Failure):
                return Found(
                    answer.video,
                    redact_url(url),
                    is_whole_video=not self._is_by_clip,
                    is_ours=True,
                    sound=answer.sound,
                    starts_at_seconds=answer.starts_at_seconds,
                )
            asked[type(answer.error)] += 1
            if not self._tries_again(answer, times=asked[type(answer.error)]):
                return self._verdict(answer)

    def _tries_again(self, failure: Failure, *, times: int) -> bool:
        """Return whether a video that failed `times` times in the same way is worth asking again.

        Returns only when it may be asked, or lets the pace of the host see to that.
        """
        most = _ANY_TIME.get(type(failure.error), 1)
        if failure.has_description:
            most = _WITH_A_FRESH_ADDRESS.get(type(failure.error), most)
        if times >= most:
            return False
        pause = backoff_seconds(times, base=_BACKOFF_SECONDS, cap=_LONGEST_BACKOFF_SECONDS)
        if isinstance(failure.error, RateLimited):
            asked = failure.error.retry_after_seconds
            if asked is None or asked > self.settings.max_wait_seconds:
                return False
            self.pace.hold(max(asked, pause))
        elif isinstance(failure.error, ServerError):
            time.sleep(pause)
        return True

    def _verdict(self, failure: Failure) -> ClipError:
        """Return what a failure says of the clip, with whether the source worked at the time.

        Raises:
            EnvironmentFault: It says nothing of the clip.
        """
        error = failure.error
        if isinstance(error, Gone) and self._reads_pages and not failure.has_description:
            # a site that has no such video says so in words; a missing page is the site's own fault
            error = ServerError(error.message)
        if isinstance(error, ExtractorBroken) and (not self._reads_pages or self.is_alive()):
            error = DownloadFailed(error.message)  # only this video is odd
            error.source_works = self._reads_pages
        if not isinstance(error, ClipError):
            raise error
        if isinstance(error, VideoUnavailable) or error.reason.kind is Kind.PERMANENT:
            error.source_works = bool(self.is_alive())
        return error

    @property
    def _reads_pages(self) -> bool:
        """Whether there is an extractor that can break; the generic one takes a file as it is."""
        return self.settings.youtube_extractors != ("generic",)

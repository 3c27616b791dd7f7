"""Proof that the YouTube source works: videos that are looked up before a loss is believed."""

from __future__ import annotations

import threading

import pytest

from kinetics_assets.core.errors import (
    BotCheck,
    ClipError,
    DownloadFailed,
    ExtractorBroken,
    KineticsError,
    NotYet,
    ToolMissing,
    VideoPrivate,
    VideoUnavailable,
)
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.sources.youtube_canary import FRESH_SECONDS, Canary
from kinetics_assets_tests.video_site import CANARY, ID, Fetch, VideoSite, info

OTHER = "bbbbbbbbbbb"
WATCH = f"/watch/{ID}"
BOT = "Sign in to confirm you\u2019re not a bot."


@pytest.mark.parametrize(
    ("says", "leaf"),
    [("Private video", VideoPrivate), ("Video unavailable", VideoUnavailable)],
)
def test_a_loss_is_told_with_whether_the_source_works(
    site: VideoSite, fetch: Fetch, says: str, leaf: type[ClipError]
) -> None:
    """A canary is looked up before a clip is said to be lost; without one nothing is proven."""
    site.describes(ID, {"says": says})
    for canary, works in (({"says": "Video unavailable"}, False), (info("http://x/"), True)):
        site.describes(CANARY, canary)
        HostPace(site.host).resume()
        error = fetch(site.source(youtube_canaries=(CANARY,)))
        assert type(error) is leaf
        assert isinstance(error, ClipError)
        assert error.source_works is works
    assert site.asked.count(f"/watch/{CANARY}") == 2


def test_without_a_canary_nothing_is_proven(site: VideoSite, fetch: Fetch) -> None:
    """Without a canary a loss is not proven, and nothing more than the clip is asked for."""
    site.describes(ID, {"says": "Private video"})
    error = fetch(site.source())
    assert isinstance(error, VideoPrivate)
    assert not error.source_works
    assert site.source().is_alive() is None
    assert site.asked == [WATCH]


def test_a_bot_check_met_by_the_canary_stops_the_source(site: VideoSite, fetch: Fetch) -> None:
    """'Unavailable' and then a bot check for the canary is a bot check: no clip is blamed."""
    site.describes(ID, {"says": "Video unavailable"})
    site.describes(CANARY, {"says": BOT})
    assert type(fetch(site.source(youtube_canaries=(CANARY,)))) is BotCheck


def test_the_canary_is_not_asked_twice_in_ten_minutes(site: VideoSite) -> None:
    """One answer serves all threads for ten minutes, whether good or bad."""
    asked: list[str] = []
    answers: list[KineticsError | None] = [VideoUnavailable("x"), VideoUnavailable("x"), None]
    now = [0.0]

    def ask(youtube_id: str) -> KineticsError | None:
        asked.append(youtube_id)
        return answers.pop(0)

    canary = Canary(HostPace(site.host), (CANARY, OTHER), ask, clock=lambda: now[0])
    seen: list[bool | None] = []
    threads = [threading.Thread(target=lambda: seen.append(canary.is_alive())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (seen, asked) == ([False] * 8, [CANARY, OTHER])
    now[0] += FRESH_SECONDS + 1
    assert canary.is_alive()
    assert canary.is_alive()
    assert asked == [CANARY, OTHER, CANARY]


def test_only_the_default_canary_is_taken_for_youtubes(site: VideoSite) -> None:
    """Another host need not have YouTube's first video; an address of clips has no whole ones."""
    usual = site.settings().__class__().youtube_canaries
    assert usual
    assert site.source(youtube_canaries=usual)._canary.ids == ()
    assert site.source(youtube_canaries=(CANARY,))._canary.ids == (CANARY,)
    by_clip = site.url("/{id}/{start}/{end}")
    assert site.source(youtube_canaries=(CANARY,), youtube_url=by_clip)._canary.ids == ()


@pytest.mark.parametrize(
    ("page", "canary", "leaf"),
    [
        ({"says": "Unable to extract x; please report this issue on"}, True, DownloadFailed),
        ({"says": "Unable to extract x; please report this issue on"}, False, ExtractorBroken),
        ({"says": "Requested format is not available"}, False, ExtractorBroken),
        (
            {
                "says": "Only images are available",
                "warns": ["No supported JavaScript runtime"],
            },
            False,
            ToolMissing,
        ),
        ({"is_live": True, "url": "http://x/"}, True, NotYet),
        ({"live_status": "is_upcoming", "url": "http://x/"}, True, NotYet),
        ({"url": "http://x/", "formats": [], "_type": "playlist", "entries": []}, True, None),
    ],
)
def test_an_odd_page_is_the_extractors_fault_unless_others_are_read(
    site: VideoSite,
    fetch: Fetch,
    page: dict[str, object],
    canary: bool,
    leaf: type[KineticsError] | None,
) -> None:
    """What yt-dlp cannot read stops the source; while the canary is read, only the clip is odd."""
    site.describes(ID, page)
    site.describes(CANARY, info("http://x/") if canary else {"says": "Video unavailable"})
    error = fetch(site.source(youtube_canaries=(CANARY,)))
    assert isinstance(error, KineticsError)
    assert leaf is None or type(error) is leaf
    if isinstance(error, DownloadFailed):
        assert "Unable to extract x" in error.message

"""How the YouTube source deals with a site: tries, pauses, formats."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.errors import (
    Forbidden,
    Gone,
    KineticsError,
    RateLimited,
    ServerError,
    SourcePaused,
    Truncated,
    VideoPrivate,
)
from kinetics_assets.core.settings import SourceSettings
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.sources import youtube_network
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.youtube import YouTubeSource
from kinetics_assets_tests.video_site import CANARY, CLIPS, ID, MP4, Fetch, Reply, VideoSite, info

WATCH = f"/watch/{ID}"


@pytest.mark.parametrize(
    ("status", "tries", "leaf"), [(403, 3, Forbidden), (404, 2, Gone), (410, 2, Gone)]
)
def test_a_stale_address_is_asked_for_anew(
    site: VideoSite, fetch: Fetch, status: int, tries: int, leaf: type[KineticsError]
) -> None:
    """A file that is refused, or is not there, is looked up again: a few times, then believed."""
    site.replies["/old.mp4"] = [Reply(status=status)]
    site.describes(ID, info(site.url("/old.mp4")))
    assert type(fetch(site.source())) is leaf
    assert site.asked == [WATCH, "/old.mp4"] * tries
    site.asked.clear()
    site.describes(ID, info(site.url("/old.mp4")), info(site.has("/new.mp4")))
    found = fetch(site.source())
    assert isinstance(found, Found)
    assert found.path.read_bytes() == MP4
    assert site.asked == [WATCH, "/old.mp4", WATCH, "/new.mp4"]


@pytest.mark.parametrize("status", [404, 410])
def test_a_missing_page_is_the_sites_own_fault(site: VideoSite, fetch: Fetch, status: int) -> None:
    """A site says in words that a video is gone; a page that is not there proves no loss."""
    site.describes(CANARY, info("http://x/"))
    site.replies[WATCH] = [Reply(status=status)]
    error = fetch(site.source(youtube_canaries=(CANARY,)))
    assert type(error) is ServerError
    assert site.asked == [WATCH] * 2
    site.asked.clear()
    site.describes(ID, info(site.has("/x.mp4")))
    site.replies[WATCH] = [Reply(status=status), *site.replies[WATCH]]
    assert isinstance(fetch(site.source()), Found)


def test_the_host_is_told_without_a_password() -> None:
    """Pauses are told with the host's name, in messages and in files; a login is no part of it."""
    settings = SourceSettings(youtube_url="https://me:hunter2@videos.example.org/{id}.mp4")
    assert YouTubeSource(settings).host == "videos.example.org"


def test_a_cause_that_was_only_heard_is_the_cause(
    site: VideoSite, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When yt-dlp ends well without a file, what it said meanwhile decides what that means."""
    site.describes(ID, info(site.has("/x.mp4")))
    source = site.source()

    def no_file(self: object, *_: object, **__: object) -> None:
        self.params["logger"].warning("HTTP Error 429: Too Many Requests")  # type: ignore[attr-defined]

    monkeypatch.setattr(youtube_network._downloader_class(), "dl", no_file)
    assert type(fetch(source)) is RateLimited


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_burst_of_server_errors_is_sat_out(site: VideoSite, fetch: Fetch, status: int) -> None:
    """Two failures and then a file are a file; three are the clip's reason, to be tried later."""
    site.describes(ID, info(site.url("/x.mp4")))
    site.replies["/x.mp4"] = [Reply(status=status), Reply(status=status), Reply(MP4)]
    assert isinstance(fetch(site.source()), Found)
    site.asked.clear()
    site.replies["/x.mp4"] = [Reply(status=status)]
    assert type(fetch(site.source())) is ServerError
    assert site.asked.count("/x.mp4") == 3


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "asked_for"),
    [
        ("7", (7, 7.1)),
        ("", (0, 0)),
        (timedelta(days=300), (2e7, 300 * 86_400)),
        (timedelta(days=-1), (0, 0.1)),
        ("9" * 10, (3e7, 4e7)),
        ("soon", (0, 0)),
    ],
    ids=["seconds", "none", "date", "past", "huge", "junk"],
)
def test_a_pause_that_is_asked_for_holds_the_host(
    site: VideoSite,
    fetch: Fetch,
    status: int,
    header: str | timedelta,
    asked_for: tuple[float, float],
) -> None:
    """All steps on this machine leave the host alone for as long as it asks, then go on.

    A pause beyond the setting is not sat out: it is told to whoever stops the source.
    """
    least, most = asked_for
    if isinstance(header, timedelta):
        header = format_datetime(datetime.now(UTC) + header, usegmt=True)
    asked = [Reply(status=status, headers={"Retry-After": header} if header else {})]
    site.describes(ID, info(site.has("/x.mp4")))
    site.replies[WATCH] = asked + site.replies[WATCH]
    slept: list[float] = []
    now = [1_000_000.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    source = site.source(max_wait_seconds=60.0)
    object.__setattr__(source, "pace", replace(source.pace, sleep=sleep, clock=lambda: now[0]))
    answer = fetch(source)
    if header in {"", "soon"} and status == 429:
        assert isinstance(answer, RateLimited)
        assert answer.retry_after_seconds is None
        assert len(site.asked) == 1
    elif least > 60:
        assert isinstance(answer, RateLimited)
        assert least <= (answer.retry_after_seconds or 0) <= most
        assert len(site.asked) == 1
        assert not slept
    else:
        assert isinstance(answer, Found)
        assert least <= sum(slept) <= most


def test_who_is_always_told_to_wait_stops(site: VideoSite, fetch: Fetch) -> None:
    """A host that answers every try with a short pause is not asked for ever."""
    site.replies[WATCH] = [Reply(status=429, headers={"Retry-After": "0"})]
    assert type(fetch(site.source())) is RateLimited
    assert len(site.asked) == 4


def test_each_video_waits_for_its_turn(site: VideoSite, tmp_path: Path) -> None:
    """Videos are asked for at the pace of the host, however many requests each takes."""
    site.describes(ID, info(site.has("/x.mp4")))
    source = site.source(youtube_interval_seconds=10.0)
    slept: list[float] = []
    now = [1_000_000.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = replace(source.pace, sleep=sleep, clock=lambda: now[0])
    object.__setattr__(source, "pace", pace)
    for _ in range(4):
        source.fetch(CLIPS, label="", scratch=tmp_path)
    assert 3 * 7.5 <= sum(slept) <= 3 * 12.5
    assert len(site.asked) == 8


def test_a_host_that_is_left_alone_is_not_asked(site: VideoSite, fetch: Fetch) -> None:
    """While the breaker of a host is open, by whichever step, no request is made."""
    HostPace(site.host).pause(600, cause="a bot check")
    assert type(fetch(site.source())) is SourcePaused
    assert not site.asked


def test_bad_luck_with_the_connection_is_tried_twice(site: VideoSite, fetch: Fetch) -> None:
    """A body that breaks off is fetched once more, from the first byte, into an empty folder."""
    site.describes(ID, info(site.url("/x.mp4")))
    short = Reply(MP4[:100], headers={"Content-Length": str(len(MP4))})
    site.replies["/x.mp4"] = [short, Reply(MP4)]
    found = fetch(site.source())
    assert isinstance(found, Found)
    assert found.path.read_bytes() == MP4
    site.asked.clear()
    site.replies["/x.mp4"] = [short]
    assert type(fetch(site.source())) is Truncated
    assert site.asked == [WATCH, "/x.mp4"] * 2


def _formats(site: VideoSite) -> list[dict[str, object]]:
    def one(name: str, height: int, **more: object) -> dict[str, object]:
        usual = {"vcodec": "avc1.4d401e", "acodec": "none", "ext": "mp4", "height": height}
        usual |= {"width": height * 16 // 9, "format_id": name, "url": site.has(f"/{name}")}
        return {**usual, **more}

    sound: dict[str, object] = {"vcodec": "none", "acodec": "mp4a.40.2", "ext": "m4a", "abr": 128}
    return [
        {"format_id": "a", "url": site.has("/a"), **sound},
        {"format_id": "ao", "url": site.has("/ao"), **sound, "acodec": "opus", "ext": "webm"},
        one("v360", 360),
        one("v480", 480),
        one("v480av1", 480, vcodec="av01.0.04M.08"),
        one("v480vp9", 480, vcodec="vp9", ext="webm"),
        one("v1080", 1080),
        one("both360", 360, acodec="mp4a.40.2"),
        one("hls480", 480, protocol="m3u8_native"),
    ]


def test_pictures_and_sound_come_as_two_files(
    site: VideoSite, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best pictures up to the height and the best sound, both as they are; no program runs."""
    started: list[object] = []
    monkeypatch.setattr("subprocess.Popen.__init__", lambda *args, **_: started.append(args))
    site.describes(ID, {"formats": _formats(site)})
    found = fetch(site.source())
    assert isinstance(found, Found)
    assert site.asked == [WATCH, "/v480", "/a"]
    assert found.sound is not None
    assert (found.path.suffix, found.sound.read_bytes()) == (".mp4", MP4)
    assert found.path.parent == found.sound.parent
    assert not started


@pytest.mark.parametrize(
    ("kept", "height_px", "asked"),
    [
        ({"both360", "v360", "a"}, 480, ["/both360"]),
        ({"both360"}, 480, ["/both360"]),
        ({"v480vp9", "ao"}, 480, ["/v480vp9", "/ao"]),
        ({"v1080", "a"}, 480, ["/v1080", "/a"]),
        ({"v360", "v480", "v1080", "a"}, 360, ["/v360", "/a"]),
        ({"v480"}, 480, ["/v480"]),
        ({"hls480", "v480", "a"}, 480, ["/v480", "/a"]),
    ],
)
def test_the_choice_of_formats(
    site: VideoSite, fetch: Fetch, kept: set[str], height_px: int, asked: list[str]
) -> None:
    """One file where it has both, plain files before pieces, H.264, and a height as asked."""
    formats = [f for f in _formats(site) if f["format_id"] in kept]
    site.describes(ID, {"formats": formats})
    found = fetch(site.source(youtube_height_px=height_px))
    assert isinstance(found, Found)
    assert site.asked[1:] == asked
    assert (found.sound is not None) == (len(asked) == 2)


def test_a_clip_with_an_address_of_its_own(site: VideoSite, tmp_path: Path) -> None:
    """With {start} and {end} each clip is fetched by itself, and the file is the clip."""
    site.has("/-aaaaaaaaaa_000001_000011.mp4", MP4 + b"1")
    source = site.source(
        youtube_url=site.url("/{id}_{start}_{end}.mp4"), youtube_extractors=("generic",)
    )
    first, second = source.fetch(CLIPS, label="", scratch=tmp_path).values()
    assert isinstance(first, Found)
    assert first.is_whole_video is False
    assert first.path.read_bytes() == MP4 + b"1"
    assert isinstance(second, Gone)


def test_many_videos_share_one_session(
    site: VideoSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """yt-dlp is set up once a thread, begins anew now and then, and mixes nothing up."""
    monkeypatch.setattr("kinetics_assets.sources.youtube_session._VIDEOS", 5)
    source = site.source()
    downloaders: list[object] = []
    for number in range(12):
        name = f"{number:011d}"
        body = MP4 + name.encode()
        if number % 3:
            site.describes(name, info(site.has(f"/{name}.mp4", body)))
        else:
            site.describes(name, {"says": f"Private video {number}"})
        (answer,) = source.fetch([ClipId(name, 0, 1)], label="", scratch=tmp_path).values()
        if number % 3:
            assert isinstance(answer, Found)
            assert answer.path.read_bytes() == body
        else:
            assert isinstance(answer, VideoPrivate)
            assert f"Private video {number}" in answer.message
        downloaders.append(source._session()._downloader)
    assert len(set(map(id, downloaders))) <= 3
    others: list[object] = []
    thread = threading.Thread(target=lambda: others.append(source._session()))
    thread.start()
    thread.join()
    assert others[0] is not source._session()


def test_what_decides_an_answer_beside_the_clip(site: VideoSite, tmp_path: Path) -> None:
    """Another address, account or proxy makes failed clips due; a server's new port does not.

    Regression: the demo's server has another port each time, and every failed clip was asked again.
    """
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n")
    clip = CLIPS[0]
    states = [
        site.source(**changes).state_of(clip)
        for changes in (
            {},
            {"youtube_url": site.url("/other/{id}")},
            {"youtube_cookies": cookies},
            {"youtube_proxy": "http://127.0.0.1:1"},
            {"youtube_proxy": "http://127.0.0.1:2"},
        )
    ]
    assert len(set(states)) == 5
    with VideoSite() as again:
        assert again.source().state_of(clip) == states[0]
    hidden = [f"http://user:{word}@127.0.0.1:1" for word in ("one", "two")]
    assert len({site.source(youtube_proxy=url).state_of(clip) for url in hidden}) == 1

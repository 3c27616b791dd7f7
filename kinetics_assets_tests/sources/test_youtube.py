"""The yt-dlp source, against a real server on this machine."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.errors import (
    AddressRefused,
    ClipError,
    DiskFull,
    EmptyFile,
    EnvironmentFault,
    Forbidden,
    Gone,
    KineticsError,
    NetworkDown,
    NetworkFailure,
    NotMedia,
    OverLimit,
    RateLimited,
    ServerError,
    SettingsError,
    Truncated,
)
from kinetics_assets.core.settings import SourceSettings
from kinetics_assets.sources import youtube_session
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.youtube import YouTubeSource
from kinetics_assets_tests.patience import LONG_SECONDS, be_patient
from kinetics_assets_tests.processes import until
from kinetics_assets_tests.servers import FaultServer

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 500
ID = "-aaaaaaaaaa"
CLIPS = [ClipId(ID, 1, 11), ClipId(ID, 20, 30), ClipId(ID, 5, 15)]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with one good video."""
    with FaultServer(files={f"/good/{ID}.mp4": VIDEO}) as running:
        yield running


def _source(server: FaultServer, folder: str, *, suffix: str = ".mp4") -> YouTubeSource:
    """Return a source that asks `server` below `folder`."""
    return YouTubeSource(
        SourceSettings(
            youtube_url=server.url(f"/{folder}/{{id}}{suffix}"),
            youtube_extractors=("generic",),
            loopback_hosts=(server.host,),
            timeout_seconds=120,
            max_source_bytes=1_000_000,
            youtube_interval_seconds=0.0,
            max_wait_seconds=60.0,
        )
    )


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[[YouTubeSource], Found | KineticsError]:
    """A function that fetches the three clips and returns their one answer, raised or not."""

    def fetch_one(source: YouTubeSource) -> Found | KineticsError:
        try:
            answers = source.fetch(CLIPS, label="zumba", scratch=tmp_path)
        except EnvironmentFault as fault:
            return fault
        assert list(answers) == CLIPS
        (answer,) = set(map(id, answers.values()))
        return next(found for found in answers.values() if id(found) == answer)

    return fetch_one


type_of_fetch = Callable[[YouTubeSource], Found | KineticsError]


def test_one_download_feeds_all_clips_of_a_video(server: FaultServer, fetch: type_of_fetch) -> None:
    """Three clips of an id that begins with a hyphen cost two GETs: yt-dlp's probe and the file."""
    found = fetch(_source(server, "good"))
    assert isinstance(found, Found)
    assert found.path.read_bytes() == VIDEO
    assert (found.is_whole_video, found.is_ours) == (True, True)
    assert found.address == server.url(f"/good/{ID}.mp4")
    assert server.asked(f"/good/{ID}.mp4") == ["GET", "GET"]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("folder", "leaf", "requests"),
    [
        ("nowhere", Gone, 2),
        ("status-410", Gone, 2),
        ("status-403", Forbidden, 1),
        ("status-500", ServerError, 3),
        ("status-503", ServerError, 3),
        ("status-429", RateLimited, 1),
        ("empty", EmptyFile, 2),
        ("page", NotMedia, 1),
        ("page-with-video", NotMedia, 1),
        ("playlist", NotMedia, None),
        ("short-length", Truncated, 4),
        ("short-chunked", Truncated, 4),
        ("reset", NetworkFailure, 4),
        ("silent", NetworkFailure, 4),
        ("endless", OverLimit, 2),
    ],
)
def test_each_misbehaviour_has_its_reason(  # noqa: PLR0917 - fixtures
    server: FaultServer,
    fetch: type_of_fetch,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    leaf: type[KineticsError],
    requests: int | None,
) -> None:
    """No failure is an unknown one; what breaks or seems gone is asked twice, the rest once."""
    if folder == "silent":  # each time the file, after its headers were looked at
        be_patient(monkeypatch, but=[LONG_SECONDS, 0.2] * 2)
    monkeypatch.setattr("kinetics_assets.sources.youtube._BACKOFF_SECONDS", 0.01)
    error = fetch(_source(server, folder))
    assert type(error) is leaf
    until(lambda: len(server.requests) >= (requests or 1), "the server to note all requests")
    assert requests in {None, len(server.requests)}
    assert {asked.path for asked in server.requests} == {f"/{folder}/{ID}.mp4"}


def test_a_body_that_stops_without_a_length_is_left_to_the_decoder(
    server: FaultServer, fetch: type_of_fetch
) -> None:
    """yt-dlp takes half a body, or a page sent as video, for a video; the caller decodes both."""
    for folder in ("short-close", "page-as-video"):
        assert isinstance(fetch(_source(server, folder)), Found)


def test_each_fetch_begins_with_nothing(server: FaultServer, tmp_path: Path) -> None:
    """A stale part of another file is not continued: yt-dlp would stitch the two together."""
    for name in ("video.mp4.part", f"{ID}.mp4.part", "video.mp4"):
        (tmp_path / name).write_bytes(b"stale" * 100)
    source = _source(server, "good")
    for _ in range(2):
        (answer, *_rest) = source.fetch(CLIPS, label="", scratch=tmp_path).values()
        assert isinstance(answer, Found)
        assert answer.path.read_bytes() == VIDEO
    assert not [asked for asked in server.requests if "Range" in asked.headers]


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:1/x.mp4",
        "http://169.254.169.254/latest/meta-data",
        "https://example.org/x.mp4",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x.mp4",
    ],
)
def test_a_redirect_out_of_the_list_is_refused(
    server: FaultServer, fetch: type_of_fetch, target: str
) -> None:
    """yt-dlp itself would follow; our request handler refuses before it connects."""
    server.redirects[f"/good/{ID}.mp4"] = target
    error = fetch(_source(server, "good"))
    assert type(error) is AddressRefused
    assert len(server.requests) == 1


def test_another_server_gets_no_request_by_redirect(fetch: type_of_fetch) -> None:
    """A second server on this machine, on a port that is not listed, is never asked."""
    with FaultServer(files={"/x.mp4": VIDEO}) as other, FaultServer() as first:
        first.redirects[f"/good/{ID}.mp4"] = other.url("/x.mp4")
        assert type(fetch(_source(first, "good"))) is AddressRefused
        assert first.requests
        assert not other.requests


def test_a_redirect_in_a_circle_ends(server: FaultServer, fetch: type_of_fetch) -> None:
    """A circle of redirects ends within the number that is allowed."""
    server.redirects[f"/good/{ID}.mp4"] = f"/good/{ID}.mp4"
    assert type(fetch(_source(server, "good"))) is AddressRefused
    assert len(server.requests) <= 6


def test_a_redirect_within_the_list_is_followed(server: FaultServer, fetch: type_of_fetch) -> None:
    """A redirect on the same server is followed."""
    server.redirects[f"/old/{ID}.mp4"] = f"/good/{ID}.mp4"
    found = fetch(_source(server, "old"))
    assert isinstance(found, Found)
    assert found.path.read_bytes() == VIDEO


def test_a_server_that_is_not_there_stops_the_step(tmp_path: Path) -> None:
    """A refused connection is an environment fault; no clip is blamed."""
    with FaultServer() as gone:
        source = _source(gone, "good")
    with pytest.raises(NetworkDown):
        source.fetch(CLIPS, label="", scratch=tmp_path)


@pytest.mark.parametrize("folder", ["drip", "drip-status", "drip-headers"])
def test_a_dripping_server_meets_the_deadline(
    server: FaultServer, fetch: type_of_fetch, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """One byte now and then never trips the silence timeout; the total time does."""
    monkeypatch.setattr(youtube_session, "_TOTAL_SECONDS", 0.3)
    assert type(fetch(_source(server, folder))) is NetworkFailure


def test_a_full_disk_stops_the_step(tmp_path: Path) -> None:
    """Running out of room while yt-dlp writes is an environment fault."""
    script = """
        import resource, signal, sys
        from pathlib import Path
        from kinetics_assets_tests.sources.test_youtube import CLIPS, ID, VIDEO, _source
        from kinetics_assets_tests.servers import FaultServer
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        import yt_dlp
        with FaultServer(files={f"/good/{ID}.mp4": VIDEO}) as server:
            source = _source(server, "good")
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
            try:
                source.fetch(CLIPS, label="", scratch=Path(sys.argv[1]))
            except Exception as error:
                sys.stdout.write(type(error).__name__)
    """
    assert _run(script, tmp_path) == DiskFull.__name__


def test_no_plugin_and_no_settings_of_the_user_are_loaded(tmp_path: Path) -> None:
    """yt-dlp loads plugins from the path and settings from the home; ours loads neither."""
    plugin = tmp_path / "yt_dlp_plugins" / "extractor"
    plugin.mkdir(parents=True)
    (plugin / "evil.py").write_text(f"open({str(tmp_path / 'loaded')!r}, 'w').close()")
    script = """
        import sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        from kinetics_assets_tests.sources.test_youtube import CLIPS, ID, VIDEO, _source
        from kinetics_assets_tests.servers import FaultServer
        with FaultServer(files={f"/good/{ID}.mp4": VIDEO}) as server:
            source = _source(server, "good")
            (answer, *_) = source.fetch(CLIPS, label="", scratch=Path(sys.argv[1])).values()
            sys.stdout.write(type(answer).__name__)
    """
    assert _run(script, tmp_path) == "Found"
    assert not (tmp_path / "loaded").exists()


def test_nothing_is_printed(
    server: FaultServer, fetch: type_of_fetch, capfd: pytest.CaptureFixture[str]
) -> None:
    """yt-dlp writes neither progress nor errors to the terminal."""
    fetch(_source(server, "good"))
    fetch(_source(server, "status-404"))
    assert capfd.readouterr() == ("", "")


def test_an_address_without_a_suffix_still_gives_one(
    server: FaultServer, fetch: type_of_fetch
) -> None:
    """A file of an unknown type gets a suffix by its first bytes."""
    server.files[f"/bare/{ID}"] = VIDEO
    found = fetch(_source(server, "bare", suffix=""))
    assert isinstance(found, Found)
    assert found.path.suffix == ".mp4"
    server.files[f"/bare/{ID}"] = b"\x1a\x45\xdf\xa3" + VIDEO
    found = fetch(_source(server, "bare", suffix=""))
    assert isinstance(found, Found)
    assert found.path.suffix == ".mkv"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:9/{id}.mp4", "loopback_hosts"),
        ("http://example.org/{id}", "only https"),
        ("https://example.org/watch", r"has no \{id\}"),
    ],
)
def test_an_address_that_may_not_be_asked_is_a_setting_to_mend(url: str, says: str) -> None:
    """The address is checked before the first clip."""
    with pytest.raises(SettingsError, match=says):
        YouTubeSource(SourceSettings(youtube_url=url))


def test_the_default_asks_youtube_and_its_servers_only() -> None:
    """The default settings allow YouTube's hosts, and not, for example, another site's."""
    egress = YouTubeSource(SourceSettings())._egress
    egress.check("https://rr3---sn-4g5e6nez.googlevideo.com/videoplayback?sig=x")
    egress.check("https://www.youtube.com/watch?v=0wR5jVB-WPk")
    with pytest.raises(AddressRefused):
        egress.check("https://example.org/")
    other = YouTubeSource(replace(SourceSettings(), youtube_url="https://example.org/{id}.mp4"))
    with pytest.raises(AddressRefused):
        other._egress.check("https://www.youtube.com/")


def test_an_id_that_is_none_is_never_asked(server: FaultServer, tmp_path: Path) -> None:
    """The id goes into the address only after its check."""
    with pytest.raises(ValueError, match="no YouTube id"):
        _source(server, "good").fetch([ClipId("../../../etc", 1, 2)], label="", scratch=tmp_path)
    assert not server.requests


def test_a_clip_error_is_returned_not_raised(server: FaultServer, tmp_path: Path) -> None:
    """What is one video's fault comes back for each of its clips."""
    answers = _source(server, "nowhere").fetch(CLIPS, label="", scratch=tmp_path)
    assert all(isinstance(answer, ClipError) for answer in answers.values())
    assert len(answers) == 3


def _run(script: str, folder: Path) -> str:
    """Return what a Python `script` prints, given `folder` as its argument."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout

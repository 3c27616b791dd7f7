"""Of a long video only the part with the clip is fetched, where the site allows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.errors import ClipError, Forbidden, Truncated
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.mp4_ranges import read_index
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.video_site import Reply, VideoSite, know_the_site

ID = "-aaaaaaaaaa"
WATCH, FILE = f"/watch/{ID}", "/long.mp4"
CLIPS = [ClipId(ID, 20, 22), ClipId(ID, 25, 27)]


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """40 seconds of pictures in 20 fragments with an index, of some 600 kB."""
    folder = tmp_path_factory.mktemp("long")
    plain = media.plain(folder / "plain", frames=1000, gop=50, width_px=192, height_px=128)
    return media.in_fragments(plain, "video")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, long: bytes) -> Iterator[VideoSite]:
    """A site with a video that says to be an hour long, and that gives parts of it."""
    know_the_site(monkeypatch)
    monkeypatch.setattr("kinetics_assets.sources.youtube_part._INDEX_BYTES", 4096)
    with VideoSite(allows_ranges=True) as running:
        info = {"url": running.has(FILE, long), "ext": "mp4", "protocol": "http", "duration": 3600}
        running.describes(ID, info)
        yield running


def _fetch(site: VideoSite, scratch: Path) -> Found | ClipError:
    source = site.source(youtube_whole_minutes=20.0)
    first, second = source.fetch(CLIPS, label="", scratch=scratch).values()
    assert first is second
    return first


def test_one_part_holds_all_clips_of_a_video(site: VideoSite, long: bytes, tmp_path: Path) -> None:
    """One request for the index, one for the fragments around the clips; all times stay true."""
    found = _fetch(site, tmp_path)
    assert isinstance(found, Found)
    assert found.is_whole_video
    assert site.asked == [WATCH, FILE, FILE]
    assert site.sent_bytes < 0.5 * len(long)
    assert found.starts_at_seconds == 16.0
    index = read_index(long[:4096], file_bytes=len(long))
    assert index is not None
    data = found.path.read_bytes()
    assert data.startswith(index.head)
    assert data.removeprefix(index.head) in long


def _no_ranges(site: VideoSite) -> None:
    site.allows_ranges = False


def _short(site: VideoSite) -> None:
    page = {"url": site.url(FILE), "ext": "mp4", "protocol": "http", "duration": 1100}
    site.describes(ID, page)


def _no_index(site: VideoSite) -> None:
    (reply,) = site.replies[FILE]
    site.replies[FILE] = [replace(reply, body=reply.body.replace(b"sidx", b"free", 1))]


def _changes(site: VideoSite) -> None:
    (reply,) = site.replies[FILE]
    old, new = replace(reply, headers={"ETag": "old"}), replace(reply, headers={"ETag": "new"})
    site.replies[FILE] = [old, new]


def _wrong_range(site: VideoSite) -> None:
    (reply,) = site.replies[FILE]
    wrong = Reply(reply.body, headers={"Content-Range": "bytes 9-99/100"})
    site.replies[FILE] = [wrong, reply]


@pytest.mark.parametrize("spoil", [_no_ranges, _short, _no_index, _changes, _wrong_range])
def test_the_whole_is_fetched_where_a_part_cannot_be(
    site: VideoSite, tmp_path: Path, spoil: Callable[[VideoSite], None]
) -> None:
    """No ranges, no index, another range than asked, or a file that changes: all of it, then."""
    spoil(site)
    found = _fetch(site, tmp_path)
    assert isinstance(found, Found)
    assert found.starts_at_seconds == 0
    assert found.path.read_bytes() == site.replies[FILE][-1].body


def test_a_part_that_ends_too_early_is_no_part(site: VideoSite, tmp_path: Path) -> None:
    """A broken connection within the part is tried once more, and then the clip's reason."""
    (reply,) = site.replies[FILE]
    head = reply.body[:3000]
    short = Reply(
        head,
        status=206,
        headers={
            "Content-Range": f"bytes 0-4095/{len(reply.body)}",
            "Content-Length": "4096",
        },
    )
    site.replies[FILE] = [short]
    assert type(_fetch(site, tmp_path)) is Truncated
    assert site.asked == [WATCH, FILE] * 2
    site.replies[FILE] = [short, reply]
    found = _fetch(site, tmp_path)
    assert isinstance(found, Found)
    assert found.starts_at_seconds == 16.0


def test_a_refused_part_is_asked_for_anew(site: VideoSite, tmp_path: Path) -> None:
    """An address that has gone stale is looked up again for a part as for a whole file."""
    (reply,) = site.replies[FILE]
    site.replies[FILE] = [Reply(status=403), reply]
    found = _fetch(site, tmp_path)
    assert isinstance(found, Found)
    assert found.starts_at_seconds == 16.0
    site.replies[FILE] = [Reply(status=403)]
    assert type(_fetch(site, tmp_path)) is Forbidden

"""From a video site to clips: two files become one, and no secret is left anywhere."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest

from kinetics_assets.core.errors import BotCheck
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import AnnotationSettings, VideoRecipe
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.connect_proxy import ConnectProxy
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.video_site import VideoSite, know_the_site

ID = "-aaaaaaaaaa"
SECRET, PASSWORD = "canary-cookie-5151", "canary-password-7373"
Changed = Callable[..., ClassOrder]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[VideoSite]:
    """A site whose extractor is known."""
    know_the_site(monkeypatch)
    with VideoSite() as running:
        yield running


@pytest.fixture
def one_clip(order: ClassOrder, changed: Changed, tmp_path: Path, site: VideoSite) -> Changed:
    """Return what gives a class of one clip, of a video that is asked of `site`."""
    listed = tmp_path / "train.csv"

    def change(span: tuple[int, int] = (1, 3), **more: object) -> ClassOrder:
        row = f"{order.label},{ID},{span[0]},{span[1]},train\n"
        listed.write_text(f"label,youtube_id,time_start,time_end,split\n{row}", encoding="utf-8")
        made = changed(
            annotations=AnnotationSettings(source=str(listed)),
            sources=replace(site.settings(**more), order=("youtube",)),
            videos=VideoRecipe(trim_preset="ultrafast", min_frames=1),
        )
        run_annotations(made.settings)
        return made

    return change


def _row(order: ClassOrder) -> ManifestRow:
    (row,) = read_manifest(order.layout, order.split, Stage.VIDEOS, order.label)
    return row


def test_a_clip_of_a_video_whose_sound_is_apart(
    site: VideoSite, one_clip: Changed, tmp_path: Path
) -> None:
    """The clip has the pictures of the one file and the sound of the other, cut to its span."""
    whole = media.plain(tmp_path / "whole", frames=125, audio_codec="aac", gop=25)
    both: list[dict[str, object]] = [
        {"vcodec": "avc1", "acodec": "none", "ext": "mp4", "height": 64, "width": 96},
        {"vcodec": "none", "acodec": "mp4a", "ext": "m4a"},
    ]
    for record, kind in zip(both, ("video", "audio"), strict=True):
        record |= {"format_id": kind, "url": site.has(f"/{kind}", media.in_fragments(whole, kind))}
    site.describes(ID, {"formats": both})
    order = one_clip()
    run_stage(Stage.VIDEOS, order)
    row = _row(order)
    assert (row.status, row.frames_decoded) == (Status.OK, 50)
    path = order.layout.video(order.split, order.label, row.clip)
    with av.open(str(path)) as clip:
        (sound,) = clip.streams.audio
        heard = sum(packet.duration or 0 for packet in clip.demux(sound))
        assert float(heard * (sound.time_base or 0)) == pytest.approx(2.0, abs=0.05)


def test_a_clip_of_a_long_video_is_the_same_from_a_part_of_it(
    site: VideoSite, one_clip: Changed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures and sound of the fetched part give the very packets that the whole file gives."""
    monkeypatch.setattr("kinetics_assets.sources.youtube_part._INDEX_BYTES", 4096)
    whole = media.plain(tmp_path / "whole", frames=1000, audio_codec="aac", gop=50)
    both: list[dict[str, object]] = [
        {"vcodec": "avc1", "acodec": "none", "ext": "mp4", "height": 64, "width": 96},
        {"vcodec": "none", "acodec": "mp4a", "ext": "m4a"},
    ]
    for record, kind in zip(both, ("video", "audio"), strict=True):
        record |= {"format_id": kind, "url": site.has(f"/{kind}", media.in_fragments(whole, kind))}
    site.describes(ID, {"formats": both, "duration": 3600})
    packets, sent = [], []
    for allows_ranges in (True, False):
        site.allows_ranges, site.sent_bytes = allows_ranges, 0
        order = one_clip(span=(31, 34))
        run_stage(Stage.VIDEOS, order)
        row = _row(order)
        assert (row.status, row.frames_decoded) == (Status.OK, 75)
        path = order.layout.video(order.split, order.label, row.clip)
        packets.append([media.packets_of(path, kind) for kind in ("video", "audio")])
        sent.append(site.sent_bytes)
        order.layout.manifest(order.split, Stage.VIDEOS, order.label).unlink()
        path.unlink()
    assert packets[0] == packets[1]
    assert sent[0] < 0.5 * sent[1]


def test_no_secret_is_left_anywhere(
    site: VideoSite,
    one_clip: Changed,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Cookies and passwords are in no manifest, journal, log or exception, whatever a site says."""
    caplog.set_level(logging.DEBUG)
    cookies = tmp_path / "cookies.txt"
    line = f"127.0.0.1\tFALSE\t/\tFALSE\t0\tSID\t{SECRET}\n"
    cookies.write_text(f"# Netscape HTTP Cookie File\n{line}")
    said = f"SID={SECRET} is odd, and so is user:{PASSWORD}"
    site.describes(ID, {"says": said, "warns": [f"see {SECRET}"]})
    with ConnectProxy(credentials=f"user:{PASSWORD}") as proxy:
        url = proxy.url(f"user:{PASSWORD}")
        order = one_clip(youtube_cookies=cookies, youtube_proxy=url)
        run_stage(Stage.VIDEOS, order)
        assert all(SECRET in sent for sent in site.cookies)
        row = _row(order)
        assert (row.status, row.reason) == (Status.PENDING, Reason.DOWNLOAD_FAILED)
        assert "is odd, and so is user:" in row.reason_text
        site.describes(ID, {"says": f"{said}. Sign in to confirm you\u2019re not a bot"})
        with pytest.raises(BotCheck) as caught:
            run_stage(Stage.VIDEOS, order, retry_now=True)
    told = [repr(row), caplog.text, *capfd.readouterr(), repr(order)]
    told += traceback.format_exception(caught.value)
    told += [
        path.read_bytes().decode(errors="replace")
        for path in tmp_path.rglob("*")
        if path.is_file() and path != cookies
    ]
    assert len(told) > 8
    assert not [text for text in told if SECRET in text or PASSWORD in text]

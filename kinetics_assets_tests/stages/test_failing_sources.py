"""When a source fails: what is believed, what is held back, and what stops the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.errors import (
    AgeRestricted,
    BotCheck,
    ClipError,
    MassFailure,
    RateLimited,
    SourcePaused,
    VideoPrivate,
    VideoUnavailable,
)
from kinetics_assets.core.evidence import CONFIRMED_AFTER
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import AnnotationSettings, SourceSettings, VideoRecipe
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.io.journal import read_journal
from kinetics_assets.io.manifests import read_manifest, write_manifest
from kinetics_assets.sources import registry
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.breaker import end_pauses
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets_tests.servers import FaultServer

Changed = Callable[..., ClassOrder]
CLIPS = 30


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server of this machine."""
    with FaultServer() as running:
        yield running


@pytest.fixture
def asked_of(order: ClassOrder, changed: Changed, tmp_path: Path, server: FaultServer) -> Changed:
    """Return what gives a class of `CLIPS` clips whose videos are asked of `server`."""
    rows = "".join(f"{order.label},{number:011d},0,1,train\n" for number in range(CLIPS))
    listed = tmp_path / "train.csv"
    listed.write_text(f"label,youtube_id,time_start,time_end,split\n{rows}", encoding="utf-8")
    sources = SourceSettings(
        order=("youtube",),
        youtube_url=server.url("/{id}.mp4"),
        youtube_extractors=("generic",),
        youtube_interval_seconds=0,
        youtube_canaries=(),
        loopback_hosts=(server.host,),
        max_wait_seconds=0.2,
    )

    def change(**more: object) -> ClassOrder:
        made = changed(
            annotations=AnnotationSettings(source=str(listed)),
            sources=replace(sources, **more),  # type: ignore[arg-type] # named by the caller
            videos=VideoRecipe(min_duration_share=0),
        )
        run_annotations(made.settings)
        return made

    return change


def serve(server: FaultServer, order: ClassOrder, *, good: int, otherwise: str, pool: Path) -> None:
    """Let the server have the first `good` videos, and a fault for all others."""
    clip = min((pool / order.label).iterdir()).read_bytes()
    for number in range(CLIPS):
        path = f"/{number:011d}.mp4"
        if number < good:
            server.files[path] = clip
        else:
            server.redirects[path] = f"/{otherwise}{path}"


def rows_of(order: ClassOrder) -> list[ManifestRow]:
    """Return the manifest of the class."""
    return read_manifest(order.layout, order.split, Stage.VIDEOS, order.label)


@pytest.mark.parametrize("fault", ["status-404", "status-403", "page-as-video", "status-500"])
def test_a_mass_failure_marks_no_clip(
    server: FaultServer, asked_of: Changed, pool_of_clips: Path, fault: str
) -> None:
    """Of 95 % failures no clip is lost for good: the source is stopped, and the step says so."""
    order = asked_of()
    serve(server, order, good=1, otherwise=fault, pool=pool_of_clips)
    with pytest.raises(MassFailure, match=r"clips asked of youtube failed"):
        run_stage(Stage.VIDEOS, order)
    counts = Counter(row.status for row in rows_of(order))
    assert counts == {Status.OK: 1, Status.PENDING: CLIPS - 1}
    asked = len(server.requests)
    with pytest.raises(SourcePaused, match="asked of youtube failed"):
        run_stage(Stage.VIDEOS, order)
    assert len(server.requests) == asked, "a paused source was asked"
    assert Counter(row.status for row in rows_of(order)) == counts


def test_the_user_can_end_a_pause(
    server: FaultServer, asked_of: Changed, pool_of_clips: Path
) -> None:
    """When the cause is mended, nobody has to wait for the hour to be over."""
    order = asked_of()
    serve(server, order, good=0, otherwise="status-403", pool=pool_of_clips)
    with pytest.raises(MassFailure):
        run_stage(Stage.VIDEOS, order)
    server.redirects.clear()
    serve(server, order, good=CLIPS, otherwise="", pool=pool_of_clips)
    assert end_pauses(registry.sources_of(order.settings, order.split)) == [server.host]
    report = run_stage(Stage.VIDEOS, order, retry_now=True)
    assert {row.status for row in report.rows} == {Status.OK}
    assert end_pauses(registry.sources_of(order.settings, order.split)) == []


def test_what_was_heard_before_the_breaker_opened_is_kept(
    server: FaultServer, asked_of: Changed, pool_of_clips: Path
) -> None:
    """Evidence is journalled as it comes, so that neither a stop nor a SIGKILL loses it."""
    order = asked_of()
    serve(server, order, good=0, otherwise="status-404", pool=pool_of_clips)
    with pytest.raises(MassFailure):
        run_stage(Stage.VIDEOS, order)
    heard = read_journal(order.layout.journal(order.split, Stage.VIDEOS, order.label))
    assert len(heard) >= order.settings.sources.mass_failure_least - 1
    for row in heard:
        assert (row.status, row.reason) == (Status.PENDING, Reason.GONE)
        (trial,) = row.tried
        assert (trial.source, trial.reason, trial.count) == ("youtube", Reason.GONE, 1)
        assert "404" in trial.text


def test_some_dead_links_among_good_ones_are_believed(
    server: FaultServer, asked_of: Changed, pool_of_clips: Path
) -> None:
    """Verdicts that were held back are settled when the step ends and the source gave the rest."""
    order = asked_of()
    serve(server, order, good=CLIPS - 6, otherwise="status-404", pool=pool_of_clips)
    report = run_stage(Stage.VIDEOS, order)
    counts = Counter((row.status, row.reason) for row in report.rows)
    assert counts == {(Status.OK, None): CLIPS - 6, (Status.UNAVAILABLE, Reason.GONE): 6}
    assert not needs_work(Stage.VIDEOS, order, now=now_utc() + timedelta(days=99))


def test_a_class_of_few_dead_links_is_believed(
    server: FaultServer, asked_of: Changed, pool_of_clips: Path
) -> None:
    """Below the number that makes a mass failure, a source without canary is believed."""
    order = asked_of(mass_failure_least=CLIPS + 1)
    serve(server, order, good=0, otherwise="status-404", pool=pool_of_clips)
    report = run_stage(Stage.VIDEOS, order)
    assert {row.status for row in report.rows} == {Status.UNAVAILABLE}


def test_a_rate_limit_stops_the_source_for_all_steps(
    server: FaultServer, asked_of: Changed, pool_of_clips: Path
) -> None:
    """A pause longer than may be sat out is kept by the next step too, as long as asked."""
    order = asked_of(pause_minutes=0)
    serve(server, order, good=2, otherwise="status-429", pool=pool_of_clips)
    with pytest.raises(RateLimited):
        run_stage(Stage.VIDEOS, order)
    rows = rows_of(order)
    assert Counter(row.status for row in rows) == {Status.OK: 2, Status.PENDING: CLIPS - 2}
    assert all(row.reason is None and row.attempts == 0 for row in rows if row.status != "ok")
    paused = HostPace(server.host).paused()
    assert paused is not None
    assert 60 < (paused.until - now_utc()).total_seconds() <= 120  # the server says 120
    asked = len(server.requests)
    with pytest.raises(SourcePaused):
        run_stage(Stage.VIDEOS, order)
    assert len(server.requests) == asked


def test_the_row_says_what_was_tried_before(
    order: ClassOrder, changed: Changed, server: FaultServer, pool_of_clips: Path, tmp_path: Path
) -> None:
    """A clip that the second source gave names it, with the first one's answer as evidence."""
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (pool_of_clips / order.label).iterdir():
        server.files[f"/{path.name}"] = path.read_bytes()
    both = changed(
        sources=SourceSettings(
            order=("local", "youtube"),
            local_folders=(empty,),
            youtube_url=server.url("/{id}_{start}_{end}.mp4"),
            youtube_extractors=("generic",),
            youtube_interval_seconds=0,
            youtube_canaries=(),
            loopback_hosts=(server.host,),
        )
    )
    taken = [row for row in run_stage(Stage.VIDEOS, both).rows if row.status is Status.OK]
    assert len(taken) == len(server.files)
    for row in taken:
        assert row.source == "youtube"
        assert row.source_address == server.url(f"/{row.clip.name}.mp4")
        (trial,) = row.tried
        assert (trial.source, trial.reason) == ("local", Reason.NOT_AT_SOURCE)


@dataclass
class Scripted:
    """A source that answers as a test says; what real sites say cannot be had here."""

    answers: Callable[[ClipId], Found | ClipError]
    alive: bool | None = True
    name: str = "youtube"
    may_heal: bool = True
    host: str = "scripted.example"
    canary_calls: list[int] = field(default_factory=list)

    def fetch(
        self, clips: Sequence[ClipId], *, label: str, scratch: Path
    ) -> Mapping[ClipId, Found | ClipError]:
        """Return the scripted answers."""
        del label, scratch
        return {clip: self.answers(clip) for clip in clips}

    def state_of(self, clip: ClipId) -> str:
        """Return nothing: this source never changes."""
        del clip
        return ""

    def is_alive(self) -> bool | None:
        """Return what the test says."""
        self.canary_calls.append(1)
        return self.alive


Script = Callable[[Callable[[ClipId], Found | ClipError], bool | None], Scripted]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Return what puts a scripted source in the place of YouTube."""

    def put(answers: Callable[[ClipId], Found | ClipError], alive: bool | None) -> Scripted:
        source = Scripted(answers, alive)
        monkeypatch.setitem(registry._SOURCES, "youtube", lambda *_: source)
        return source

    return put


def unavailable(*, works: bool) -> Callable[[ClipId], ClipError]:
    """Return an answer 'unavailable' for every clip."""

    def answer(_: ClipId) -> ClipError:
        error = VideoUnavailable("Video unavailable")
        error.source_works = works
        return error

    return answer


def a_day_older(order: ClassOrder) -> None:
    """Shift what was tried for the class into the past."""
    rows = [
        replace(
            row,
            not_before=None,
            tried=tuple(
                replace(
                    trial,
                    first_at=trial.first_at - CONFIRMED_AFTER,
                    last_at=trial.last_at - CONFIRMED_AFTER,
                )
                for trial in row.tried
            ),
        )
        for row in rows_of(order)
    ]
    write_manifest(order.layout, order.split, Stage.VIDEOS, order.label, rows=rows)


def test_unavailable_is_permanent_after_a_second_day(script: Script, asked_of: Changed) -> None:
    """The first 'unavailable' waits a day; the second, while the canary works, is believed."""
    order = asked_of()
    script(unavailable(works=True), True)
    report = run_stage(Stage.VIDEOS, order)
    for row in report.rows:
        assert (row.status, row.reason) == (Status.PENDING, Reason.VIDEO_UNAVAILABLE)
        assert row.not_before == row.tried[0].first_at + CONFIRMED_AFTER
    a_day_older(order)
    report = run_stage(Stage.VIDEOS, order)
    assert {(row.status, row.reason) for row in report.rows} == {
        (Status.UNAVAILABLE, Reason.CONFIRMED_UNAVAILABLE)
    }


def test_unavailable_without_a_working_canary_is_never_permanent(
    script: Script, asked_of: Changed
) -> None:
    """However often it is said: while the source was not seen to work, the clip stays pending."""
    order = asked_of(mass_failure_least=10**6)
    script(unavailable(works=False), None)
    for _ in range(3):
        report = run_stage(Stage.VIDEOS, order, retry_now=True)
        assert {row.status for row in report.rows} == {Status.PENDING}
        a_day_older(order)
    assert {row.tried[0].count for row in report.rows} == {3}


def test_many_lost_videos_are_believed_while_the_canary_works(
    script: Script, asked_of: Changed
) -> None:
    """A class whose rest is truly gone comes to its end: the canary tells it from a ban."""
    order = asked_of()
    source = script(lambda _: VideoPrivate("Private video"), True)
    report = run_stage(Stage.VIDEOS, order)
    assert {row.status for row in report.rows} == {Status.UNAVAILABLE}
    assert source.canary_calls


def test_many_lost_videos_are_not_believed_when_the_canary_is_gone_too(
    script: Script, asked_of: Changed
) -> None:
    """If what is known to be there cannot be had either, the site's words count for nothing."""
    order = asked_of()
    script(lambda _: VideoPrivate("Private video"), False)
    with pytest.raises(MassFailure):
        run_stage(Stage.VIDEOS, order)
    assert {row.status for row in rows_of(order)} == {Status.PENDING}


def test_a_canary_that_is_gone_lets_no_few_videos_be_lost(
    script: Script, asked_of: Changed
) -> None:
    """Below the number of a mass failure, too, a source that does not work proves nothing."""
    order = asked_of(mass_failure_least=CLIPS + 1)
    script(lambda _: VideoPrivate("Private video"), False)
    report = run_stage(Stage.VIDEOS, order)
    assert {row.status for row in report.rows} == {Status.PENDING}
    assert {row.reason for row in report.rows} == {Reason.VIDEO_PRIVATE}
    assert all(row.not_before and row.not_before > now_utc() for row in report.rows)


def test_a_clip_behind_a_login_is_not_lost_for_a_bad_copy(
    script: Script, asked_of: Changed, tmp_path: Path
) -> None:
    """That a local copy is damaged does not hide that the video could be had with a login."""
    pool = tmp_path / "pool"
    pool.mkdir()
    for number in range(CLIPS):
        (pool / f"{number:011d}_000000_000001.mp4").write_bytes(b"<html>" * 100)
    order = asked_of(order=("local", "youtube"), local_folders=(pool,))
    script(lambda _: AgeRestricted("Sign in to confirm your age"), True)
    report = run_stage(Stage.VIDEOS, order)
    assert {(row.status, row.reason) for row in report.rows} == {
        (Status.PENDING, Reason.AGE_RESTRICTED)
    }


def test_a_bot_check_stops_the_source_at_once(
    script: Script, asked_of: Changed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one bot check nothing more is asked, here or in the next step; no clip is blamed."""
    order = asked_of(connections=1)
    source = script(lambda _: VideoUnavailable("x"), None)
    asked = []

    def fetch(clips: Sequence[ClipId], *, label: str, scratch: Path) -> Mapping[ClipId, ClipError]:
        del label, scratch
        asked.append(clips)
        raise BotCheck("Sign in to confirm you are not a bot")

    monkeypatch.setattr(source, "fetch", fetch)
    with pytest.raises(BotCheck):
        run_stage(Stage.VIDEOS, order)
    assert len(asked) == 1
    assert all(row.reason is None for row in rows_of(order))
    assert HostPace(source.host).paused() is not None


def test_a_source_that_is_down_does_not_matter_when_others_gave_all(
    script: Script, asked_of: Changed, pool_of_clips: Path, tmp_path: Path
) -> None:
    """A class that is complete is no failure, though one source could not be asked."""
    pool = tmp_path / "pool"
    pool.mkdir()
    clip = min((pool_of_clips / "abseiling").iterdir())
    for number in range(CLIPS):
        (pool / f"{number:011d}_000000_000001.mp4").hardlink_to(clip)
    order = asked_of(order=("youtube", "local"), local_folders=(pool,), connections=1)
    source = script(lambda _: VideoUnavailable("x"), None)

    def fetch(*_: object, **__: object) -> Mapping[ClipId, ClipError]:
        raise BotCheck("Sign in to confirm you are not a bot")

    source.fetch = fetch  # type: ignore[method-assign] # what a bot check does
    report = run_stage(Stage.VIDEOS, order)
    assert {row.status for row in report.rows} == {Status.OK}

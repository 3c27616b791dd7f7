"""When a source fails: what is believed, what is held back, and what stops the source."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from kinetics_assets.core.errors import (
    MassFailure,
    RateLimited,
    SourcePaused,
)
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import SourceSettings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.io.journal import read_journal
from kinetics_assets.sources import registry
from kinetics_assets.sources.breaker import end_pauses
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets_tests.servers import FaultServer
from kinetics_assets_tests.stages.scripted import CLIPS, Changed, rows_of


def serve(server: FaultServer, order: ClassOrder, *, good: int, otherwise: str, pool: Path) -> None:
    """Let the server have the first `good` videos, and a fault for all others."""
    clip = min((pool / order.label).iterdir()).read_bytes()
    for number in range(CLIPS):
        path = f"/{number:011d}.mp4"
        if number < good:
            server.files[path] = clip
        else:
            server.redirects[path] = f"/{otherwise}{path}"


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
    began = now_utc()
    with pytest.raises(RateLimited):
        run_stage(Stage.VIDEOS, order)
    ended = now_utc()
    rows = rows_of(order)
    assert Counter(row.status for row in rows) == {Status.OK: 2, Status.PENDING: CLIPS - 2}
    assert all(row.reason is None and row.attempts == 0 for row in rows if row.status != "ok")
    paused = HostPace(server.host).paused()
    assert paused is not None
    asked_for = timedelta(seconds=120)  # by the server
    assert began + asked_for <= paused.until <= ended + asked_for
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

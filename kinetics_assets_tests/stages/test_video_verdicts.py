"""Verdicts: what a source says of a clip is believed only as far as the source is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.errors import (
    AgeRestricted,
    BotCheck,
    ClipError,
    MassFailure,
    VideoPrivate,
    VideoUnavailable,
)
from kinetics_assets.core.evidence import CONFIRMED_AFTER
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.io.manifests import write_manifest
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.stages.scripted import CLIPS, Changed, Script, rows_of


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

"""What stands behind a status: reasons, pauses, pace, sources."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.io.manifests import read_manifest, write_manifest
from kinetics_assets.sources.registry import sources_of
from kinetics_assets.stages.pace import Pace, read_pace
from kinetics_assets.stages.paused import paused_sources
from kinetics_assets.stages.status import read_status
from kinetics_assets.stages.status_reasons import by_source, explain
from kinetics_assets_tests.stages.prepared import CLASSES, NOW, fail, prepared

TRAIN, VIDEOS = Split.TRAIN, Stage.VIDEOS
A, B, C, D, E = CLASSES


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a complete tree of one split."""
    return prepared(tmp_path, splits=(TRAIN,))


def test_a_status_is_narrowed_to_reasons(settings: Settings) -> None:
    """Only classes that hold the reason are counted, only its clips are listed."""
    fail(settings, TRAIN, A, Reason.NETWORK, Reason.GEO_BLOCKED)
    fail(settings, TRAIN, B, Reason.GEO_BLOCKED)
    status = read_status(settings, stages=[VIDEOS]).holding(frozenset({Reason.NETWORK}))
    (total,) = status.totals
    assert [one.label for one in total.classes] == [A]
    assert [row.reason for _, _, row in status.failures()] == [Reason.NETWORK]
    explained = explain(status, now=NOW)
    assert [line.reason for _, line in explained.by_reason] == ["network"]


def test_all_of_it_is_json(settings: Settings) -> None:
    """Reasons, texts, pace and bytes by source come as plain values."""
    fail(settings, TRAIN, A, Reason.DOWNLOAD_FAILED, hours=2)
    found = json.loads(json.dumps(explain(read_status(settings), now=NOW).to_json()))
    (videos,) = [line for line in found["by_reason"] if line["stage"] == "videos"]
    assert (videos["reason"], videos["rows"], videos["due_now"]) == ("download_failed", 1, 0)
    assert videos["next_due"] == (NOW + timedelta(hours=2)).isoformat()
    assert found["unknown_texts"][0]["text"] == "local: download_failed in words"
    assert found["pace"][0] == {
        "split": "train",
        "stage": "videos",
        "clips_last_hour": 20,
        "untried": 0,
        "hours_left": 0.0,
    }
    assert found["sources"][0]["sources"]["local"]["clips"] == 19
    assert (found["paused_sources"], found["sources_problem"]) == ([], "")


def test_sources_that_cannot_be_set_up_do_not_hide_the_status(settings: Settings) -> None:
    """A disk that is not mounted is told, beside everything else."""
    gone = replace(settings.sources, local_folders=(settings.root / "gone",))
    explained = explain(read_status(replace(settings, sources=gone)), now=NOW)
    assert "gone" in explained.sources_problem
    assert explained.status.totals


def test_a_paused_source_is_told_with_its_cause(settings: Settings, tmp_path: Path) -> None:
    """While the breaker of a source is open, its time and cause are known; afterwards not."""
    asked = replace(settings, sources=replace(settings.sources, order=("local", "youtube")))
    (host,) = {source.host for source in sources_of(asked, TRAIN) if source.host}
    pace = HostPace(host, folder=tmp_path / "pace")
    assert paused_sources(asked, [TRAIN], folder=tmp_path / "pace") == []
    pace.pause(600, cause="a bot check")
    (paused,) = paused_sources(asked, [TRAIN, Split.VAL], folder=tmp_path / "pace")
    assert (paused.name, paused.host, paused.cause) == ("youtube", host, "a bot check")
    assert paused.to_json()["until"] == paused.until.isoformat()
    pace.resume()
    assert paused_sources(asked, [TRAIN], folder=tmp_path / "pace") == []


def test_pace_and_rest_come_from_what_was_decided_lately(settings: Settings) -> None:
    """Five clips in an hour and four untried take 48 minutes; old verdicts do not count."""
    layout = Layout.of(settings)
    rows = read_manifest(layout, TRAIN, VIDEOS, A)
    long_ago = [replace(row, finished_at=NOW - timedelta(hours=5)) for row in rows]
    for label in (A, B, C):
        others = read_manifest(layout, TRAIN, VIDEOS, label)
        old = [replace(row, finished_at=long_ago[0].finished_at) for row in others]
        write_manifest(layout, TRAIN, VIDEOS, label, rows=old)
    late = read_manifest(layout, TRAIN, VIDEOS, C)
    late[0] = replace(late[0], finished_at=NOW)
    write_manifest(layout, TRAIN, VIDEOS, C, rows=late)
    layout.manifest(TRAIN, VIDEOS, E).unlink()
    pace = read_pace(layout, TRAIN, VIDEOS, now=NOW)
    assert pace == Pace(clips_last_hour=5, untried=4)
    assert pace.hours_left == pytest.approx(0.8)
    assert pace.hours_left_at(4 / 3600) == pytest.approx(1.0)
    assert read_status(settings, stages=[VIDEOS]).totals[0].pace(NOW) == pace


def test_no_pace_gives_no_forecast(settings: Settings) -> None:
    """Where nothing was done there is no rate; where nothing is left it takes no time."""
    assert Pace(clips_last_hour=0, untried=5).hours_left is None
    assert Pace(clips_last_hour=0, untried=0).hours_left == 0
    assert Pace(clips_last_hour=9, untried=5).hours_left_at(0) is None
    later = NOW + timedelta(days=1)
    assert read_pace(Layout.of(settings), TRAIN, VIDEOS, now=later) == Pace(0, 0)


def test_bytes_and_clips_are_added_up_by_source(settings: Settings) -> None:
    """Each source has what it gave; failed rows give nothing. Names are plain text for Dagster."""
    rows = read_manifest(Layout.of(settings), TRAIN, VIDEOS, A)
    rows[0] = replace(rows[0], source="mirror", size_bytes=1000)
    rows[1] = replace(rows[1], status=Status.PENDING)
    rows.append(replace(rows[2], source=VIDEOS, size_bytes=1))
    found = by_source(rows)
    assert list(found) == ["mirror", "local", "videos"]
    assert {type(name) for name in found} == {str}
    assert found["mirror"] == {"clips": 1, "bytes": 1000}
    assert found["local"]["clips"] == 2

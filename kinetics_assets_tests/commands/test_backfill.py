"""`kinetics backfill` as a user meets it: what it says, what it adds, how it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from kinetics_assets import cli
from kinetics_assets.assets.backfills import targets_of
from kinetics_assets.core.clips import Split
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.runs import dagster_home, open_instance
from kinetics_assets_tests.stages.prepared import AGES_HOURS, CLASSES, fail, output, prepared

TRAIN, VAL = Split.TRAIN, Split.VAL
A, B, C, D, E = CLASSES
Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a complete tree that Dagster has recorded."""
    made = prepared(tmp_path)
    (made.root / "kinetics.toml").write_text(
        f'[sources]\norder = ["local"]\nlocal_folders = ["{tmp_path / "local"}"]\n'
        "[thresholds]\nmin_completeness = 0.5\n"
    )
    with open_instance(dagster_home(made.root)) as instance:
        for split in (TRAIN, VAL):
            for stage in (Stage.VIDEOS, Stage.RESIZED):
                key = dg.AssetKey(["demo", split.value, stage.value])
                for label in CLASSES:
                    event = dg.AssetMaterialization(key, partition=label)
                    instance.report_runless_asset_event(event)
    return made


@pytest.fixture
def say(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Say:
    """Return a function that runs the verb and returns exit code, stdout and stderr."""

    def run(*options: str) -> tuple[int, str, str]:
        arguments = ["backfill", "demo", "--root", str(settings.root)]
        code = cli.run([*arguments, "--stage", "videos,resized", *options])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def backfills(settings: Settings) -> list[Any]:
    """Return the backfills that were added."""
    with open_instance(dagster_home(settings.root)) as instance:
        return list(instance.get_backfills())


def test_nothing_to_do_is_said_and_launches_nothing(settings: Settings, say: Say) -> None:
    """A complete tree: exit code 0, one line, no backfill; --wait has nothing to wait for."""
    assert say() == (0, "demo: no class needs a run now.\n", "")
    assert say("--wait") == (0, "demo: no class needs a run now.\n", "")
    assert backfills(settings) == []


def test_a_dry_run_says_what_and_why_and_adds_nothing(settings: Settings, say: Say) -> None:
    """Classes and reasons, those that wait included, in words and as JSON."""
    fail(settings, TRAIN, A, Reason.NETWORK, hours=-AGES_HOURS)
    fail(settings, VAL, B, Reason.NETWORK, hours=AGES_HOURS)
    code, out, _ = say("--dry-run")
    assert code == 0
    assert "demo: 1 class to refill:" in out
    assert "1 retryable (1 network)" in out
    assert "Not now:" in out
    assert "(--retry-now)" in out
    code, out, _ = say("--dry-run", "--json")
    told = json.loads(out)
    assert [(c["split"], c["stage"], c["class"]) for c in told["chosen"]] == [
        ("train", "videos", A),
        ("train", "resized", A),
    ]
    assert [(c["split"], c["class"]) for c in told["waiting"]] == [("val", B)]
    assert (code, told["backfills"], backfills(settings)) == (0, [], [])


def test_options_reach_the_backfill(settings: Settings, say: Say) -> None:
    """Chosen by reason and before its time, the class's runs are told to retry just that."""
    fail(settings, TRAIN, A, Reason.VIDEO_REMOVED, hours=AGES_HOURS)
    fail(settings, VAL, B, Reason.NETWORK, hours=AGES_HOURS)
    output(settings, TRAIN, Stage.VIDEOS, C).unlink()
    code, out, _ = say("--reason", "network", "--retry-now", "--json")
    told = json.loads(out)
    (backfill,) = backfills(settings)
    assert (code, told["backfills"]) == (0, [backfill.backfill_id])
    assert targets_of(backfill, "demo") == {(VAL, Stage.VIDEOS): {B}, (VAL, Stage.RESIZED): {B}}
    options = {"config": {"retry_now": True, "retry_reasons": ["network"]}}
    assert backfill.run_config == {
        "ops": {"demo__val__videos": options, "demo__val__resized": options}
    }


def test_retry_now_ends_the_pause_of_a_source(settings: Settings, say: Say) -> None:
    """Who orders the next attempt does not have it refused by a source that is left alone."""
    (settings.root / "kinetics.toml").write_text(
        '[sources]\norder = ["youtube"]\nloopback_hosts = ["127.0.0.1:9"]\n'
        'youtube_url = "http://127.0.0.1:9/{id}.mp4"\n'
    )
    fail(settings, VAL, B, Reason.NETWORK, hours=AGES_HOURS)
    pace = HostPace("127.0.0.1:9")
    pace.pause(3600.0, cause="bot check")
    say("--reason", "network", "--dry-run", "--retry-now")
    assert pace.paused() is not None, "a dry run changes nothing"
    _, out, _ = say("--reason", "network", "--retry-now")
    assert "127.0.0.1:9 was left alone" in out
    assert pace.paused() is None


def test_a_second_request_leaves_out_what_is_asked_for(settings: Settings, say: Say) -> None:
    """While a backfill is under way its classes are not launched again."""
    output(settings, TRAIN, Stage.VIDEOS, A).unlink()
    say()
    output(settings, TRAIN, Stage.VIDEOS, B).unlink()
    _, out, _ = say()
    assert "asked for by a backfill that is under way" in out
    targets = [
        targets_of(backfill, "demo")[TRAIN, Stage.VIDEOS] for backfill in backfills(settings)
    ]
    assert sorted(map(sorted, targets)) == [[A], [B]]


def test_the_daemon_is_told_from_its_heartbeats(settings: Settings, say: Say) -> None:
    """A daemon that beat lately launches the runs; one that is silent is not counted on."""
    output(settings, TRAIN, Stage.VIDEOS, A).unlink()

    def beat(seconds_ago: float) -> None:
        with open_instance(dagster_home(settings.root)) as instance:
            for name in instance.get_required_daemon_types():
                moment = time.time() - seconds_ago
                instance.add_daemon_heartbeat(DaemonHeartbeat(moment, name, "a daemon", []))

    beat(1000)
    assert "Start `kinetics up`" in say()[1]
    beat(1)
    output(settings, TRAIN, Stage.VIDEOS, B).unlink()
    assert "The daemon launches the runs" in say()[1]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (("--state", "gone"), "missing, failed"),
        (("--reason", "disk_full"), "video_removed"),
        (("--older-than", "yesterday"), "24h"),
        (("--class", "zumbaa"), "zumba"),
        (("--split", "trian"), "train"),
        (("--stage", "frames"), "rawframes"),
    ],
)
def test_typing_slips_are_told(
    options: tuple[str, ...], hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and what is allowed, before anything is looked at."""
    assert cli.run(["backfill", "demo", "--root", str(tmp_path), *options]) == 2
    assert hint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_lists_the_next_step_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing can be missing of a dataset that has no list: exit code 2 with the command."""
    assert cli.run(["backfill", "demo", "--root", str(tmp_path)]) == 2
    assert "kinetics prepare demo" in capsys.readouterr().err


def test_a_dataset_that_dagster_does_not_show_is_refused(
    settings: Settings, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backfill that no daemon could run is never added."""
    output(settings, TRAIN, Stage.VIDEOS, A).unlink()
    monkeypatch.setenv("KINETICS_DATASETS", "kinetics400")
    code, _, err = say()
    assert code == 2
    assert "KINETICS_DATASETS" in err
    assert backfills(settings) == []

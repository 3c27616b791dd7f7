"""The home of the Dagster instance: made once, kept as the user left it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import SettingsError
from kinetics_assets.core.stages import Stage
from kinetics_assets.executors.gpu import WORKER_TAG
from kinetics_assets.io.processes import identity
from kinetics_assets.runs import dagster_home, is_materialised, open_instance, reap_dead_runs

TOP = Path(__file__).parents[2]
VIDEOS = dg.AssetKey(["demo", "train", "videos"])


def test_a_fresh_home_is_private_and_seeded(tmp_path: Path) -> None:
    """Nobody else may read it; its dagster.yaml is the package's; pools have their limits."""
    home = dagster_home(tmp_path)
    assert home == tmp_path / ".dagster"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert (home / "dagster.yaml").read_bytes() == (TOP / "dagster.yaml").read_bytes()
    with open_instance(home) as instance:
        assert instance.event_log_storage.get_concurrency_info("network").slot_count == 2
        assert not instance.telemetry_enabled


def test_what_the_user_set_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DAGSTER_HOME is used as set, with the file and the limits that are there."""
    home = tmp_path / "mine"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    assert dagster_home(tmp_path) == home
    with open_instance(home) as instance:
        instance.event_log_storage.set_concurrency_slots("network", 7)
    dagster_home(tmp_path)
    assert (home / "dagster.yaml").read_text() == "telemetry:\n  enabled: false\n"
    with open_instance(home) as instance:
        assert instance.event_log_storage.get_concurrency_info("network").slot_count == 7


def test_the_pool_of_gpu_steps_follows_the_machine_until_the_user_sets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its limit is devices x slots, also after these changed; the user's own limit stays."""

    def limit() -> int | None:
        with open_instance(dagster_home(tmp_path)) as instance:
            storage = instance.event_log_storage
            if "gpu" not in storage.get_concurrency_keys():
                return None
            return storage.get_concurrency_info("gpu").slot_count

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert limit() is None  # a step without any device begins, and says so
    monkeypatch.setenv("KINETICS_LIMITS__GPU_DEVICES", "left,right")
    monkeypatch.setenv("KINETICS_LIMITS__GPU_SLOTS", "1")
    assert limit() == 2
    monkeypatch.setenv("KINETICS_LIMITS__GPU_SLOTS", "2")
    assert limit() == 4
    with open_instance(dagster_home(tmp_path)) as instance:
        instance.event_log_storage.set_concurrency_slots("gpu", 1)
    monkeypatch.setenv("KINETICS_LIMITS__GPU_SLOTS", "3")
    assert limit() == 1


def test_a_broken_dagster_yaml_is_named(tmp_path: Path) -> None:
    """The message has the file and the remedy."""
    (tmp_path / ".dagster").mkdir()
    (tmp_path / ".dagster" / "dagster.yaml").write_text("telemetri: 1\n")
    with pytest.raises(SettingsError, match=r"dagster\.yaml.*Mend the file"):
        dagster_home(tmp_path)


@pytest.mark.slow
def test_processes_that_begin_at_once_do_not_break_a_new_home(tmp_path: Path) -> None:
    """SQLite databases are made by one process; regression: two heads in the version table."""
    code = (
        "import sys, pathlib; from kinetics_assets.runs import dagster_home, open_instance\n"
        "with open_instance(dagster_home(pathlib.Path(sys.argv[1]))) as i: i.get_runs()"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]
    racers = [subprocess.Popen(argv, cwd=TOP) for _ in range(3)]
    assert [racer.wait() for racer in racers] == [0, 0, 0]


def test_only_runs_of_ended_processes_here_are_reaped(tmp_path: Path) -> None:
    """A live process, another host and a run without a name are left alone."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        gone = identity(process.pid)
        process.kill()
    alive, elsewhere = identity(os.getpid()), "another-host:boot:1:1"
    rebooted = gone.replace(gone.split(":")[1], "an-earlier-boot")
    job = dg.GraphDefinition("nothing").to_job()
    with open_instance(dagster_home(tmp_path)) as instance:
        runs = {
            name: instance.create_run_for_job(
                job,
                status=dg.DagsterRunStatus.STARTED,
                tags={WORKER_TAG: name} if name else {},
            ).run_id
            for name in (gone, rebooted, alive, elsewhere, "")
        }
        assert set(reap_dead_runs(instance)) == {runs[gone], runs[rebooted]}
        left = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        assert {run.run_id for run in left} == {runs[alive], runs[elsewhere], runs[""]}


def test_materialised_classes_are_told_in_bulk(tmp_path: Path) -> None:
    """Only classes that were asked for and have a materialisation count."""
    with open_instance(dagster_home(tmp_path)) as instance:
        for label in ("zumba", "abseiling"):
            instance.report_runless_asset_event(dg.AssetMaterialization(VIDEOS, partition=label))
        labels = ["zumba", "air drumming"]
        done = is_materialised(instance, "demo", Split.TRAIN, Stage.VIDEOS, labels)
        assert done == {"zumba"}
        assert is_materialised(instance, "demo", Split.VAL, Stage.VIDEOS, labels) == set()


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff"])
def test_a_damaged_note_of_limits_is_none(text: bytes, tmp_path: Path) -> None:
    """Nothing fails, and a limit that is not known to be ours stays as it is."""
    home = dagster_home(tmp_path)
    with open_instance(home) as instance:
        instance.event_log_storage.set_concurrency_slots("network", 7)
    (home / "pools.json").write_bytes(text)
    with open_instance(dagster_home(tmp_path)) as instance:
        assert instance.event_log_storage.get_concurrency_info("network").slot_count == 7

"""`kinetics backfill` on a damaged tree, with a real daemon: what is in need is refilled."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from kinetics_assets.assets.backfills import targets_of
from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import read_manifest, write_manifest
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.runs import dagster_home, open_instance
from kinetics_assets_tests.resources.media import plain
from kinetics_assets_tests.trees import public_files

CLASSES = (
    *("abseiling", "air drumming", "massaging person's head"),
    *("passing American football (in game)", "punching person (boxing)", "zumba"),
)
TRAIN, VAL = Split.TRAIN, Split.VAL
STAGES = (Stage.VIDEOS, Stage.RESIZED)
SECONDS = 800


def kinetics(*arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Return the finished command, on the demo's root with videos and resized chosen."""
    ours = ("KINETICS_", "DAGSTER_HOME")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ours) or name == "KINETICS_MACHINE_DIR"
    }
    return subprocess.run(
        [sys.executable, "-m", "kinetics_assets.cli", *arguments, "--root", str(root)],
        env=kept | {"KINETICS_DATASETS": "demo"},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def lists_and_clips(folder: Path) -> Settings:
    """Return settings of a new root with lists of six classes and their clips in a local folder."""
    lists, local, root = folder / "lists", folder / "local", folder / "root"
    for path in (lists, local, root):
        path.mkdir(parents=True)
    clip = plain(folder / "clip.mp4", frames=25).read_bytes()
    for split, count in ((TRAIN, 2), (VAL, 1)):
        lines = ["label,youtube_id,time_start,time_end,split"]
        for number, label in enumerate(CLASSES):
            for index in range(count):
                name = ClipId(f"{split[:2]}{number:08d}{index}", 3, 4)
                lines.append(f"{label},{name.youtube_id},3,4,{split}")
                (local / f"{name.name}.mp4").write_bytes(clip)
        (lists / f"{split}.csv").write_text("\n".join(lines))
    (root / "kinetics.toml").write_text(
        f'[annotations]\nsource = "{lists}"\n'
        f'[sources]\norder = ["local"]\nlocal_folders = ["{local}"]\n'
        "[resized]\nshort_side_px = 32\n"
        "[limits]\nmin_free_bytes = 0\nworkers = 1\n"
    )
    return load_settings("demo", root=root)


def prepare(settings: Settings) -> None:
    """Make videos and resized of all classes, recorded in the root's own Dagster."""
    job = dataset_definitions(settings).resolve_implicit_global_asset_job_def()
    with open_instance(dagster_home(settings.root)) as instance:

        def run(*names: str, partition: str | None = None) -> None:
            keys = [dg.AssetKey(["demo", *name.split("/")]) for name in names]
            job.execute_in_process(instance=instance, asset_selection=keys, partition_key=partition)

        run("annotations")
        both = [f"{split}/{stage}" for split in (TRAIN, VAL) for stage in STAGES]
        for label in CLASSES:
            run(*both, partition=label)


def fail_retryably(settings: Settings, split: Split, label: str) -> None:
    """Let a clip of a class have failed for a reason that may have healed by now."""
    layout = Layout.of(settings)
    rows = read_manifest(layout, split, Stage.VIDEOS, label)
    (layout.base / rows[0].path).unlink()
    failed = ManifestRow(rows[0].clip, label, rows[0].edition, Status.PENDING, Reason.NETWORK)
    rows[0] = replace(failed, attempts=1, finished_at=rows[0].finished_at)
    write_manifest(layout, split, Stage.VIDEOS, label, rows=rows)


@pytest.mark.slow
def test_exactly_the_classes_in_need_are_refilled(tmp_path: Path) -> None:
    """Three deleted classes, an altered file, retryable failures: five classes, no other.

    Asked without a daemon the backfill is added and says what to start; `--wait` then brings it to
    its end, and the tree is what it was. Asked once more, nothing is launched.
    """
    settings = lists_and_clips(tmp_path)
    prepare(settings)
    layout, root = Layout.of(settings), settings.root
    before = public_files(layout.base)
    everything, files_only, manifest_only, altered, failing, whole = CLASSES
    for stage in STAGES:
        shutil.rmtree(layout.class_folder(TRAIN, stage, everything))
        shutil.rmtree(layout.class_folder(TRAIN, stage, files_only))
        layout.manifest(TRAIN, stage, everything).unlink()
        layout.manifest(TRAIN, stage, manifest_only).unlink()
    path = next(layout.class_folder(VAL, Stage.RESIZED, altered).iterdir())
    path.write_bytes(path.read_bytes()[:-9] + b"corrupted")
    fail_retryably(settings, TRAIN, failing)

    asked = kinetics("backfill", "demo", "--stage", "videos,resized", root=root)
    assert asked.returncode == 0, asked.stderr
    assert "5 classes to refill" in asked.stdout
    assert "No daemon of this root is running. Start `kinetics up`" in asked.stdout
    with open_instance(dagster_home(root)) as instance:
        added = instance.get_backfills()
    four = frozenset({everything, files_only, manifest_only, failing})
    targets = [targets_of(backfill, "demo") for backfill in added]
    assert sorted(targets, key=len, reverse=True) == [
        {(TRAIN, Stage.VIDEOS): four, (TRAIN, Stage.RESIZED): four},
        {(VAL, Stage.RESIZED): frozenset({altered})},
    ]
    assert {backfill.tags["kinetics/asked_by"] for backfill in added} == {"kinetics backfill"}
    whys = " ".join(backfill.tags["kinetics/why"] for backfill in added)
    assert all(need in whys for need in ("missing", "damaged", "retryable"))

    waited = kinetics(
        "backfill", "demo", "--stage", "videos,resized", "--wait", "--json", root=root
    )
    assert waited.returncode == 0, waited.stdout + waited.stderr
    told: dict[str, Any] = json.loads(waited.stdout)
    assert (told["chosen"], told["backfills"]) == ([], [])
    assert [outcome["status"] for outcome in told["outcomes"]] == ["completed_success"] * 2
    classes = [one for outcome in told["outcomes"] for one in outcome["classes"]]
    assert sorted((one["split"], one["class"]) for one in classes) == sorted(
        [*((TRAIN, label) for label in four), (VAL, altered)]
    )
    assert not [one for one in classes if one["not_done"]]
    assert (dagster_home(root) / "service_logs" / "dagster._daemon.log").is_file()
    assert public_files(layout.base) == before
    with open_instance(dagster_home(root)) as instance:
        wanted = {"dagster/backfill": [backfill.backfill_id for backfill in added]}
        runs = instance.get_runs(filters=dg.RunsFilter(tags=wanted))
    assert sorted(run.tags["dagster/partition"] for run in runs) == sorted({*four, altered})
    assert whole not in {run.tags["dagster/partition"] for run in runs}

    again = kinetics("backfill", "demo", "--stage", "videos,resized", root=root)
    assert (again.returncode, again.stdout.strip()) == (0, "demo: no class needs a run now.")
    with open_instance(dagster_home(root)) as instance:
        assert len(instance.get_backfills()) == len(added)

"""A scratch root with a list at a URL, and classes that are made in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import dagster as dg

from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.core.clips import Split
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.runs import dagster_home, open_instance
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.resources.media import plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kinetics_assets_tests.live.truth import Row

DATASET = "kinetics400"
SPLIT = "val"


def make_root(folder: Path, *, host: str, url: str) -> Path:
    """Return a new root that watches a list at `url` every 36 seconds.

    Clips come from the folder ``local`` beside it. A class is done however few of its clips are
    there, and a clip may be shorter than its row, so that one second of video stands for any of
    them. The sensor of file lists is off: its runs are not what is looked for.
    """
    root, local = folder / "root", folder / "local"
    for path in (root, local):
        path.mkdir()
    (root / "kinetics.toml").write_text(
        f'[annotations]\nsource = "{url}"\nwatch_hours = 0.01\n'
        f'[sources]\norder = ["local"]\nlocal_folders = ["{local}"]\nloopback_hosts = ["{host}"]\n'
        "[thresholds]\nmin_completeness = 0\n"
        "[videos]\nmin_duration_share = 0\n"
        "[resized]\nshort_side_px = 32\n"
        "[filelists]\nsensor = false\n"
        "[limits]\nmin_free_bytes = 0\nworkers = 1\n",
        encoding="utf-8",
    )
    return root


def environment_of(root: Path) -> dict[str, str]:
    """Return the environment in which everything about `root` runs."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KINETICS_", "DAGSTER_"))
    }
    return kept | {
        "KINETICS_ROOT": str(root),
        "KINETICS_DATASETS": DATASET,
        "KINETICS_MACHINE_DIR": str(root.parent / "machine"),
        "DAGSTER_HOME": str(root / ".dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }


def give_clips(root: Path, rows: Iterable[Row]) -> None:
    """Put a second of video for each of `rows` where the root looks for clips."""
    clip = plain(root.parent / "clip.mp4", frames=25)
    for row in rows:
        (root.parent / "local" / f"{row.clip}.mp4").hardlink_to(clip)


def make(root: Path, labels: Iterable[str], *stages: str) -> None:
    """Run stages of classes: a run of Dagster for each class, one after the other.

    They are those of a backfill but for their process, which is this one. Dagster records them with
    the versions of what they were made from as it does for any run.
    """
    settings = load_settings(DATASET, root=root)
    job = dataset_definitions(settings).resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey([DATASET, SPLIT, stage]) for stage in stages]
    with open_instance(dagster_home(root)) as instance:
        for label in labels:
            job.execute_in_process(
                instance=instance,
                asset_selection=keys,
                partition_key=label,
                run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            )


def make_without_runs(root: Path, labels: Iterable[str], *, like: str) -> None:
    """Make the videos of classes that have no clips, and report each to Dagster.

    The stage works as in a run and writes its manifest. A run costs a second or two, most of it
    Dagster's; so what Dagster would take down is reported instead: the very tags of the run of the
    class `like`. They hold nothing of a class but the version of its videos, which is checked to be
    the same, since none has any: Dagster points at the latest observation of the rows of all
    classes, and compares the versions of a class before and after it.
    """
    settings = load_settings(DATASET, root=root)
    key = dg.AssetKey([DATASET, SPLIT, "videos"])
    with open_instance(dagster_home(root)) as instance:
        wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[like])
        (record,) = instance.fetch_materializations(wanted, limit=1).records
        run = record.asset_materialization
        assert run is not None
        assert run.tags is not None
        tags = {name: tag for name, tag in run.tags.items() if name.startswith("dagster/")}
        for label in labels:
            report = run_stage(Stage.VIDEOS, ClassOrder(settings, Split(SPLIT), label))
            assert report.data_version == tags["dagster/data_version"], label
            instance.report_runless_asset_event(
                dg.AssetMaterialization(key, partition=label, tags=tags)
            )

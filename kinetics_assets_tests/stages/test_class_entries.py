"""List entries that a step keeps with the manifest it wrote: no list reads that manifest."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from kinetics_assets.core.settings import ListSettings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import class_versions, load_class_rows
from kinetics_assets.io.manifests import read_manifest, write_manifest
from kinetics_assets.stages.filelists import kinds_of, run_filelists
from kinetics_assets.stages.list_parts import keep_entries, list_parts
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.stages.test_filelists import prepared

Changed = Callable[..., ClassOrder]
MADE = (Stage.VIDEOS, Stage.RAWFRAMES, Stage.FLOW)


def read_again(order: ClassOrder, stage: Stage) -> int:
    """Return how many manifests of a stage its list has to read."""
    (kind,) = kinds_of(stage, order.settings)
    versions = class_versions(order.layout, order.split)
    parts = list_parts(order.layout, order.split, kind, stage=stage, versions=versions)
    return parts.read_again


def texts(order: ClassOrder) -> list[bytes]:
    """Return the lists of the split, written now."""
    return [path.read_bytes() for path in run_filelists(order.settings, order.split).paths.values()]


def test_the_first_lists_of_a_split_read_no_manifest(order: ClassOrder) -> None:
    """They say the same as lists made from the manifests, in a split that was made a moment ago."""
    order = prepared(order)
    assert [read_again(order, stage) for stage in MADE] == [0, 0, 0]
    kept = texts(order)
    for stage in MADE:
        order.layout.class_entries(order.split, stage, order.label).unlink()
    assert [read_again(order, stage) for stage in MADE] == [1, 1, 1]
    assert texts(order) == kept


def test_lists_of_resized_videos_follow_the_setting(changed: Changed) -> None:
    """Entries are those of the stage that the list of videos names."""
    order = changed(filelists=ListSettings(min_share=0.0, videos_from="resized"))
    for stage in (Stage.VIDEOS, Stage.RESIZED):
        run_stage(stage, order)
    assert not order.layout.class_entries(order.split, Stage.VIDEOS, order.label).exists()
    assert read_again(order, Stage.RESIZED) == 0


def test_who_writes_a_manifest_takes_its_entries_away(order: ClassOrder) -> None:
    """Even one of the same size, inode and times could then not pass for the one before."""
    run_stage(Stage.VIDEOS, order)
    manifest = order.layout.manifest(order.split, Stage.VIDEOS, order.label)
    entries = order.layout.class_entries(order.split, Stage.VIDEOS, order.label)
    rows = read_manifest(order.layout, order.split, Stage.VIDEOS, order.label)
    assert not write_manifest(order.layout, order.split, Stage.VIDEOS, order.label, rows=rows)
    assert entries.exists()
    fewer = [replace(row, frames_decoded=0) for row in rows]
    assert write_manifest(order.layout, order.split, Stage.VIDEOS, order.label, rows=fewer)
    assert not entries.exists()
    assert manifest.exists()


def test_a_manifest_put_there_by_hand_is_read(order: ClassOrder) -> None:
    """As is one whose entries are damaged."""
    run_stage(Stage.VIDEOS, order)
    manifest = order.layout.manifest(order.split, Stage.VIDEOS, order.label)
    copy = manifest.with_suffix(".copy")
    copy.write_bytes(manifest.read_bytes())
    copy.replace(manifest)
    assert read_again(order, Stage.VIDEOS) == 1
    run_stage(Stage.VIDEOS, order)
    assert read_again(order, Stage.VIDEOS) == 0
    entries = order.layout.class_entries(order.split, Stage.VIDEOS, order.label)
    data = entries.read_bytes()
    entries.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    assert read_again(order, Stage.VIDEOS) == 1


def test_entries_of_another_edition_are_not_believed(order: ClassOrder) -> None:
    """A class that ran before its list changed is read, and compared with the list of now."""
    run_stage(Stage.VIDEOS, order)
    clips = load_class_rows(order.layout, order.split, order.label).clips
    entries = order.layout.class_entries(order.split, Stage.VIDEOS, order.label)
    entries.unlink()
    keep_entries(
        order.layout,
        order.split,
        kinds_of(Stage.VIDEOS, order.settings),
        stage=Stage.VIDEOS,
        label=order.label,
        clips=[clip.id.name for clip in clips[1:]],
    )
    assert read_again(order, Stage.VIDEOS) == 1


def test_entries_that_cannot_be_written_cost_only_time(order: ClassOrder) -> None:
    """The step ends well: everything that counts is in the manifest."""
    entries = order.layout.class_entries(order.split, Stage.VIDEOS, order.label)
    run_stage(Stage.VIDEOS, order)
    entries.unlink()
    entries.mkdir()
    (entries / "in the way").touch()
    assert run_stage(Stage.VIDEOS, order).rows
    assert read_again(order, Stage.VIDEOS) == 1


def test_a_step_without_news_writes_no_entries(order: ClassOrder) -> None:
    """Those that are there stay, untouched."""
    run_stage(Stage.VIDEOS, order)
    entries = order.layout.class_entries(order.split, Stage.VIDEOS, order.label)
    os.utime(entries, ns=(1, 1))
    run_stage(Stage.VIDEOS, order)
    assert entries.stat().st_mtime_ns == 1

"""Frames and flow in archives: the same pictures, converted and not made again, mended, moved."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.needs import Need
from kinetics_assets.core.settings import StorageSettings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.journal import Journal
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.readers import PackedFrames
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.missing import select_classes
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets.stages.selection import Choice
from kinetics_assets_tests.trees import public_files

Changed = Callable[..., ClassOrder]
PICTURES = (Stage.RAWFRAMES, Stage.FLOW)


def packed(order: ClassOrder, packing: str) -> ClassOrder:
    """Return the order with its pictures kept in another form."""
    storage = StorageSettings(packing=packing)  # type: ignore[arg-type] # one of its values
    return replace(order, settings=replace(order.settings, storage=storage))


def run_pictures(order: ClassOrder) -> dict[Stage, list[ManifestRow]]:
    """Run frames and flow; return the rows that are ok, of which there must be some."""
    rows = {
        stage: [row for row in run_stage(stage, order).rows if row.status is Status.OK]
        for stage in PICTURES
    }
    assert all(rows.values())
    return rows


def frames_tree(order: ClassOrder) -> dict[str, bytes]:
    """Return the bytes of every file in the class's folder of frames."""
    folder = f"rawframes_train/{order.label}/"
    return {n: data for n, data in public_files(order.layout.base).items() if folder in n}


@pytest.fixture
def loose(order: ClassOrder) -> ClassOrder:
    """A class whose frames and flow are there as loose files."""
    run_stage(Stage.VIDEOS, order)
    run_pictures(order)
    return order


@pytest.mark.parametrize("packing", ["tar", "zip"])
def test_pictures_are_converted_there_and_back(loose: ClassOrder, packing: str) -> None:
    """Loose pictures become one archive per clip and stage, and the same files again.

    No video is needed for it; the archive has the bytes that a fresh run writes.
    """
    before, other = frames_tree(loose), packed(loose, packing)
    rows_before = {s: read_manifest(loose.layout, loose.split, s, loose.label) for s in PICTURES}
    videos, aside = loose.layout.videos(loose.split), loose.layout.root / "aside"
    videos.rename(aside)
    assert needs_work(Stage.FLOW, other, now=now_utc())
    rows = run_pictures(other)
    names = sorted(path.split("/")[-1] for path in frames_tree(loose))
    clips = [row.clip.name for row in rows[Stage.RAWFRAMES]]
    assert names == sorted(f"{clip}.{stage}.{packing}" for clip in clips for stage in PICTURES)
    for row in rows[Stage.RAWFRAMES] + rows[Stage.FLOW]:
        data = (loose.layout.base / row.path).read_bytes()
        assert (row.size_bytes, row.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        with PackedFrames(loose.layout.base / row.path) as archive:
            for name in archive:
                key = f"{row.path.rpartition('/')[0]}/{row.clip.name}/{name}"
                assert archive.read(name) == before[key]
            assert archive.index["count"] == row.frames_decoded
    assert not any(needs_work(stage, other, now=now_utc()) for stage in PICTURES)
    converted = frames_tree(loose)
    run_pictures(loose)
    assert frames_tree(loose) == before
    for stage in PICTURES:
        again = read_manifest(loose.layout, loose.split, stage, loose.label)
        assert [replace(r, finished_at=None) for r in again] == [
            replace(r, finished_at=None) for r in rows_before[stage]
        ]
    aside.rename(videos)
    shutil.rmtree(loose.layout.rawframes(loose.split))
    run_pictures(other)
    assert frames_tree(loose) == converted


def test_an_altered_archive_is_seen_and_made_again(loose: ClassOrder) -> None:
    """A flipped bit in an archive makes the class damaged; the run brings the same bytes back."""
    other = packed(loose, "tar")
    row = run_pictures(other)[Stage.RAWFRAMES][0]
    before = frames_tree(loose)
    path = loose.layout.base / row.path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    choice = Choice(stages=(Stage.VIDEOS, *PICTURES), splits=(loose.split,), labels=(loose.label,))
    chosen = select_classes(other.settings, choice, now=now_utc()).chosen
    assert [one.stage for one in chosen if Need.DAMAGED in one.needs] == [Stage.RAWFRAMES]
    run_pictures(other)
    assert frames_tree(loose) == before


def test_a_loose_picture_that_was_altered_is_not_packed(loose: ClassOrder) -> None:
    """Conversion takes only what has its recorded sha256; the clip is made from its video again."""
    good = frames_tree(loose)
    row = read_manifest(loose.layout, loose.split, Stage.RAWFRAMES, loose.label)[0]
    name = next(n for n in good if n.startswith(row.path) and n.endswith("img_00002.jpg"))
    path = loose.layout.base / name
    path.write_bytes(path.read_bytes()[:-2] + b"..")
    rows = run_pictures(packed(loose, "zip"))[Stage.RAWFRAMES]
    archive = PackedFrames(loose.layout.base / next(r.path for r in rows if r.clip == row.clip))
    assert archive.read("img_00002.jpg") == good[name]


@pytest.mark.parametrize("moment", ["before the rename", "after the rename"])
def test_a_kill_while_converting_loses_nothing(loose: ClassOrder, moment: str) -> None:
    """Killed between journal, rename and removal, the next run ends where an undisturbed one does.

    Neither is a clip made again: its video is not there.
    """
    other = packed(loose, "tar")
    frames = loose.layout.class_folder(loose.split, Stage.RAWFRAMES, loose.label)
    shutil.copytree(frames, loose.layout.root / "loose")
    manifest = loose.layout.manifest(loose.split, Stage.RAWFRAMES, loose.label)
    old = manifest.read_bytes()
    row = run_pictures(other)[Stage.RAWFRAMES][0]
    wanted = frames_tree(loose)
    archive = (loose.layout.base / row.path).read_bytes()
    shutil.rmtree(frames)
    (loose.layout.root / "loose").rename(frames)
    manifest.write_bytes(old)
    loose.layout.manifest(loose.split, Stage.FLOW, loose.label).unlink()
    with Journal(loose.layout.journal(loose.split, Stage.RAWFRAMES, loose.label)) as journal:
        journal.append(row)
    if moment == "after the rename":
        (loose.layout.base / row.path).write_bytes(archive)
    shutil.rmtree(loose.layout.class_folder(loose.split, Stage.VIDEOS, loose.label))
    rows = run_stage(Stage.RAWFRAMES, other).rows
    assert next(r for r in rows if r.clip == row.clip).sha256 == row.sha256
    packed_frames = {name for name in wanted if ".rawframes." in name}
    assert {name for name in frames_tree(loose) if "flow" not in name} == packed_frames


def test_flow_of_another_engine_is_converted_unasked(loose: ClassOrder, changed: Changed) -> None:
    """Packing flow of another engine is no mixture: it is kept as it is."""
    by_cpu = read_manifest(loose.layout, loose.split, Stage.FLOW, loose.label)
    flow = replace(loose.settings.flow, engine="reference", mixed="engines")
    other = packed(changed(flow=replace(flow, mixed="profiles")), "tar")
    rows = run_pictures(other)[Stage.FLOW]
    assert {row.engine for row in rows} == {"cpu"}
    assert [row.digest for row in rows] == [r.digest for r in by_cpu if r.status is Status.OK]
    index = PackedFrames(loose.layout.base / rows[0].path).index
    assert json.loads(json.dumps(index))["engine"] == "cpu"

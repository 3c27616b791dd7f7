"""Shards: what WebDataset takes for a sample is a clip, and nothing else is written anew."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

import pytest

from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings, ShardRecipe
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import current_edition
from kinetics_assets.io.manifests import read_manifest, write_manifest
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.lineage import with_inputs
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets.verify import Problem, verify_dataset
from kinetics_assets_tests.stages.taken_down import order_of, taken
from kinetics_assets_tests.trees import files_and_times

SHARDS = Stage.SHARDS


@pytest.fixture
def order(datasets: list[Settings]) -> ClassOrder:
    """A class with frames and flow of four of its six clips; two clips are one shard's."""
    return order_of(replace(datasets[0], shards=ShardRecipe(clips=2)))


def made(order: ClassOrder) -> list[ManifestRow]:
    """Run the stage; return its ok rows."""
    return [row for row in run_stage(SHARDS, order).rows if row.status is Status.OK]


def folder(order: ClassOrder) -> Path:
    """Return the class's shards."""
    return order.layout.class_folder(order.split, SHARDS, order.label)


def samples(shard: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the samples of a tar as WebDataset does: neighbours with one name up to the dot."""
    with tarfile.open(shard) as archive:
        members = [(m.name.partition("."), archive.extractfile(m).read()) for m in archive]  # type: ignore[union-attr] # all are files
    for key, group in groupby(members, key=lambda member: member[0][0]):
        yield key, {name[2]: data for name, data in group}


def test_a_sample_is_a_clip(order: ClassOrder) -> None:
    """Each clip has label, description, and the bytes of all its frames and flow; indexes agree."""
    rows = {row.clip.name: row for row in made(order)}
    assert len(rows) == 4
    found: list[str] = []
    for shard in sorted(folder(order).glob("*.tar")):
        index = json.loads(shard.with_suffix(".json").read_bytes())
        data = shard.read_bytes()
        for (key, sample), told in zip(samples(shard), index["samples"], strict=True):
            found.append(key)
            loose = order.layout.rawframes(order.split) / order.label / key
            pictures = {p.name: p.read_bytes() for p in loose.glob("*.jpg")}
            assert sample.pop("cls") == b"0"
            description = json.loads(sample.pop("json"))
            assert (description["key"], description["label"]) == (key, order.label)
            assert description["frames"] == rows[key].frames_decoded
            assert description["flow_engine"] == "cpu"
            assert sample == pictures
            assert list(sample)[-2:] == [f"flow_{a}_{len(pictures) // 3:05d}.jpg" for a in "xy"]
            assert order.layout.base / rows[key].path == shard
            assert (told["key"], told["sha256"]) == (key, rows[key].sha256)
            for extension, place, size in told["members"]:
                if extension in sample:
                    assert data[place : place + size] == sample[extension]
    assert sorted(found) == sorted(rows)
    assert not needs_work(SHARDS, order, now=now_utc())
    report = verify_dataset(order.settings, splits=[order.split], labels=[order.label])
    assert not report.findings


_READ = """
import json, sys
import simplejpeg, webdataset
decode = webdataset.handle_extension("jpg", simplejpeg.decode_jpeg)
for one in webdataset.WebDataset(sys.argv[1:], shardshuffle=False).decode(decode):
    print(json.dumps([one["__key__"], one["cls"], one["img_00001.jpg"].shape[:2], one["json"]]))
"""


@pytest.mark.skipif(find_spec("webdataset") is None, reason="webdataset is not installed")
def test_webdataset_reads_them(order: ClassOrder) -> None:
    """The package itself gives the clips in order, their labels, pictures and descriptions.

    It does so in a process of its own, because it leaves files open.
    """
    rows = sorted(made(order), key=lambda row: row.clip.name)
    shards = sorted(map(str, folder(order).glob("*.tar")))
    done = subprocess.run(
        [sys.executable, "-c", _READ, *shards], capture_output=True, text=True, check=True
    )
    for line, row in zip(done.stdout.splitlines(), rows, strict=True):
        key, label, shape, description = json.loads(line)
        assert (key, label) == (row.clip.name, 0)
        assert shape == [row.height_px, row.width_px]
        assert description["flow_pairs"] == (row.frames_decoded or 0) - 1


def test_only_what_changed_is_written_anew(order: ClassOrder) -> None:
    """A clip that is blocked leaves its shard, and comes back; other shards are not touched."""
    rows = made(order)
    before = files_and_times(folder(order))
    gone = rows[0]
    for stage in (Stage.RAWFRAMES, Stage.FLOW):
        old = read_manifest(order.layout, order.split, stage, order.label)
        blocked = [
            ManifestRow(r.clip, r.label, r.edition, Status.BLOCKED, Reason.UPSTREAM)
            if r.clip == gone.clip
            else r
            for r in old
        ]
        write_manifest(order.layout, order.split, stage, order.label, rows=blocked)
    assert gone.clip not in {row.clip for row in made(order)}
    without = files_and_times(folder(order))
    own = Path(gone.path).stem
    changed = {name for name in before if before[name] != without.get(name)}
    assert {Path(name).stem for name in changed} == {own}
    for stage in (Stage.RAWFRAMES, Stage.FLOW):
        run_stage(stage, order)
    made(order)
    again = files_and_times(folder(order))
    assert {name: data for name, (data, _) in again.items()} == {
        name: data for name, (data, _) in before.items()
    }
    assert {n for n in without if without[n] != again[n]} <= changed
    assert not needs_work(SHARDS, order, now=now_utc())


def test_another_list_does_not_disturb_a_run(order: ClassOrder) -> None:
    """A run has the shards of the list that it began with, whatever becomes current meanwhile."""
    rows = [replace(row, finished_at=None) for row in made(order)]
    pinned = replace(order, edition=current_edition(order.layout, order.split))
    (source,) = Path(order.settings.annotations.source).glob("*train*.csv")
    lines = source.read_text().splitlines()
    new = lines[1].split(",")
    new[1] = "-" * 11  # before all others by name
    source.write_text("\n".join([*lines, ",".join(new), ""]))
    run_annotations(order.settings)
    for path in folder(order).iterdir():
        path.unlink()
    again = [replace(row, finished_at=None) for row in made(pinned)]
    assert [replace(row, attempts=1) for row in again] == rows


def test_other_forms_and_sizes(order: ClassOrder) -> None:
    """Packed pictures give the same samples; with other sizes no sample is in two shards."""
    first = {key: sample for shard in _shards(order) for key, sample in samples(shard)}
    storage = replace(order.settings.storage, packing="zip")
    packed = replace(order, settings=replace(order.settings, storage=storage))
    for stage in (Stage.RAWFRAMES, Stage.FLOW):
        run_stage(stage, packed)
    whole = replace(packed, settings=replace(packed.settings, shards=ShardRecipe(clips=100)))
    (shard,) = _shards(whole)
    assert dict(samples(shard)) == first
    small = replace(whole, settings=replace(whole.settings, shards=ShardRecipe(1, flow=False)))
    shards = _shards(small)
    assert len(shards) == len(first)
    assert not any("flow_x_00001.jpg" in sample for s in shards for _, sample in samples(s))
    report = verify_dataset(small.settings, splits=[order.split], labels=[order.label])
    assert not report.findings


def _shards(order: ClassOrder) -> list[Path]:
    """Run the stage; return the shards."""
    made(order)
    return sorted(folder(order).glob("*.tar"))


@pytest.mark.parametrize("lost", ["index", "shard", "bit"])
def test_damage_is_found_and_mended(order: ClassOrder, lost: str) -> None:
    """A lost or altered file is seen by `verify` and by the next run, which writes the same."""
    row = made(order)[0]
    before = {name: data for name, (data, _) in files_and_times(folder(order)).items()}
    shard = order.layout.base / row.path
    if lost == "bit":
        data = bytearray(shard.read_bytes())
        data[5000] ^= 1
        shard.write_bytes(data)
    else:
        (shard if lost == "shard" else shard.with_suffix(".json")).unlink()
    report = verify_dataset(order.settings, splits=[order.split], labels=[order.label])
    kind = Problem.FILE_CONTENT if lost == "bit" else Problem.FILE_MISSING
    assert kind in {finding.problem for finding in report.findings}
    assert needs_work(SHARDS, order, now=now_utc())
    made(order)
    assert {name: data for name, (data, _) in files_and_times(folder(order)).items()} == before


def test_a_clip_that_is_taken_down_is_in_no_shard(
    datasets: list[Settings], order: ClassOrder
) -> None:
    """Its bytes are gone, a shard whose index a crash has lost is deleted, and rows say so."""
    rows = made(order)
    clip, sibling = rows[0].clip, rows[-1]
    picture = next((order.layout.rawframes(order.split) / order.label / clip.name).glob("img_*"))
    data = picture.read_bytes()
    (order.layout.base / sibling.path).with_suffix(".json").unlink()
    outcome = taken([order.settings, datasets[1]], clip.name)
    assert not outcome.left.archives
    assert not (order.layout.base / sibling.path).exists()
    assert not [p for p in folder(order).iterdir() if data in p.read_bytes()]
    (row,) = [
        r for r in read_manifest(order.layout, order.split, SHARDS, order.label) if r.clip == clip
    ]
    assert (row.status, row.reason) == (Status.SKIPPED, Reason.TAKEN_DOWN)
    assert clip not in {row.clip for row in made(order)}
    report = verify_dataset(order.settings, splits=[order.split], labels=[order.label])
    assert not report.findings


def test_shards_need_frames_and_flow(order: ClassOrder) -> None:
    """Asked for alone, the stage brings what it reads; without flow, frames alone."""
    wanted = (Stage.VIDEOS, Stage.RAWFRAMES, Stage.FLOW, SHARDS)
    assert with_inputs(order.settings, [SHARDS]) == wanted
    bare = replace(order.settings, shards=ShardRecipe(flow=False))
    assert with_inputs(bare, [SHARDS]) == (Stage.VIDEOS, Stage.RAWFRAMES, SHARDS)


def test_a_sample_that_leaves_with_another_is_not_claimed(order: ClassOrder) -> None:
    """A shard is written anew for one clip: what of the others is no longer there has no ok row.

    Regression: the row of a clip whose frames had been damaged meanwhile stayed ok, and named a
    sample that was not in the shard any more.
    """
    rows = made(order)
    shard = max({row.path for row in rows}, key=[row.path for row in rows].count)
    lost, again = (row for row in rows if row.path == shard)
    frames = order.layout.frames(order.split, order.label, lost.clip)
    (frames / "img_00002.jpg").unlink()
    known = read_manifest(order.layout, order.split, SHARDS, order.label)
    stale = [replace(row, digest="old") if row.clip == again.clip else row for row in known]
    write_manifest(order.layout, order.split, SHARDS, order.label, rows=stale)
    after = {row.clip: row for row in run_stage(SHARDS, order).rows}
    assert [key for key, _ in samples(order.layout.base / shard)] == [again.clip.name]
    assert (after[lost.clip].status, after[lost.clip].reason) == (Status.BLOCKED, Reason.UPSTREAM)
    assert after[again.clip].status is Status.OK

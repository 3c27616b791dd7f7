"""Tests of the videos stage: taking, cutting, refusing."""

from __future__ import annotations

import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.errors import NetworkDown
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import AnnotationSettings, SourceSettings, VideoRecipe
from kinetics_assets.core.stages import Stage
from kinetics_assets.demo.clips import DemoClip, encode
from kinetics_assets.io.atomic import sha256_of
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import needs_work, run_stage

Changed = Callable[..., ClassOrder]


def local(folder: Path) -> SourceSettings:
    """Return sources that are one local folder."""
    return SourceSettings(order=("local",), local_folders=(folder,), connections=2)


def test_a_local_clip_is_hard_linked(order: ClassOrder) -> None:
    """A clip that is there already costs no byte: the file in the dataset is the same inode."""
    rows = [row for row in run_stage(Stage.VIDEOS, order).rows if row.status is Status.OK]
    assert len(rows) == 4
    for row in rows:
        path = order.layout.base / row.path
        original = order.settings.sources.local_folders[0] / order.label / path.name
        assert path.samefile(original)
        assert row.source == "local"
        assert row.sha256 == sha256_of(path)
        assert (row.frames_decoded or 0) >= 15
        assert row.duration_seconds is not None
        assert abs(row.duration_seconds - row.clip.duration_seconds) < 0.1


def test_a_damaged_local_clip_is_corrupt_and_alone(
    order: ClassOrder, changed: Changed, tmp_path: Path
) -> None:
    """One damaged file ends `corrupt` with its reason; the other clips of the class are ok."""
    pool = tmp_path / "pool"
    shutil.copytree(order.settings.sources.local_folders[0], pool)
    victim = min((pool / order.label).iterdir())
    data = bytearray(victim.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = os.urandom(400)
    victim.write_bytes(data)
    report = run_stage(Stage.VIDEOS, changed(sources=local(pool)))
    bad = next(row for row in report.rows if row.clip.name == victim.stem)
    assert bad.status is Status.CORRUPT
    assert bad.reason in {Reason.UNDECODABLE, Reason.TRUNCATED}
    assert report.summary.ok == 3
    assert not order.layout.video(order.split, order.label, bad.clip).exists()


def test_a_repaired_copy_is_taken_under_new_settings(
    order: ClassOrder, changed: Changed, tmp_path: Path
) -> None:
    """A corrupt row is due again as soon as another folder is given, without any switch."""
    bad_pool = tmp_path / "bad" / order.label
    bad_pool.mkdir(parents=True)
    good = min((order.settings.sources.local_folders[0] / order.label).iterdir())
    (bad_pool / good.name).write_bytes(b"<html>" * 100)
    broken = changed(sources=local(bad_pool.parent))
    report = run_stage(Stage.VIDEOS, broken)
    assert next(r for r in report.rows if r.clip.name == good.stem).reason is Reason.NOT_MEDIA
    assert not needs_work(Stage.VIDEOS, broken, now=now_utc())
    assert needs_work(Stage.VIDEOS, order, now=now_utc())
    report = run_stage(Stage.VIDEOS, order)
    assert next(r for r in report.rows if r.clip.name == good.stem).status is Status.OK


def test_a_long_source_is_cut_to_the_frame(
    order: ClassOrder, changed: Changed, tmp_path: Path, demo_rows: tuple[DemoClip, ...]
) -> None:
    """A bare `<id>.mp4` longer than the clip gives exactly the annotated span."""
    row = next(
        row
        for row in demo_rows
        if row.clip.label == order.label
        and row.split is order.split
        and row.source.fault is None
        and row.source.seconds > row.clip.id.duration_seconds
    )
    pool = tmp_path / "flat"
    pool.mkdir()
    encode(row.source, pool / f"{row.source.youtube_id}.mp4")
    report = run_stage(Stage.VIDEOS, changed(sources=local(pool)))
    cut = next(r for r in report.rows if r.clip == row.clip.id)
    assert cut.status is Status.OK
    assert cut.frames_decoded == row.source.fps * row.clip.id.duration_seconds
    stale = changed(sources=local(pool), videos=VideoRecipe(trim_crf=30))
    assert needs_work(Stage.VIDEOS, stale, now=now_utc())


def test_a_source_that_ends_too_early_is_out_of_range(
    order: ClassOrder, changed: Changed, tmp_path: Path, demo_rows: tuple[DemoClip, ...]
) -> None:
    """A source that is over before the clip begins is said to be so, and nothing is published."""
    listed = tmp_path / "train.csv"
    listed.write_text(
        "label,youtube_id,time_start,time_end,split\nabseiling,AAAAAAAAAAA,100,101,train\n",
        encoding="utf-8",
    )
    pool = tmp_path / "flat"
    pool.mkdir()
    encode(replace(demo_rows[0].source, seconds=5, fault=None), pool / "AAAAAAAAAAA.mp4")
    late = changed(sources=local(pool), annotations=AnnotationSettings(source=str(listed)))
    run_annotations(late.settings)
    report = run_stage(Stage.VIDEOS, late)
    (row,) = report.rows
    assert (row.status, row.reason) == (Status.UNAVAILABLE, Reason.OUT_OF_RANGE)
    assert not late.layout.class_folder(late.split, Stage.VIDEOS, late.label).is_dir() or not list(
        late.layout.class_folder(late.split, Stage.VIDEOS, late.label).iterdir()
    )


def test_a_good_file_in_place_is_taken_over(order: ClassOrder, changed: Changed) -> None:
    """A tree that already has our names becomes ours after decoding, without a source."""
    pool = order.settings.sources.local_folders[0] / order.label
    folder = order.layout.class_folder(order.split, Stage.VIDEOS, order.label)
    folder.mkdir(parents=True)
    names = [path.name for path in pool.iterdir()]
    for name in names:
        shutil.copyfile(pool / name, folder / name)
    nowhere = changed(sources=SourceSettings(order=("local",), connections=2))
    report = run_stage(Stage.VIDEOS, nowhere)
    taken = [row for row in report.rows if row.status is Status.OK]
    assert sorted(Path(row.path).name for row in taken) == sorted(names)
    assert {row.source for row in taken} == {"in_place"}


def test_a_source_that_is_down_blames_no_clip(order: ClassOrder, changed: Changed) -> None:
    """Other sources give their clips, the rest keeps no verdict, and the step names the fault."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
    sources = replace(
        order.settings.sources,
        order=("local", "youtube"),
        youtube_url=f"http://{host}/{{id}}.mp4",
        youtube_extractors=("generic",),
        loopback_hosts=(host,),
    )
    with pytest.raises(NetworkDown):
        run_stage(Stage.VIDEOS, changed(sources=sources))
    rows = read_manifest(order.layout, order.split, Stage.VIDEOS, order.label)
    assert Counter(row.status for row in rows) == {Status.OK: 4, Status.PENDING: 2}
    assert all(row.reason is None and row.attempts == 0 for row in rows if row.status != "ok")

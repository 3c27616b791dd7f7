"""Frames and flow in archives: the same pictures, converted and not made again, mended, moved."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import pytest

from kinetics_assets.core.filelists import ListKind
from kinetics_assets.core.manifest import ManifestRow, Status, encode_manifest
from kinetics_assets.core.needs import Need
from kinetics_assets.core.settings import FlowRecipe, Packing, Settings, StorageSettings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.journal import Journal
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.io.packing import TarWriter
from kinetics_assets.readers import PackedFrames, PictureFiles
from kinetics_assets.stages.filelists import run_filelists
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.jobs import job_for
from kinetics_assets.stages.missing import select_classes
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets.stages.selection import Choice
from kinetics_assets.verify import Problem, verify_dataset
from kinetics_assets_tests.stages.taken_down import left_of, ok_clip, order_of, taken
from kinetics_assets_tests.trees import public_files

PICTURES = (Stage.RAWFRAMES, Stage.FLOW)


def packed(order: ClassOrder, packing: Packing) -> ClassOrder:
    """Return the order with its pictures kept in another form."""
    storage = replace(order.settings.storage, packing=packing)
    return replace(order, settings=replace(order.settings, storage=storage))


def rows_of(order: ClassOrder, stage: Stage) -> list[ManifestRow]:
    """Return the rows of a manifest that are ok, of which there must be some."""
    rows = read_manifest(order.layout, order.split, stage, order.label)
    assert any(row.status is Status.OK for row in rows)
    return [row for row in rows if row.status is Status.OK]


def run_pictures(order: ClassOrder) -> dict[Stage, list[ManifestRow]]:
    """Run frames and flow; return the rows that are ok."""
    for stage in PICTURES:
        run_stage(stage, order)
    return {stage: rows_of(order, stage) for stage in PICTURES}


def frames_tree(order: ClassOrder) -> dict[str, bytes]:
    """Return the bytes of every file in the class's folder of frames."""
    folder = f"rawframes_train/{order.label}/"
    return {n: data for n, data in public_files(order.layout.base).items() if folder in n}


@pytest.fixture
def loose(datasets: list[Settings]) -> ClassOrder:
    """A class whose frames and flow are there as loose files."""
    return order_of(datasets[0])


@pytest.mark.parametrize("packing", ["tar", "zip"])
def test_pictures_are_converted_there_and_back(loose: ClassOrder, packing: Packing) -> None:
    """Loose pictures become one archive per clip and stage, and the same files again.

    No video is needed for it; the archive has the bytes that a fresh run writes.
    """
    before, other = frames_tree(loose), packed(loose, packing)
    rows_before = {stage: rows_of(loose, stage) for stage in PICTURES}
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
            folder = f"{row.path.rpartition('/')[0]}/{row.clip.name}"
            assert {n: archive.read(n) for n in archive} == {
                name: before[f"{folder}/{name}"] for name in archive.names
            }
            assert archive.index["count"] == row.frames_decoded
    assert not any(needs_work(stage, other, now=now_utc()) for stage in PICTURES)
    converted = frames_tree(loose)
    assert run_pictures(loose).keys() == rows_before.keys()
    assert frames_tree(loose) == before
    for stage in PICTURES:
        assert [replace(row, finished_at=None) for row in rows_of(loose, stage)] == [
            replace(row, finished_at=None) for row in rows_before[stage]
        ]
    aside.rename(videos)
    loose.layout.manifest(loose.split, Stage.RAWFRAMES, loose.label).unlink()
    run_stage(Stage.RAWFRAMES, other)
    made = {name: data for name, data in converted.items() if ".rawframes." in name}
    assert {name: frames_tree(loose)[name] for name in made} == made


def test_lists_and_verify_agree_with_archives(loose: ClassOrder) -> None:
    """A packed tree is whole for `verify`; lists name archives, through which pictures are read."""
    settings = packed(loose, "tar").settings
    rows = run_pictures(packed(loose, "tar"))
    run_filelists(settings, loose.split)
    assert not verify_dataset(settings, splits=[loose.split]).findings
    files = PictureFiles()
    for kind, stage, name in (
        (ListKind.RAWFRAMES, Stage.RAWFRAMES, "img_{:05}.jpg"),
        (ListKind.FLOW, Stage.FLOW, "flow_y_{:05}.jpg"),
    ):
        lines = loose.layout.filelist(loose.split, kind).read_text().splitlines()
        assert len(lines) == len(rows[stage])
        path, count, _ = lines[0].split(" ")
        root = loose.layout.stage_root(loose.split, stage)
        last = files.get(f"{root / path}/{name.format(int(count))}")
        assert last.startswith(b"\xff\xd8")
        with pytest.raises(FileNotFoundError):
            files.get(f"{root / path}/{name.format(int(count) + 1)}")


def test_damage_to_archives_is_found(loose: ClassOrder) -> None:
    """`verify` finds a flipped bit, a lost and a strange archive, and one that lacks a picture."""
    settings = packed(loose, "tar").settings
    rows = run_pictures(packed(loose, "tar"))[Stage.RAWFRAMES]
    paths = [loose.layout.base / row.path for row in rows]
    _flip(loose, rows[0])
    paths[1].unlink()
    strange = paths[2].with_name("strange.rawframes.tar")
    strange.write_bytes(b"")
    with PackedFrames(paths[2]) as whole:
        pictures = {name: whole.read(name) for name in whole.names[:-1]}
        text = json.dumps(whole.index | {"members": [[n, len(d)] for n, d in pictures.items()]})
    paths[2].unlink()
    with TarWriter(paths[2]) as writer:
        for name, data in {"_rgb.json": text.encode(), **pictures}.items():
            writer.add(name, data)
    data = paths[2].read_bytes()
    manifest = loose.layout.manifest(loose.split, Stage.RAWFRAMES, loose.label)
    changed = replace(rows[2], sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
    known = read_manifest(loose.layout, loose.split, Stage.RAWFRAMES, loose.label)
    manifest.write_bytes(encode_manifest(changed if r.clip == changed.clip else r for r in known))
    found = verify_dataset(settings, splits=[loose.split], labels=[loose.label]).findings
    assert sorted((one.problem, one.where) for one in found) == sorted(
        [
            (Problem.FILE_CONTENT, rows[0].path),
            (Problem.FILE_MISSING, rows[1].path),
            (Problem.FRAMES, rows[2].path),
            (Problem.FILE_UNKNOWN, loose.layout.relative(strange)),
        ]
    )


def test_an_altered_archive_is_seen_and_made_again(loose: ClassOrder) -> None:
    """A flipped bit in an archive makes the class damaged; the run brings the same bytes back."""
    other = packed(loose, "tar")
    row = run_pictures(other)[Stage.RAWFRAMES][0]
    before = frames_tree(loose)
    _flip(loose, row)
    choice = Choice(stages=(Stage.VIDEOS, *PICTURES), splits=(loose.split,), labels=(loose.label,))
    chosen = select_classes(other.settings, choice, now=now_utc()).chosen
    assert [one.stage for one in chosen if Need.DAMAGED in one.needs] == [Stage.RAWFRAMES]
    run_pictures(other)
    assert frames_tree(loose) == before


def test_a_loose_picture_that_was_altered_is_not_packed(loose: ClassOrder) -> None:
    """Conversion takes only what has its recorded sha256; the clip is made from its video again."""
    good = frames_tree(loose)
    row = rows_of(loose, Stage.RAWFRAMES)[0]
    path = loose.layout.base / row.path / "img_00002.jpg"
    path.write_bytes(path.read_bytes()[:-2] + b"..")
    run_stage(Stage.RAWFRAMES, packed(loose, "zip"))
    (again,) = [r for r in rows_of(loose, Stage.RAWFRAMES) if r.clip == row.clip]
    with PackedFrames(loose.layout.base / again.path) as archive:
        assert archive.read("img_00002.jpg") == good[f"{row.path}/img_00002.jpg"]


@pytest.mark.parametrize("moment", ["before the rename", "after the rename"])
def test_a_kill_while_converting_loses_nothing(loose: ClassOrder, moment: str) -> None:
    """Killed between journal, rename and removal, the next run ends where an undisturbed one does.

    Neither is a clip made again: its video is not there.
    """
    other, root = packed(loose, "tar"), loose.layout.root
    frames = loose.layout.class_folder(loose.split, Stage.RAWFRAMES, loose.label)
    shutil.copytree(frames, root / "loose")
    manifest = loose.layout.manifest(loose.split, Stage.RAWFRAMES, loose.label)
    old = manifest.read_bytes()
    run_stage(Stage.RAWFRAMES, other)
    row = rows_of(loose, Stage.RAWFRAMES)[0]
    wanted = frames_tree(loose)
    archive = (loose.layout.base / row.path).read_bytes()
    shutil.rmtree(frames)
    (root / "loose").rename(frames)
    manifest.write_bytes(old)
    with Journal(loose.layout.journal(loose.split, Stage.RAWFRAMES, loose.label)) as journal:
        journal.append(row)
    if moment == "after the rename":
        (loose.layout.base / row.path).write_bytes(archive)
    loose.layout.videos(loose.split).rename(root / "aside")
    run_stage(Stage.RAWFRAMES, other)
    assert frames_tree(loose) == wanted


def test_flow_of_another_engine_is_converted_unasked(loose: ClassOrder) -> None:
    """Packing flow that another engine made is no mixture: it is kept as it is."""
    by_cpu = rows_of(loose, Stage.FLOW)
    settings = replace(loose.settings, flow=FlowRecipe(engine="cuda", mixed="engines"))
    run_stage(Stage.FLOW, packed(replace(loose, settings=settings), "tar"))
    rows = rows_of(loose, Stage.FLOW)
    assert {row.engine for row in rows} == {"cpu"}
    assert [row.digest for row in rows] == [row.digest for row in by_cpu]
    with PackedFrames(loose.layout.base / rows[0].path) as archive:
        assert archive.index["engine"] == "cpu"


def test_archives_of_what_left_the_list_are_kept_aside(loose: ClassOrder) -> None:
    """A retired archive is moved out, bytes untouched, and its place is empty."""
    other = packed(loose, "zip")
    row = run_pictures(other)[Stage.FLOW][0]
    path = loose.layout.base / row.path
    data, kept = path.read_bytes(), loose.layout.retired_class(loose.split, Stage.FLOW, loose.label)
    job_for(Stage.FLOW, other).remove(row, into=kept)
    assert not path.exists()
    assert (kept / path.name).read_bytes() == data


def test_archives_are_taken_down(datasets: list[Settings]) -> None:
    """Of a clip that is taken down no archive is left, on another disk neither."""
    elsewhere = datasets[1].storage.rawframes_folder
    assert elsewhere is not None
    for one in datasets:
        storage = StorageSettings(rawframes_folder=one.storage.rawframes_folder, packing="tar")
        run_pictures(order_of(replace(one, storage=storage)))
    clip = ok_clip(datasets[0])
    assert left_of(datasets[0].root, clip)
    outcome = taken(datasets, clip.name)
    assert not left_of(datasets[0].root, clip)
    assert not left_of(elsewhere, clip)
    assert not outcome.left.archives  # others' archives say whose they are


def _flip(order: ClassOrder, row: ManifestRow) -> None:
    """Change one bit of a row's archive, as a bad disk would."""
    path = order.layout.base / row.path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

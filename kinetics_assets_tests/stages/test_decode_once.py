"""Steps of one run share a decode: the same tree as without, whatever becomes of what is shared."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count, cycle
from pathlib import Path

import numpy as np
import pytest

from kinetics_assets.core.layout import AHEAD_PREFIX
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.settings import FlowRecipe, FrameRecipe, Limits, StorageSettings
from kinetics_assets.core.stages import DECODERS, Stage, later_decoders
from kinetics_assets.io.journal import Journal
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.report import StageReport
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.trees import public_files

Changed = Callable[..., ClassOrder]
LIMITS = Limits(workers=1, min_free_bytes=0)


def run(order: ClassOrder, *stages: Stage, beside: Collection[Stage] = ()) -> list[StageReport]:
    """Run stages as one run of all of them and those `beside` would."""
    together = {*stages, *beside}
    return [
        run_stage(stage, order, beside=together & set(later_decoders(stage))) for stage in stages
    ]


def facts(report: StageReport) -> list[ManifestRow]:
    """Return the rows without what tells when they came about."""
    return [replace(row, finished_at=None, not_before=None) for row in report.rows]


def handed(order: ClassOrder, stage: Stage) -> list[Path]:
    """Return the hand-overs for a stage."""
    folder = order.layout.made_ahead(order.split, stage, order.label)
    return sorted(folder.iterdir()) if folder.is_dir() else []


@contextmanager
def ruined(order: ClassOrder, stage: Stage) -> Iterator[None]:
    """Put noise in the place of a stage's videos, unseen: who decodes one now fails."""
    folder = order.layout.class_folder(order.split, stage, order.label)
    aside = folder.with_name(".aside")
    folder.rename(aside)
    folder.mkdir()
    for path in aside.iterdir():
        times = path.stat()
        noise = folder / path.name
        noise.write_bytes(os.urandom(times.st_size))
        os.utime(noise, ns=(times.st_atime_ns, times.st_mtime_ns))
    yield
    shutil.rmtree(folder)
    aside.rename(folder)


def alone(order: ClassOrder, *stages: Stage) -> list[list[ManifestRow]]:
    """Make what stages have made anew, each by itself; return its rows."""
    for stage in stages:
        order.layout.manifest(order.split, stage, order.label).unlink()
        shutil.rmtree(order.layout.stage_root(order.split, stage), ignore_errors=True)
    return [facts(run_stage(stage, order)) for stage in stages]


@pytest.fixture(params=["videos", "resized"])
def either(request: pytest.FixtureRequest, changed: Changed) -> ClassOrder:
    """The class, with frames from the originals or from the resized videos; few flow pictures."""
    return changed(rawframes=FrameRecipe(size="24", frames_from=request.param))


def test_the_tree_is_that_of_steps_that_decode_alone(either: ClassOrder) -> None:
    """Same files, same rows, although the later steps did not decode; nothing else is left."""
    run(either, Stage.VIDEOS)
    (resized,) = run(either, Stage.RESIZED, beside=DECODERS)
    good = sum(row.status is Status.OK for row in resized.rows)
    assert good == len(handed(either, Stage.RAWFRAMES)) == len(handed(either, Stage.FLOW)) > 0
    with ruined(either, Stage(either.settings.rawframes.frames_from)):
        frames, flow = run(either, Stage.RAWFRAMES, Stage.FLOW)
    assert not list(either.layout.base.rglob(f"{AHEAD_PREFIX}*"))
    tree = public_files(either.layout.base)
    assert [facts(resized), facts(frames), facts(flow)] == alone(either, *DECODERS)
    assert public_files(either.layout.base) == tree
    assert sum(name.endswith("img_00001.jpg") for name in tree) == good
    assert sum(name.endswith("flow_x_00001.jpg") for name in tree) == good


def no_record(folder: Path) -> None:
    """Leave a hand-over as a killed writer would under its temporary name."""
    (folder / "record.json").unlink()


def other_input(folder: Path) -> None:
    """Let the hand-over be made of something else, which would do as well."""
    turn_round(folder)
    edit(folder, digest="0.0")


def machine_restarted(folder: Path) -> None:
    """Let the hand-over be from before the machine was started: never flushed, maybe stale."""
    turn_round(folder)
    edit(folder, made_at_start="host:before")


def lost_bytes(folder: Path) -> None:
    """Cut the last file of the hand-over."""
    last = max(path for path in folder.rglob("*") if path.suffix in {".jpg", ".npy"})
    os.truncate(last, last.stat().st_size - 100)


def no_numbers(folder: Path) -> None:
    """Let the record say nothing usable."""
    edit(folder, facts={"frames": 3})


def turn_round(folder: Path) -> None:
    """Let the frames stand in the opposite order: of the same size, whole, and not this clip's."""
    for path in folder.rglob("*.npy"):
        frames = np.load(path)
        np.save(path, frames[::-1])
        assert not np.array_equal(frames, np.load(path))
    pictures = sorted(folder.rglob("*.jpg"))
    contents = [path.read_bytes() for path in pictures]
    for path, data in zip(pictures, reversed(contents), strict=True):
        path.write_bytes(data)
    assert not contents or contents[0] != contents[-1]


def edit(folder: Path, **values: object) -> None:
    """Change a hand-over's record."""
    path = folder / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


HARMS = (no_record, other_input, machine_restarted, lost_bytes, no_numbers)


def test_a_hand_over_that_does_not_fit_is_not_believed(order: ClassOrder) -> None:
    """The step decodes itself, with the tree of an undisturbed run, and deletes what was left.

    Of grey frames nothing else would tell: the flow of wrong ones decodes as well as any.
    """
    later = (Stage.FLOW, Stage.RAWFRAMES)  # or frames would put new grey ones in their place
    run(order, Stage.VIDEOS, Stage.RESIZED, beside=later)
    folders = handed(order, Stage.RAWFRAMES) + handed(order, Stage.FLOW)[::-1]
    assert len(folders) >= len(HARMS)
    for folder, harm in zip(folders, cycle(HARMS), strict=False):
        harm(folder)
    rows = [facts(report) for report in run(order, *later)]
    assert not list(order.layout.base.rglob(f"{AHEAD_PREFIX}*"))
    tree = public_files(order.layout.base)
    assert rows == alone(order, *later)
    assert public_files(order.layout.base) == tree


def decode_and_die(order: ClassOrder) -> None:
    """Run resized for the sake of frames too, up to its second verdict."""
    verdicts = count(1)
    append = Journal.append

    def append_or_die(journal: Journal, row: ManifestRow) -> None:
        if next(verdicts) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        append(journal, row)

    setattr(Journal, "append", append_or_die)  # noqa: B010 - in a process of its own
    run_stage(Stage.RESIZED, order, beside=[Stage.RAWFRAMES])


def test_a_killed_step_leaves_the_tree_of_an_undisturbed_run(order: ClassOrder) -> None:
    """Its hand-overs, with and without a verdict of its own, are taken by the next run."""
    run(order, Stage.VIDEOS)
    process = multiprocessing.get_context("spawn").Process(target=decode_and_die, args=(order,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(handed(order, Stage.RAWFRAMES)) == 2
    both = (Stage.RESIZED, Stage.RAWFRAMES)
    rows = [facts(report) for report in run(order, *both)]
    assert not list(order.layout.base.rglob(f"{AHEAD_PREFIX}*"))
    tree = public_files(order.layout.base)
    assert rows == alone(order, *both)
    assert public_files(order.layout.base) == tree


def test_a_failed_product_of_another_stage_costs_resized_nothing(changed: Changed) -> None:
    """Frames beyond the limits fail in their own step, by its own verdict."""
    order = changed(
        rawframes=FrameRecipe(size="9000", upscale=True),
        resized=replace(changed().settings.resized, short_side_px=32),
    )
    _, resized, frames = run(order, Stage.VIDEOS, Stage.RESIZED, Stage.RAWFRAMES)
    assert {row.status for row in resized.rows} >= {Status.OK}
    assert {row.reason for row in frames.rows} >= {"over_limit"}
    assert not any(row.status is Status.OK for row in frames.rows)


def test_nothing_is_made_ahead_unasked(order: ClassOrder, changed: Changed) -> None:
    """Not by setting, not beyond the limit, no grey frames for an engine that reads files."""
    run(order, Stage.VIDEOS)
    off = changed(limits=replace(LIMITS, decode_once=False))
    full = changed(limits=replace(LIMITS, ahead_bytes=1000))
    by_file = changed(flow=FlowRecipe(engine="denseflow"))
    made = []
    for one in (off, full, by_file):
        order.layout.manifest(order.split, Stage.RESIZED, order.label).unlink(missing_ok=True)
        run_stage(Stage.RESIZED, one, beside=DECODERS)
        made.append([stage for stage in (Stage.RAWFRAMES, Stage.FLOW) if handed(order, stage)])
    assert made == [[], [], [Stage.RAWFRAMES]]


def test_what_is_there_is_not_made_again(order: ClassOrder) -> None:
    """Only clips whose frames are due are handed over, and left-overs go with the next step."""
    run(order, Stage.VIDEOS, Stage.RAWFRAMES, beside=[Stage.FLOW])
    assert handed(order, Stage.FLOW)  # rawframes makes grey frames where resized has no part
    shutil.rmtree(handed(order, Stage.FLOW)[0].parent)
    run(order, Stage.RESIZED, beside=DECODERS)
    assert not handed(order, Stage.RAWFRAMES)
    assert handed(order, Stage.FLOW)
    order.layout.manifest(order.split, Stage.RESIZED, order.label).unlink()
    run(order, Stage.RESIZED)
    assert not handed(order, Stage.FLOW)


def test_frames_on_another_disk_are_handed_over_there(changed: Changed, tmp_path: Path) -> None:
    """A hand-over lies where its frames will be, so that taking it is a rename."""
    elsewhere = tmp_path / "other disk"
    order = changed(storage=StorageSettings(rawframes_folder=elsewhere))
    run(order, Stage.VIDEOS, Stage.RESIZED, beside=[Stage.RAWFRAMES])
    folders = handed(order, Stage.RAWFRAMES)
    assert folders
    assert all(folder.resolve().is_relative_to(elsewhere) for folder in folders)
    with ruined(order, Stage.VIDEOS):
        (frames,) = run(order, Stage.RAWFRAMES)
    assert any(row.status is Status.OK for row in frames.rows)

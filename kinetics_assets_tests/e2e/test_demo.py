"""The demo from end to end: what it makes, that a rerun is free, and that a SIGKILL does no harm.

All tests share one undisturbed run of two classes.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.stages import Stage
from kinetics_assets.demo import clips, truth
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.stages.status import read_status
from kinetics_assets.verify import verify_dataset
from kinetics_assets_tests.e2e import demo_runs
from kinetics_assets_tests.e2e.kill_sweep import difference, sweep

pytestmark = pytest.mark.slow

LABELS = clips.chosen_classes(demo_runs.CLASSES)
ROWS = clips.plan(LABELS)
SPLITS = (Split.TRAIN, Split.VAL)


@dataclass(frozen=True)
class Finished:
    """An undisturbed run of the demo."""

    root: Path
    output: subprocess.CompletedProcess[str]
    seconds: float


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return the demo of two classes, made once."""
    root = tmp_path_factory.mktemp("demo")
    began = time.monotonic()
    output = demo_runs.run(root)
    assert output.returncode == 0, output.stdout + output.stderr
    return Finished(root, output, time.monotonic() - began)


def test_demo_says_what_was_made_what_was_lost_and_what_to_type_next(finished: Finished) -> None:
    """Counts per stage, the three bad inputs with their reasons, one run a class, `kinetics up`."""
    text = finished.output.stdout
    assert "Traceback" not in text + finished.output.stderr
    assert f"{len(LABELS)} class runs" in text
    for reason in (Reason.GONE, Reason.TRUNCATED, Reason.NOT_MEDIA):
        assert re.search(rf"\b{reason}\b", text)
    assert f"kinetics up --root {finished.root}" in text


def test_every_row_has_its_verdict(finished: Finished) -> None:
    """Good sources are ok in all stages; each bad one has its reason and blocks its own clip."""
    settings = load_settings("demo", root=finished.root, env={})
    status = read_status(settings, splits=SPLITS)
    expected = {
        clips.Fault.DEAD_LINK: (Status.UNAVAILABLE, Reason.GONE),
        clips.Fault.TRUNCATED: (Status.PENDING, Reason.TRUNCATED),
        clips.Fault.HTML: (Status.PENDING, Reason.NOT_MEDIA),
    }
    verdicts = {
        (row.annotation, total.split, total.stage): (row.status, row.reason)
        for total in status.totals
        for one in total.classes
        for row in one.rows
    }
    wanted = {}
    for row in ROWS:
        if row.split is Split.TEST:
            continue
        for stage in (Stage.VIDEOS, Stage.RESIZED, Stage.RAWFRAMES, Stage.FLOW):
            good = (Status.OK, None)
            bad = expected.get(row.source.fault) if row.source.fault else good
            blocked = (Status.BLOCKED, Reason.UPSTREAM)
            is_bad_below = row.source.fault and stage is not Stage.VIDEOS
            wanted[row.clip, row.split, stage] = blocked if is_bad_below else bad
    assert verdicts == wanted


def test_verify_finds_nothing(finished: Finished) -> None:
    """The independent walk over disk, manifests and lists agrees with all of it."""
    report = verify_dataset(load_settings("demo", root=finished.root, env={}))
    assert report.findings == []
    assert report.files > 500


def test_clips_have_the_frames_of_the_plan(finished: Finished) -> None:
    """Each clip has its span's frames, cut out of a longer source or taken whole."""
    layout = demo_runs.layout(finished.root)
    planned = {row.clip: row for row in ROWS}
    for split in SPLITS:
        for label in LABELS:
            for row in read_manifest(layout, split, Stage.VIDEOS, label):
                if row.status is Status.OK:
                    source = planned[row.annotation].source
                    assert row.frames_decoded == source.fps * row.clip.duration_seconds


def test_flow_agrees_with_the_known_motion(finished: Finished) -> None:
    """Each clip's flow is its texture's velocity, scaled with the picture, to 0.3 pixels."""
    layout = demo_runs.layout(finished.root)
    errors = {}
    for split in SPLITS:
        for label in LABELS:
            for row in read_manifest(layout, split, Stage.FLOW, label):
                if row.status is not Status.OK:
                    continue
                assert row.bound_px
                flow = truth.read_flow(
                    layout.base / row.path,
                    start_index=row.start_index or 0,
                    pairs=row.frames_decoded or 0,
                )
                velocity = truth.velocity_px(row.annotation, width_px=row.width_px or 0)
                errors[row.clip.name] = truth.end_point_error_px(
                    flow, velocity, bound_px=row.bound_px
                )
    assert len(errors) == sum(r.source.fault is None and r.split is not Split.TEST for r in ROWS)
    assert max(errors.values()) < truth.LARGEST_MEAN_ERROR_PX, errors


def test_lists_are_those_of_mmaction2s_algorithm(finished: Finished) -> None:
    """The lines are the set that MMAction2's documented disk scan gives for the same tree.

    Its algorithm: all ``<class>/<clip>`` on the disk that the annotations have; the label is the
    rank of the class among the sorted names; frames and flow are counted by file name.
    """
    layout = demo_runs.layout(finished.root)
    names = [name.replace(" ", "_") for name in clips.class_names("demo")]
    ranks = {name: rank for rank, name in enumerate(sorted(names))}
    for split in SPLITS:
        annotated = {
            f"{r.clip.label.replace(' ', '_')}/{r.clip.id.youtube_id}"
            f"_{r.clip.id.start_seconds:06d}_{r.clip.id.end_seconds:06d}"
            for r in ROWS
            if r.split is split
        }
        videos = {
            f"{path.parent.name}/{path.name} {ranks[path.parent.name]}"
            for path in layout.videos(split).glob("*/*")
            if f"{path.parent.name}/{path.stem}" in annotated
        }
        frames, flow = set(), set()
        for folder in layout.rawframes(split).glob("*/*"):
            name = f"{folder.parent.name}/{folder.name}"
            if name in annotated:
                images, pairs = (len(list(folder.glob(p))) for p in ("img_*", "flow_x_*"))
                assert len(list(folder.glob("flow_y_*"))) == pairs == images - 1
                frames.add(f"{name} {images} {ranks[folder.parent.name]}")
                flow.add(f"{name} {pairs} {ranks[folder.parent.name]}")
        for kind, wanted in {"videos": videos, "rawframes": frames, "flow": flow}.items():
            text = layout.filelist(split, kind).read_text(encoding="ascii")
            assert set(text.splitlines()) == wanted
            assert text.count("\n") == len(wanted) > 0


def test_a_rerun_launches_nothing_asks_for_nothing_and_changes_nothing(finished: Finished) -> None:
    """The second run at once says so, and every file keeps inode, size and time."""
    before = demo_runs.stamps(finished.root)
    again = demo_runs.run(finished.root)
    assert again.returncode == 0
    assert "no run was launched, 0 requests" in again.stdout
    assert demo_runs.stamps(finished.root) == before


def test_kills_at_random_moments_end_in_the_undisturbed_tree(
    finished: Finished, tmp_path: Path
) -> None:
    """Two SIGKILLs, of the parent or its group, leave no process and no trace in the dataset."""
    seed = random.randrange(10**6)
    demo_runs.take_mirror(finished.root, tmp_path)
    sys.stdout.write(f"seed {seed}\n")
    done = sweep(
        tmp_path,
        kills=2,
        seed=seed,
        span_seconds=0.6 * finished.seconds,
        classes=demo_runs.CLASSES,
    )
    assert len(done.kills) == 2, (seed, done.kills)
    assert done.orphans == [], seed
    assert not any(done.codes), (seed, done.codes)
    wanted = demo_runs.lines(finished.root)
    assert [difference(wanted, tree) for tree in done.completed] == [""] * len(done.codes), (
        seed,
        done.kills,
    )
    assert verify_dataset(load_settings("demo", root=tmp_path, env={})).findings == []

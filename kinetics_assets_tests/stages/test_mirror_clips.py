"""From replicas of the mirror to manifests: all that is good arrives, all that is bad is named."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.sources.mirror_store import read_record
from kinetics_assets.stages.archives import files_without_row, parts_due, run_archives
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets.verify import tree_digest, verify_dataset
from kinetics_assets_tests import mirrors
from kinetics_assets_tests.mirrors import BOXING, FOOTBALL, HEAD, LABELS, PLAIN, Replica, clip
from kinetics_assets_tests.range_server import RangeServer, Spoilt

TRAIN = Split.TRAIN
MANY = [clip(n) for n in range(100, 125)]
ROWS: dict[tuple[Split, str], list[ClipId]] = {
    (TRAIN, PLAIN): [clip(1), clip(2)],
    (TRAIN, HEAD): [clip(3)],
    (TRAIN, BOXING): [clip(4)],
    (TRAIN, FOOTBALL): MANY,
}
LAYOUTS = {
    "kinetics600": {label: f"600/train/{label}.tar.gz" for label in LABELS},
    "kinetics700_2020": {
        label: f"700_2020/train/k700_train_{number:03d}.tar.gz"
        for label, number in zip(LABELS, (1, 328, 460, 355), strict=True)
    },
}


@pytest.fixture
def server() -> Iterator[RangeServer]:
    """A server with no file yet."""
    with RangeServer() as running:
        yield running


def _videos(made: Replica, label: str) -> tuple[ManifestRow, ...]:
    """Return the rows of a class after a run of the videos stage."""
    return run_stage(Stage.VIDEOS, ClassOrder(made.settings, TRAIN, label)).rows


@pytest.mark.parametrize("dataset", LAYOUTS)
def test_good_classes_arrive_and_bad_ones_are_named(
    server: RangeServer, tmp_path: Path, dataset: str
) -> None:
    """Good archives end in ok rows of the source mirror; a refused one stops nothing else."""
    made = mirrors.replica(server, tmp_path, dataset, ROWS)
    paths = LAYOUTS[dataset]
    made.put(paths[PLAIN], mirrors.clips_tar([*ROWS[TRAIN, PLAIN], clip(77)], junk=True))
    made.put(paths[HEAD], mirrors.clips_tar(ROWS[TRAIN, HEAD], packed=False))
    made.put(paths[BOXING], mirrors.clips_tar([clip(4)], tarfile.TarInfo("../../../evil.mp4")))
    made.put(paths[FOOTBALL], mirrors.cut_at_a_member([*MANY, clip(78)]))
    server.spoilt[f"/kinetics/{paths[PLAIN]}"] = [Spoilt(status=500), Spoilt(cut_after=700)]

    for label in (PLAIN, HEAD):
        for row in _videos(made, label):
            assert (row.status, row.source) == (Status.OK, "mirror")
            path = Layout.of(made.settings).base / row.path
            assert path.read_bytes() == mirrors.video(row.clip)
            assert path.stat().st_nlink == 2
            assert row.source_address.endswith(f"#{row.clip.name}.mp4")
    for label in (BOXING, FOOTBALL):
        for row in _videos(made, label):
            assert (row.status, row.reason) == (Status.PENDING, Reason.BAD_ARCHIVE)
            assert "refused" in row.reason_text
    assert len(server.asked(f"/kinetics/{paths[PLAIN]}")) == 3
    assert [made.asked(paths[label]) for label in (HEAD, BOXING, FOOTBALL)] == [1, 1, 1]
    assert not list(tmp_path.rglob("evil.mp4"))
    assert verify_dataset(made.settings).findings == []
    strangers = files_without_row(made.settings)
    assert list(strangers.values()) == [(f"{clip(77).name}.mp4",)]


@pytest.mark.parametrize(
    ("status", "reason"), [(500, Reason.SERVER_ERROR), (403, Reason.FORBIDDEN)]
)
def test_a_failing_archive_costs_its_class_alone(
    server: RangeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    status: int,
    reason: Reason,
) -> None:
    """One download that fails for 25 clips pauses no mirror: the next class is asked for.

    Each of the clips once counted as a failure of the mirror, which then was paused for an hour.
    """
    monkeypatch.setattr("kinetics_assets.io.resume.backoff_seconds", lambda *_, **__: 0.01)
    rows = {(TRAIN, PLAIN): MANY, (TRAIN, "zumba"): [clip(1)]}
    made = mirrors.replica(server, tmp_path, "kinetics600", rows)
    assert len(MANY) >= made.settings.sources.mass_failure_least
    paths = [f"600/train/{label}.tar.gz" for label in (PLAIN, "zumba")]
    for path, clips in zip(paths, rows.values(), strict=True):
        made.put(path, mirrors.clips_tar(clips))
    server.spoilt[f"/kinetics/{paths[0]}"] = [Spoilt(status=status)] * 99
    verdicts = {(row.status, row.reason) for row in _videos(made, PLAIN)}
    assert verdicts == {(Status.PENDING, reason)}
    assert HostPace(server.host).paused() is None
    assert [row.status for row in _videos(made, "zumba")] == [Status.OK]
    assert made.asked(paths[1]) == 1


def test_names_that_collide_cost_no_step(server: RangeServer, tmp_path: Path) -> None:
    """An archive with a file under a file is refused, and the class asks its next source.

    The file system's refusal of such a name once ended the step.
    """
    made = mirrors.replica(server, tmp_path, "kinetics600", ROWS)
    clips = ROWS[TRAIN, PLAIN]
    files = {f"{c.name}.mp4": mirrors.video(c) for c in clips}
    made.put(LAYOUTS["kinetics600"][PLAIN], mirrors.tar({"x": b"1"} | files | {"x/y": b"2"}))
    pool = tmp_path / "pool"
    pool.mkdir()
    for name, data in files.items():
        (pool / name).write_bytes(data)
    settings = made.changed(order=("mirror", "local"), local_folders=(pool,))
    rows = run_stage(Stage.VIDEOS, ClassOrder(settings, TRAIN, PLAIN)).rows
    assert [(row.status, row.source) for row in rows] == [(Status.OK, "local")] * len(clips)
    assert {row.tried[0].reason for row in rows} == {Reason.BAD_ARCHIVE}
    record = read_record(Layout.of(settings), TRAIN, PLAIN)
    assert record is not None
    assert "'x' is a file and a folder" in record.refused


def test_the_store_is_no_part_of_the_dataset(server: RangeServer, tmp_path: Path) -> None:
    """Parts under way, records and files of the mirror change no digest and trouble no check."""
    made = mirrors.replica(server, tmp_path, "kinetics600", ROWS)
    made.put(LAYOUTS["kinetics600"][HEAD], mirrors.clips_tar(ROWS[TRAIN, HEAD]))
    assert _videos(made, HEAD)[0].status is Status.OK
    layout = Layout.of(made.settings)
    before = tree_digest(layout)
    (layout.mirror / "archives" / "train" / ".part-x.tar.gz").write_bytes(b"half")
    report = verify_dataset(made.settings)
    assert report.findings == []
    assert not [note for note in report.notes if "mirror" in note]
    assert tree_digest(layout) == before
    shutil.rmtree(layout.mirror)
    assert tree_digest(layout) == before
    assert verify_dataset(made.settings).findings == []


def test_kinetics_400_comes_by_parts(server: RangeServer, tmp_path: Path) -> None:
    """Clips are pending until their part is here; the damaged copy gives way to the replacement."""
    made = mirrors.replica(server, tmp_path, "kinetics400", ROWS)
    settings, order = made.settings, ClassOrder(made.settings, TRAIN, PLAIN)
    assert len(parts_due(settings, TRAIN)) == 243
    assert parts_due(settings, TRAIN, tried_only=True) == ()
    assert {row.reason for row in _videos(made, PLAIN)} == {Reason.NOT_AT_SOURCE}
    assert not needs_work(Stage.VIDEOS, order, now=now_utc())
    assert len(parts_due(settings, TRAIN, tried_only=True)) == 243

    broken = {f"{clip(1).name}.mp4": b"moov atom not found", f"{clip(2).name}.mp4": b""}
    made.put("400/train/part_0.tar.gz", mirrors.tar(broken))
    assert run_archives(settings, TRAIN, part="part_0")[0].matched == 2
    assert needs_work(Stage.VIDEOS, order, now=now_utc())
    assert Status.OK not in {row.status for row in _videos(made, PLAIN)}

    clips = {
        f"replacement_for_corrupted_k400/{c.name}.mp4": mirrors.video(c) for c in order_clips()
    }
    made.put("400/replacement_for_corrupted_k400.tgz", mirrors.tar(clips))
    assert run_archives(settings, TRAIN, part="replacement")[0].matched == 2
    rows = _videos(made, PLAIN)
    assert {(row.status, row.source) for row in rows} == {(Status.OK, "mirror")}
    assert verify_dataset(settings).findings == []
    assert not needs_work(Stage.VIDEOS, order, now=now_utc())


def order_clips() -> list[ClipId]:
    """Return the clips of the easy class."""
    return ROWS[TRAIN, PLAIN]


def test_no_part_is_due_when_nothing_is_wanted(server: RangeServer, tmp_path: Path) -> None:
    """A split whose clips are all here asks for no archive; one that lost a file does, for it."""
    rows = {(TRAIN, PLAIN): order_clips()}
    made = mirrors.replica(server, tmp_path, "kinetics400", rows)
    made.put("400/train/part_7.tar.gz", mirrors.clips_tar(order_clips()))
    (report,) = run_archives(made.settings, TRAIN, part="part_7")
    assert report.record is not None
    assert "part_7" not in parts_due(made.settings, TRAIN)
    layout = Layout.of(made.settings)
    shutil.rmtree(layout.mirror_files(TRAIN, "part_7"))
    assert "part_7" in parts_due(made.settings, TRAIN)
    run_archives(made.settings, TRAIN, part="part_7")
    _videos(made, PLAIN)
    shutil.rmtree(layout.mirror_files(TRAIN, "part_7"))
    assert parts_due(made.settings, TRAIN) == ()

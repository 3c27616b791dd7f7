"""`kinetics prepare kinetics400`: archives first, then the classes that look into them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kinetics_assets.commands.archive_runs import archive_requests
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.sources.mirror_archives import known_parts
from kinetics_assets.sources.mirror_store import ArchiveRecord, write_record
from kinetics_assets_tests import mirrors
from kinetics_assets_tests.e2e import demo_runs
from kinetics_assets_tests.mirrors import BOXING, PLAIN, Replica, clip
from kinetics_assets_tests.range_server import RangeServer

pytestmark = pytest.mark.slow

TRAIN = Split.TRAIN
ROWS = {(TRAIN, PLAIN): [clip(1)], (TRAIN, BOXING): [clip(2)]}
LEFT = ("part_0", "part_1", "replacement")
"""Parts that are not recorded yet; the others are, as empty."""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Replica]:
    """A replica of Kinetics-400 of which three parts were not got yet, one of them bad."""
    with RangeServer() as server:
        made = mirrors.replica(server, tmp_path, "kinetics400", ROWS, stored=False)
        made.put("400/train/part_0.tar.gz", mirrors.clips_tar([clip(1), clip(50)]))
        made.put("400/train/part_1.tar.gz", mirrors.cut_at_a_member([clip(3), clip(4)]))
        made.put("400/replacement_for_corrupted_k400.tgz", mirrors.clips_tar([clip(2)]))
        for part in set(known_parts("kinetics400", TRAIN)) - set(LEFT):
            record = ArchiveRecord(TRAIN, part, "", "", "", 0, "2026-01-01T00:00:00+00:00")
            write_record(Layout.of(made.settings), record)
        yield made


def _prepare(made: Replica, *options: str) -> subprocess.CompletedProcess[str]:
    """Return the finished command."""
    root = made.settings.root
    command = [sys.executable, "-m", "kinetics_assets.cli", "prepare", "kinetics400"]
    done = subprocess.run(
        [*command, "--root", str(root), "--split", "train", "--stage", "videos", *options],
        env=demo_runs.environment(root),
        capture_output=True,
        text=True,
        check=False,
        timeout=demo_runs.SECONDS,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done


def test_archives_come_before_classes_and_only_once(made: Replica) -> None:
    """Each part that is due is got once, a bad one stops nothing and is named at the end.

    Files without an annotation row are counted. With classes named, no part is asked for.
    """
    whole = _prepare(made)
    assert whole.returncode == 1, whole.stdout + whole.stderr
    assert "getting 3 archives" in whole.stdout
    assert len(made.server.served) == len(LEFT)
    layout = Layout.of(made.settings)
    for label in (PLAIN, BOXING):
        (row,) = read_manifest(layout, TRAIN, Stage.VIDEOS, label)
        assert (row.status, row.source) == (Status.OK, "mirror")
    assert "archive train part_1" in whole.stdout
    assert "end mark is missing" in whole.stdout
    assert "1 files of the mirror have no annotation row" in whole.stdout
    assert archive_requests(made.settings, (TRAIN,), with_refused=False) == []
    refused = archive_requests(made.settings, (TRAIN,), with_refused=True)
    assert [request.part for request in refused] == ["part_1"]

    (row,) = read_manifest(layout, TRAIN, Stage.VIDEOS, PLAIN)
    (layout.base / row.path).unlink()
    layout.mirror_record(TRAIN, "part_0").unlink()
    chosen = _prepare(made, "--class", PLAIN)
    assert "getting" not in chosen.stdout
    assert "archive train part_1" in chosen.stdout
    assert "not_at_source" in chosen.stdout
    assert len(made.server.served) == len(LEFT)
    due = archive_requests(made.settings, (TRAIN,), with_refused=False)
    assert [request.part for request in due] == ["part_0"]

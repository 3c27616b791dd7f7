"""Which archives a preparation gets before its classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kinetics_assets.commands.archive_runs import (
    archive_requests,
    name_of,
    strangers_text,
    unused_archives,
)
from kinetics_assets.core.clips import Split
from kinetics_assets.core.settings import Settings
from kinetics_assets.stages.archives import run_archives
from kinetics_assets_tests import mirrors
from kinetics_assets_tests.mirrors import PLAIN, Replica, clip
from kinetics_assets_tests.range_server import RangeServer

TRAIN, VAL, TEST = Split.TRAIN, Split.VAL, Split.TEST
ROWS = {(split, PLAIN): [clip(n)] for n, split in enumerate(Split)}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Replica]]:
    """Return a function that makes a replica with a clip in each split."""
    with RangeServer() as server:
        yield lambda dataset: mirrors.replica(server, tmp_path, dataset, ROWS)


def _names(settings: Settings, *splits: Split, **how: bool) -> list[str]:
    return [name_of(r) for r in archive_requests(settings, splits, with_refused=False, **how)]


def test_mixed_parts_are_due_until_they_are_here(make: Callable[[str], Replica]) -> None:
    """All parts of the chosen splits, one run each; all of test are one run, until it was done."""
    made = make("kinetics400")
    assert len(_names(made.settings, TRAIN, VAL)) == 243 + 20
    assert _names(made.settings, VAL)[:2] == ["archive val part_0", "archive val part_1"]
    assert _names(made.settings, TEST) == ["archives of test"]
    made.put("400/test/k400_test_path.txt", b"part_0.tar.gz\n")
    made.put("400/test/part_0.tar.gz", mirrors.clips_tar([clip(40)]))
    run_archives(made.settings, TEST, part=None)
    assert _names(made.settings, TEST) == []
    assert strangers_text(made.settings).startswith("1 files of the mirror")


def test_archives_by_class_are_no_runs_of_their_own(make: Callable[[str], Replica]) -> None:
    """Their classes fetch them; only test parts come first."""
    made = make("kinetics600")
    assert _names(made.settings, TRAIN, VAL) == []
    assert _names(made.settings, TEST) == ["archives of test"]


def test_nothing_is_due_without_the_mirror(make: Callable[[str], Replica]) -> None:
    """Settings without the mirror ask for no archive, nor do datasets it does not have."""
    made = make("kinetics400")
    assert _names(made.changed(order=("local", "youtube")), TRAIN) == []


def test_folders_of_the_user_are_looked_into_first(
    make: Callable[[str], Replica], tmp_path: Path
) -> None:
    """No archive is got for clips that may be in a local folder, unless it is asked for."""
    made = make("kinetics400")
    folders = made.changed(order=("local", "mirror"), local_folders=(tmp_path,))
    assert _names(folders, TRAIN) == []
    assert len(_names(folders, TRAIN, at_once=True)) == 243
    mirror_first = made.changed(order=("mirror", "local"), local_folders=(tmp_path,))
    assert len(_names(mirror_first, TRAIN)) == 243


def test_refused_archives_are_named_and_tried_when_asked(make: Callable[[str], Replica]) -> None:
    """A refused part is not due by itself; it is named with its words."""
    made = make("kinetics400")
    made.put("400/val/part_3.tar.gz", mirrors.cut_at_a_member([clip(1), clip(50)]))
    run_archives(made.settings, VAL, part="part_3")
    assert "archive val part_3" not in _names(made.settings, VAL)
    asked = archive_requests(made.settings, [VAL], with_refused=True)
    assert "part_3" in {request.part for request in asked}
    ((name, why),) = unused_archives(made.settings, [TRAIN, VAL])
    assert name == "archive val part_3"
    assert "end mark is missing" in why

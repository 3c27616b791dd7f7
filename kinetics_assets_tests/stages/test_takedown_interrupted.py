"""Takedowns that are killed, repeated or meet a step at work end like any other."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.journal import Journal
from kinetics_assets.io.locks import exclusive
from kinetics_assets.io.manifests import read_known
from kinetics_assets.io.takedowns import read_takedowns
from kinetics_assets.stages import takedown as takedown_module
from kinetics_assets.stages.retire import read_retired
from kinetics_assets.stages.takedown import Scope, take_down
from kinetics_assets.verify import verify_dataset
from kinetics_assets_tests.processes import until
from kinetics_assets_tests.stages.taken_down import LABEL, left_of, ok_clip, rows_of, taken
from kinetics_assets_tests.trees import files_and_times


def test_a_second_time_changes_no_byte(datasets: list[Settings]) -> None:
    """The same takedown again finds nothing to do."""
    clip = ok_clip(datasets[0])
    taken(datasets, clip.name)
    before = files_and_times(datasets[0].root)
    outcome = taken(datasets, clip.name)
    assert (outcome.deleted, outcome.rows, outcome.lines) == ([], 0, 0)
    assert files_and_times(datasets[0].root) == before


@pytest.mark.parametrize("after", [0, 1, 2, 4, 6])
def test_the_same_command_finishes_after_a_crash(
    datasets: list[Settings], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Killed before its n-th deletion, it ends in the state of an undisturbed takedown."""
    clip = ok_clip(datasets[0])
    odd = datasets[0].root / "odd name.mp4"
    odd.hardlink_to(Layout.of(datasets[0]).base / rows_of(datasets[0], Stage.VIDEOS)[clip].path)
    sha256 = rows_of(datasets[0], Stage.FLOW)[clip].sha256
    delete, count = takedown_module._delete, [0]

    def dies(*arguments: object) -> None:
        if count[0] == after:
            raise KeyboardInterrupt
        count[0] += 1
        delete(*arguments)  # type: ignore[arg-type]  # handed through

    with monkeypatch.context() as patch:
        patch.setattr(takedown_module, "_delete", dies)
        with pytest.raises(KeyboardInterrupt):
            taken(datasets, clip.name)
    assert read_takedowns(datasets[0].root).entries
    taken(datasets, clip.name)
    assert not left_of(datasets[0].root, clip)
    assert not odd.exists()
    for one in datasets:
        assert verify_dataset(one).is_clean
    path = Layout.of(datasets[0]).retired_manifest(Split.TRAIN, Stage.FLOW, LABEL)
    assert [row.sha256 for row in read_retired(path) if row.clip == clip] == [sha256]


def test_a_killed_step_is_no_way_back(datasets: list[Settings]) -> None:
    """Its journal, newer than the manifest, says taken down too."""
    clip = ok_clip(datasets[0])
    layout = Layout.of(datasets[0])
    row = rows_of(datasets[0], Stage.VIDEOS)[clip]
    path = layout.journal(Split.TRAIN, Stage.VIDEOS, LABEL)
    with Journal(path) as journal:
        journal.append(row)
    taken(datasets, clip.name)
    known = read_known(layout, Split.TRAIN, Stage.VIDEOS, LABEL)
    assert [r.reason for r in known if r.clip == clip] == [Reason.TAKEN_DOWN]


def test_a_step_at_work_is_waited_for(
    datasets: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a step holds its class, no file of the class is touched; it is told who is waited for.

    Cause: deleting a file that a step is about to publish or read would be a crash of that step.
    """
    clip = ok_clip(datasets[0])
    layout = Layout.of(datasets[0])
    said: list[str] = []
    waits = threading.Event()
    scope = Scope(datasets[0].root, datasets, frozenset({clip.name}))

    @contextmanager
    def watched(path: Path, *, wait: bool, what: str = "") -> Iterator[None]:
        if wait:
            waits.set()  # from here on it cannot go on before the lock is free
        with exclusive(path, wait=wait, what=what):
            yield

    def work() -> None:
        take_down(scope, reason="", tell=said.append)

    monkeypatch.setattr(takedown_module, "exclusive", watched)
    thread = threading.Thread(target=work)
    with exclusive(layout.lock(Split.TRAIN, Stage.FLOW, LABEL), wait=True):
        thread.start()
        until(lambda: waits.is_set() or not thread.is_alive(), "the takedown to wait")
        assert thread.is_alive()
        assert left_of(layout.base, clip)
    thread.join()
    assert not left_of(layout.base, clip)
    assert str(os.getpid()) in said[0]


def test_an_archive_in_hand_is_told_of(datasets: list[Settings]) -> None:
    """It may hold the clip and its process may not know yet; that is said, not waited for."""
    layout = Layout.of(datasets[0])
    free, held = (layout.mirror_lock(Split.TRAIN, name) for name in ("part_0", "part_1"))
    with exclusive(free, wait=True):
        pass
    with exclusive(held, wait=True):
        (told,) = taken(datasets, ok_clip(datasets[0]).name).at_work
    assert "part_1" in told
    assert str(os.getpid()) in told

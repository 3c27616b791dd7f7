"""Which classes are chosen to be refilled, for what, and which have to wait."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InputError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.needs import USUAL_NEEDS, Need, chosen_needs, chosen_reasons
from kinetics_assets.core.reasons import Kind, Reason
from kinetics_assets.core.settings import FrameRecipe, ResizeRecipe, Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.journal import Journal
from kinetics_assets.io.locks import exclusive
from kinetics_assets.io.manifests import read_manifest, write_manifest
from kinetics_assets.stages.missing import select_classes
from kinetics_assets.stages.selection import Choice, Selection
from kinetics_assets_tests.stages.prepared import CLASSES, NOW, clips, fail, output, prepared
from kinetics_assets_tests.trees import files_and_times

TRAIN, VAL, VIDEOS, RESIZED = Split.TRAIN, Split.VAL, Stage.VIDEOS, Stage.RESIZED
A, B, C, D, E = CLASSES


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a complete tree."""
    return prepared(tmp_path)


def choose(settings: Settings, **choice: Any) -> Selection:  # noqa: ANN401 - any field
    """Return what is chosen of videos and resized at the tree's own time."""
    return select_classes(settings, Choice(**{"stages": (VIDEOS, RESIZED), **choice}), now=NOW)


def found(selection: Selection) -> dict[tuple[Split, Stage, str], str]:
    """Return why each class was chosen."""
    return {(one.split, one.stage, one.label): one.why for one in selection.chosen}


def waiting(selection: Selection) -> dict[tuple[Split, Stage, str], str]:
    """Return why each class has to wait."""
    return {(one.split, one.stage, one.label): one.waits_for for one in selection.waiting}


def alter(path: Path, *, at_hours: float | None = 0.0) -> None:
    """Change a byte of a file, at a time after `NOW` or, with None, without a trace in its time."""
    stat = path.stat()
    path.write_bytes(b"X" + path.read_bytes()[1:])
    if at_hours is None:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    else:
        seconds = (NOW + timedelta(hours=at_hours)).timestamp()
        os.utime(path, (seconds, seconds))


def test_a_complete_tree_needs_nothing_and_is_not_touched(settings: Settings) -> None:
    """Nothing is chosen, nothing waits, no file changes, even when all are hashed."""
    before = files_and_times(settings.root)
    for options in ({}, {"check_files": True}, {"retry_now": True}, {"needs": frozenset(Need)}):
        selection = choose(settings, **options)
        assert (selection.chosen, selection.waiting) == ((), ())
    assert files_and_times(settings.root) == before


def test_each_thing_that_can_be_the_matter_is_named(settings: Settings) -> None:
    """Lost manifests and files, altered files and failed clips: each class with its own why."""
    layout = Layout.of(settings)
    layout.manifest(TRAIN, VIDEOS, A).unlink()
    shutil.rmtree(layout.class_folder(TRAIN, RESIZED, B))
    alter(output(settings, TRAIN, RESIZED, C))
    fail(settings, VAL, D, Reason.NETWORK)
    assert found(choose(settings)) == {
        (TRAIN, VIDEOS, A): "4 missing, incomplete",
        (TRAIN, RESIZED, A): "incomplete, follows videos",
        (TRAIN, RESIZED, B): "4 damaged",
        (TRAIN, RESIZED, C): "1 damaged",
        (VAL, VIDEOS, D): "1 retryable (1 network)",
        (VAL, RESIZED, D): "follows videos",
    }


def test_targets_are_exact_per_split_and_stage(settings: Settings) -> None:
    """A class that one split needs is not asked for in the other, nor in stages above."""
    output(settings, VAL, RESIZED, E).unlink()
    output(settings, TRAIN, VIDEOS, A).unlink()
    selection = choose(settings)
    assert selection.targets == {
        (TRAIN, VIDEOS): (A,),
        (TRAIN, RESIZED): (A,),
        (VAL, RESIZED): (E,),
    }
    assert selection.needs == {Need.DAMAGED: 2}
    assert choose(settings, splits=(VAL,)).targets == {(VAL, RESIZED): (E,)}
    assert choose(settings, labels=(A,)).targets.keys() == {(TRAIN, VIDEOS), (TRAIN, RESIZED)}
    assert choose(settings, stages=(VIDEOS,)).targets == {(TRAIN, VIDEOS): (A,)}


def test_a_stage_comes_with_what_it_reads_and_what_lies_between(settings: Settings) -> None:
    """Asked for flow from resized, the chain is videos, resized, flow: none is skipped.

    Cause: Dagster walks only through selected assets; videos and flow alone made videos alone.
    """
    recipe = FrameRecipe(frames_from="resized")
    deep = replace(settings, rawframes=recipe)
    output(settings, TRAIN, VIDEOS, A).unlink()
    choice = Choice(stages=(Stage.FLOW,), splits=(TRAIN,), labels=(A,))
    selection = select_classes(deep, choice, now=NOW)
    assert list(selection.targets) == [(TRAIN, VIDEOS), (TRAIN, RESIZED), (TRAIN, Stage.FLOW)]


def test_silent_damage_needs_all_files_hashed(settings: Settings) -> None:
    """A byte that changed without a trace is found with `check_files`, which the runs get too."""
    alter(output(settings, TRAIN, VIDEOS, A), at_hours=None)
    assert not choose(settings).chosen
    selection = choose(settings, check_files=True)
    assert found(selection)[TRAIN, VIDEOS, A] == "1 damaged"
    assert selection.must_check_files


def test_a_pause_is_waited_for_unless_told_otherwise(settings: Settings) -> None:
    """What is not due yet is told with its time and not run; `retry_now` runs it."""
    fail(settings, TRAIN, A, Reason.NETWORK, Reason.NETWORK, Reason.SERVER_ERROR, hours=2)
    selection = choose(settings)
    assert not selection.chosen
    assert waiting(selection) == {
        (TRAIN, VIDEOS, A): "nothing is due before 2020-11-22 14:00 UTC (--retry-now)",
        (TRAIN, RESIZED, A): "waits for videos",
    }
    chosen = choose(settings, retry_now=True)
    assert chosen.targets == {(TRAIN, VIDEOS): (A,), (TRAIN, RESIZED): (A,)}
    why = "incomplete, 3 retryable (2 network, 1 server_error)"
    assert found(chosen)[TRAIN, VIDEOS, A] == why
    later = Choice(stages=(VIDEOS, RESIZED))
    assert select_classes(settings, later, now=NOW + timedelta(hours=3)).targets == chosen.targets


def test_new_sources_make_failed_clips_due_at_once(settings: Settings, tmp_path: Path) -> None:
    """Another local folder ends every pause, because it may have the clip."""
    fail(settings, TRAIN, A, Reason.NOT_AT_SOURCE, hours=2)
    assert not choose(settings).chosen
    (tmp_path / "more").mkdir()
    folders = (*settings.sources.local_folders, tmp_path / "more")
    more = replace(settings, sources=replace(settings.sources, local_folders=folders))
    assert found(choose(more))[TRAIN, VIDEOS, A] == "1 retryable (1 not_at_source)"


def test_reasons_narrow_the_choice(settings: Settings) -> None:
    """`reasons` takes classes that hold them; permanent ones only when told to retry now."""
    fail(settings, TRAIN, A, Reason.NETWORK)
    fail(settings, TRAIN, B, Reason.VIDEO_REMOVED, status=Status.UNAVAILABLE)
    output(settings, TRAIN, VIDEOS, C).unlink()
    network = frozenset({Reason.NETWORK})
    only = frozenset({Need.RETRYABLE})
    assert choose(settings, needs=only, reasons=network).targets[TRAIN, VIDEOS] == (A,)
    removed = {"needs": only, "reasons": frozenset({Reason.VIDEO_REMOVED})}
    assert waiting(choose(settings, **removed)) == {
        (TRAIN, VIDEOS, B): "nothing may be tried now",
    }
    assert choose(settings, **removed, retry_now=True).targets[TRAIN, VIDEOS] == (B,)
    assert choose(settings, retry_now=True).targets[TRAIN, VIDEOS] == (A, C)


def test_young_verdicts_are_left_alone(settings: Settings) -> None:
    """`older_than` spares clips that were tried lately; what was never tried has no age."""
    fail(settings, TRAIN, A, Reason.NETWORK)
    Layout.of(settings).manifest(TRAIN, VIDEOS, B).unlink()
    assert choose(settings, older_than=timedelta(minutes=59)).targets[TRAIN, VIDEOS] == (A, B)
    assert choose(settings, older_than=timedelta(minutes=61)).targets[TRAIN, VIDEOS] == (B,)


def test_a_new_recipe_is_refilled_only_when_asked(settings: Settings) -> None:
    """Stale classes are everything after a change of the recipe, so they need their own word."""
    other = replace(settings, resized=ResizeRecipe(crf=30))
    assert not choose(other).chosen
    stale = choose(other, needs=frozenset({Need.STALE}))
    assert stale.targets == {(TRAIN, RESIZED): CLASSES, (VAL, RESIZED): CLASSES}
    assert found(stale)[VAL, RESIZED, E] == "4 stale"


def test_what_dagster_calls_failed_is_run_again(settings: Settings) -> None:
    """A class whose last run crashed after its work was done is chosen, by Dagster's word alone."""

    def has_failed(label: str, split: Split, stage: Stage) -> bool:
        return (label, split, stage) == (B, VAL, VIDEOS)

    choice = Choice(stages=(VIDEOS, RESIZED))
    selection = select_classes(settings, choice, now=NOW, has_failed=has_failed)
    assert found(selection) == {
        (VAL, VIDEOS, B): "failed",
        (VAL, RESIZED, B): "follows videos",
    }


def test_a_step_at_work_is_left_alone_a_killed_one_is_not(settings: Settings) -> None:
    """A journal whose lock is held belongs to a live step; without its holder, to a dead one."""
    layout = Layout.of(settings)
    row = read_manifest(layout, TRAIN, VIDEOS, A)[0]
    with Journal(layout.journal(TRAIN, VIDEOS, A)) as journal:
        journal.append(row)
    with exclusive(layout.lock(TRAIN, VIDEOS, A), wait=True):
        assert waiting(choose(settings)) == {(TRAIN, VIDEOS, A): "a step works on it"}
    assert found(choose(settings))[TRAIN, VIDEOS, A] == "missing"


def test_a_manifest_that_cannot_be_read_stops_no_other_class(settings: Settings) -> None:
    """Its class is told with the remedy, and the others are chosen all the same."""
    path = Layout.of(settings).manifest(TRAIN, VIDEOS, A)
    path.write_bytes(path.read_bytes()[:-9])
    output(settings, TRAIN, VIDEOS, B).unlink()
    selection = choose(settings, splits=(TRAIN,))
    assert selection.targets[TRAIN, VIDEOS] == (B,)
    assert "Delete the file" in waiting(selection)[TRAIN, VIDEOS, A]


def test_classes_of_a_backfill_under_way_are_left_out(settings: Settings) -> None:
    """Asked twice, the second time nothing is launched; other splits of the class are not held."""
    output(settings, TRAIN, VIDEOS, A).unlink()
    output(settings, VAL, VIDEOS, A).unlink()
    selection = choose(settings).without({(TRAIN, A)})
    assert selection.targets == {(VAL, VIDEOS): (A,), (VAL, RESIZED): (A,)}
    assert set(waiting(selection)) == {(TRAIN, VIDEOS, A), (TRAIN, RESIZED, A)}


def test_rows_that_left_the_list_are_stale(settings: Settings) -> None:
    """A manifest of another list is told as such, not as damage."""
    layout = Layout.of(settings)
    rows = read_manifest(layout, TRAIN, VIDEOS, A)
    extra = replace(rows[0], clip=clips(VAL, A)[0])
    write_manifest(layout, TRAIN, VIDEOS, A, rows=[*rows, extra])
    assert not choose(settings).chosen
    stale = choose(settings, needs=frozenset({Need.STALE}))
    assert found(stale)[TRAIN, VIDEOS, A] == "stale"


def test_words_are_checked() -> None:
    """Unknown states and reasons are named with what there is; reasons alone mean retryable."""
    assert chosen_needs([]) == set(USUAL_NEEDS)
    assert chosen_needs([], reasons=[Reason.NETWORK]) == {Need.RETRYABLE}
    assert chosen_needs(["stale"]) == {Need.STALE}
    with pytest.raises(InputError, match="missing, failed"):
        chosen_needs(["gone"])
    assert chosen_reasons(["network"]) == {Reason.NETWORK}
    for name in ("disk_full", "nonsense"):
        with pytest.raises(InputError, match="video_removed"):
            chosen_reasons([name])
    assert all(reason.kind is not Kind.ENVIRONMENT for reason in Reason if reason.is_verdict)

"""Tests of the filelists stage: from manifests only, refused when small or mixed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.classes import class_indices
from kinetics_assets.core.clips import Clip, ClipId, Split
from kinetics_assets.core.errors import SettingsError
from kinetics_assets.core.filelists import ListKind
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import WHOLE, ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import FrameRecipe, ListSettings, Settings
from kinetics_assets.core.stages import CLASS_STAGES, Stage
from kinetics_assets.io.annotation_store import load_class_rows, read_current
from kinetics_assets.io.manifests import write_manifest
from kinetics_assets.stages.filelists import ListsRefused, run_filelists
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.excluded import annotate
from kinetics_assets_tests.trees import files_and_times

ANY = ListSettings(min_share=0.0)


def prepared(order: ClassOrder, **lists: object) -> ClassOrder:
    """Run all stages of the class; the lists' smallest share is put to zero."""
    for stage in CLASS_STAGES:
        run_stage(stage, order)
    settings = replace(order.settings, filelists=replace(ANY, **lists))  # type: ignore[arg-type]  # fields are named by the caller
    return replace(order, settings=settings)


def test_lists_hold_what_manifests_say(order: ClassOrder) -> None:
    """Each list has one line per ok row, its count and index; JSON says the same."""
    order = prepared(order)
    report = run_filelists(order.settings, order.split)
    index = class_indices("demo")[order.label]
    for kind, pictures in ((ListKind.RAWFRAMES, "img_*"), (ListKind.FLOW, "flow_x_*")):
        lines = report.paths[kind].read_text(encoding="utf-8").splitlines()
        assert len(lines) == report.lines[kind] == 4
        assert lines == sorted(lines)
        for line in lines:
            folder, count, label = line.split(" ")
            found = list((order.layout.rawframes(order.split) / folder).glob(pictures))
            assert (len(found), index) == (int(count), int(label))
        records = json.loads(report.paths[kind].with_suffix(".json").read_text(encoding="utf-8"))
        assert [f"{r['frame_dir']} {r['total_frames']} {r['label'][0]}" for r in records] == lines
    for line in report.paths[ListKind.VIDEOS].read_text(encoding="utf-8").splitlines():
        assert (order.layout.videos(order.split) / line.split(" ")[0]).is_file()
    assert sum(report.left_out[ListKind.VIDEOS].values()) == report.rows - 4


def test_a_second_time_changes_no_byte(order: ClassOrder) -> None:
    """The lists are not rewritten when nothing changed."""
    order = prepared(order)
    assert run_filelists(order.settings, order.split).changed
    before = files_and_times(order.layout.base)
    assert not run_filelists(order.settings, order.split).changed
    assert files_and_times(order.layout.base) == before


def test_lists_may_name_the_resized_videos(order: ClassOrder) -> None:
    """By setting the videos list names the resized clips, all of them, never a mix."""
    order = prepared(order, videos_from="resized")
    report = run_filelists(order.settings, order.split)
    for line in report.paths[ListKind.VIDEOS].read_text(encoding="utf-8").splitlines():
        assert (order.layout.resized(order.split) / line.split(" ")[0]).is_file()


def test_too_small_a_list_is_refused_with_the_reasons(order: ClassOrder) -> None:
    """Below the smallest share nothing is written, and the message says what is missing."""
    order = prepared(order, min_share=0.9)
    with pytest.raises(ListsRefused, match=r"not run|not_at_source"):
        run_filelists(order.settings, order.split)
    assert not order.layout.filelist(order.split, "videos").exists()


def fill(settings: Settings, stage: Stage, **counts: int) -> None:
    """Write a manifest of a class's clips with so many rows of each status, in the list's order."""
    layout, split, label = Layout.of(settings), Split.TRAIN, "zumba"
    reasons = {
        Status.UNAVAILABLE: Reason.NO_AUDIO if stage is Stage.AUDIO else Reason.VIDEO_REMOVED,
        Status.BLOCKED: Reason.UPSTREAM,
    }
    annotated = load_class_rows(layout, split, label)
    each = [Status(status) for status, count in counts.items() for _ in range(count)]
    rows = [
        ManifestRow(
            clip.id,
            label,
            annotated.edition,
            status,
            reason=reasons.get(status),
            path=f"{stage}_train/{label}/{clip.id.name}",
            frames_decoded=250,
            digest=WHOLE,
            profile="unknown",
        )
        for clip, status in zip(annotated.clips, each, strict=True)
    ]
    write_manifest(layout, split, stage, label, rows=rows)


@pytest.fixture
def mostly_lost(tmp_path: Path) -> Settings:
    """A class of ten: the videos of six are lost for good, three have no sound, one has all."""
    clips = tuple(Clip(ClipId(f"video{n:06d}", 0, 10), "zumba") for n in range(10))
    settings = annotate(
        tmp_path / "lists", "kinetics400", {Split.TRAIN: clips}, root=tmp_path / "root"
    )
    fill(settings, Stage.VIDEOS, ok=4, unavailable=6)
    fill(settings, Stage.RAWFRAMES, ok=4, blocked=6)
    fill(settings, Stage.FLOW, ok=4, blocked=6)
    fill(settings, Stage.AUDIO, ok=1, unavailable=3, blocked=6)
    fill(settings, Stage.AUDIO_FEATURES, ok=1, blocked=9)
    return settings


def test_permanent_losses_hold_back_no_list(mostly_lost: Settings) -> None:
    """At the default share, a clip that is lost in any stage before is none that can be had.

    Cause: rows that such a loss blocks counted as clips that were yet to come, so lists of frames,
    flow and features were refused for ever.
    """
    assert mostly_lost.filelists == ListSettings()
    report = run_filelists(mostly_lost, Split.TRAIN)
    assert report.refused == {}
    sound = {ListKind.AUDIO, ListKind.AUDIO_FEATURES, ListKind.AUDIO_FEATURE}
    assert report.lines == {kind: 1 if kind in sound else 4 for kind in ListKind}


def test_what_may_still_come_holds_a_list_back(mostly_lost: Settings) -> None:
    """A clip that is blocked counts unless it is lost; one that is left out anyway is no loss."""
    settings = mostly_lost
    fill(settings, Stage.RAWFRAMES, ok=1, blocked=9)
    with pytest.raises(ListsRefused, match="1 of 10 rows, fewer than 2"):
        run_filelists(settings, Split.TRAIN)
    lost = "".join(f"zumba,video{n:06d},0,10\n" for n in range(3, 10))
    (settings.root / "out.csv").write_text(f"label,youtube_id,time_start,time_end\n{lost}")
    settings = replace(settings, filelists=ListSettings(exclude=("out.csv",)))
    with pytest.raises(ListsRefused, match="1 of 3 rows, fewer than 2"):
        run_filelists(settings, Split.TRAIN)


def test_an_empty_list_is_refused(order: ClassOrder) -> None:
    """A list without a line is an error, not an empty file."""
    settings = replace(order.settings, filelists=ANY)
    with pytest.raises(ListsRefused, match="0 of"):
        run_filelists(settings, order.split)


def test_mixed_recipes_are_refused(order: ClassOrder, changed: Callable[..., ClassOrder]) -> None:
    """Outputs of yesterday's recipe are not listed beside today's: the class is named."""
    order = prepared(order)
    other = changed(rawframes=FrameRecipe(size="48"), filelists=ANY)
    with pytest.raises(ListsRefused, match="abseiling"):
        run_filelists(other.settings, order.split)
    run_stage(Stage.RAWFRAMES, other)
    run_stage(Stage.FLOW, other)
    assert run_filelists(other.settings, order.split).lines[ListKind.FLOW] == 4


def test_a_shuffle_needs_a_seed(order: ClassOrder) -> None:
    """Lists that nobody could make again are refused."""
    settings = replace(order.settings, filelists=ListSettings(shuffle=True))
    with pytest.raises(SettingsError, match="seed"):
        run_filelists(settings, order.split)


def test_a_seed_gives_another_order_of_the_same_lines(order: ClassOrder) -> None:
    """A shuffled list has the same lines, and the same order each time."""
    order = prepared(order)
    plain = run_filelists(order.settings, order.split)
    lines = plain.paths[ListKind.RAWFRAMES].read_text(encoding="utf-8").splitlines()
    seeded = replace(order.settings, filelists=replace(ANY, shuffle=True, seed=5))
    run_filelists(seeded, order.split)
    shuffled = plain.paths[ListKind.RAWFRAMES].read_text(encoding="utf-8").splitlines()
    assert shuffled != lines
    assert sorted(shuffled) == lines
    assert not run_filelists(seeded, order.split).changed


def test_beside_each_list_stands_what_it_was_made_from(order: ClassOrder) -> None:
    """Edition, recipes with their tools, and counts; no time and no path of this machine in it."""
    order = prepared(order)
    settings, layout = order.settings, order.layout
    report = run_filelists(settings, order.split)
    for kind, path in report.paths.items():
        text = path.with_suffix(".history.json").read_text(encoding="utf-8")
        history = json.loads(text)
        assert history["list"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert history["list"]["lines"] == report.lines[kind]
        edition = read_current(layout)[order.split]
        assert history["edition"]["sha256"] == edition.sha256
        assert sum(history["clips_by_recipe"].values()) == report.lines[kind]
        assert str(settings.root) not in text
    resized = json.loads(
        layout.filelist(order.split, ListKind.RAWFRAMES, suffix=".history.json").read_text()
    )["recipes"]
    assert list(resized) == ["videos", "rawframes"]
    assert resized["rawframes"]["tools"].keys() == {"av", "simplejpeg"}

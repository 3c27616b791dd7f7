"""Flow of one class by two engines, or taken over in part: never unless it is asked for."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.errors import MixedFlow
from kinetics_assets.core.filelists import ListKind
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.needs import Need
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import ListSettings
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.filelists import run_filelists
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.missing import select_classes
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import needs_work, outlook, run_stage
from kinetics_assets.stages.selection import Choice
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.stages.flow_classes import (
    by_id,
    class_of,
    makers,
    with_flow,
    with_sources,
)
from kinetics_assets_tests.trees import files_and_times, public_files

FIRST, SECOND, LATE, SHORT = "AAAAAAAAAAA", "BBBBBBBBBBB", "CCCCCCCCCCC", "DDDDDDDDDDD"


def three_frames(path: Path) -> None:
    """Write a clip with two pairs."""
    media.plain(path, frames=3)


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClassOrder, ClassOrder]:
    """A class with flow by the CPU engine, without and with the late clip's video.

    A further clip has a single frame.
    """
    folder = tmp_path_factory.mktemp("class")
    clips = {FIRST: three_frames, SECOND: three_frames, LATE: None, SHORT: media.one_frame}
    whole = class_of(folder, clips)
    assert makers(run_stage(Stage.FLOW, whole).rows) == {FIRST: "cpu", SECOND: "cpu"}
    gap = copied(whole, folder / "gap")
    (local,) = gap.settings.sources.local_folders
    three_frames(local / gap.label / f"{LATE}_000000_000001.mp4")
    rows = by_id(run_stage(Stage.VIDEOS, gap, retry_now=True).rows)
    assert rows[LATE].status is Status.OK
    return whole, gap


def copied(order: ClassOrder, root: Path) -> ClassOrder:
    """Return the order in a copy of its root."""
    subprocess.run(["cp", "-a", str(order.settings.root), str(root)], check=True)
    return replace(order, settings=replace(order.settings, root=root))


@pytest.fixture
def order(pattern: tuple[ClassOrder, ClassOrder], tmp_path: Path) -> ClassOrder:
    """The class as the CPU engine left it: nothing is due."""
    return copied(pattern[0], tmp_path / "root")


@pytest.fixture
def gap(pattern: tuple[ClassOrder, ClassOrder], tmp_path: Path) -> ClassOrder:
    """The same class with a late clip whose flow is due."""
    return copied(pattern[1], tmp_path / "root")


@pytest.mark.parametrize("mixed", ["refuse", "profiles"])
def test_a_whole_class_stays_when_the_engine_changes_but_not_its_profile(
    order: ClassOrder, mixed: str
) -> None:
    """Weeks of flow on the CPU are not thrown away when a GPU comes: there is nothing to do.

    Only the clip of one frame is looked at again, for its verdict is that of the other engine.
    """
    look = outlook(Stage.FLOW, with_flow(order, engine="cuda", mixed=mixed), now=now_utc())
    assert {clip.youtube_id for clip in look.due} == {SHORT}
    assert look.objection is None
    before = public_files(order.layout.base)
    new = with_flow(order, engine="reference", mixed=mixed)
    assert makers(run_stage(Stage.FLOW, new).rows) == {FIRST: "cpu", SECOND: "cpu"}
    assert not needs_work(Stage.FLOW, new, now=now_utc())
    assert public_files(order.layout.base) == before


def test_a_gap_is_not_filled_by_another_engine_unasked(gap: ClassOrder) -> None:
    """The step fails before any work, no clip gets a verdict, and the message says what to do."""
    before = files_and_times(gap.layout.base)
    with pytest.raises(MixedFlow) as refused:
        run_stage(Stage.FLOW, with_flow(gap, engine="cuda"))
    assert files_and_times(gap.layout.base) == before
    said = str(refused.value)
    for words in (
        '"massaging person\'s head" in demo train',
        "2 by cpu (profile opencv4-cuda); 1 would be made by cuda (profile opencv4-cuda)",
        "Engines of one profile compute the same flow",
        'flow.engine = "cpu"',
        'flow.mixed = "engines"',
        'flow.mixed = "remake"',
    ):
        assert words in said
    assert makers(run_stage(Stage.FLOW, gap).rows) == dict.fromkeys((FIRST, SECOND, LATE), "cpu")


def test_engines_of_one_profile_stand_side_by_side_if_asked(gap: ClassOrder) -> None:
    """Only the gap is filled, by the present engine; every row says who made it."""
    before = public_files(gap.layout.base)
    both = with_flow(gap, engine="reference", mixed="engines")
    report = run_stage(Stage.FLOW, both)
    assert makers(report.rows) == {FIRST: "cpu", SECOND: "cpu", LATE: "reference"}
    after = public_files(gap.layout.base)
    assert {name: after[name] for name in before} == before
    for kept in ("refuse", "engines", "profiles"):
        assert not needs_work(Stage.FLOW, with_flow(both, mixed=kept), now=now_utc())


def test_all_of_it_is_made_anew_if_asked(order: ClassOrder) -> None:
    """Every clip is the present engine's; a profile has one set of bits, so they stay the same."""
    before = {row.clip: row.sha256 for row in run_stage(Stage.FLOW, order).rows}
    new = with_flow(order, engine="reference", mixed="remake")
    assert needs_work(Stage.FLOW, new, now=now_utc())
    report = run_stage(Stage.FLOW, new)
    assert makers(report.rows) == {FIRST: "reference", SECOND: "reference"}
    assert {row.clip: row.sha256 for row in report.rows} == before
    assert not needs_work(Stage.FLOW, new, now=now_utc())


def test_flow_of_another_profile_is_neither_kept_nor_replaced_unasked(gap: ClassOrder) -> None:
    """A whole class is refused, too: it is not what the settings ask for, and took its time."""
    pytest.importorskip("cv2", exc_type=ImportError, reason="cv2 lacks libGL here")
    other = with_flow(gap, engine="preview-dis")
    assert needs_work(Stage.FLOW, other, now=now_utc())
    for mixed in ("refuse", "engines"):
        with pytest.raises(MixedFlow, match=r"2 by cpu .*two kinds of flow"):
            run_stage(Stage.FLOW, with_flow(other, mixed=mixed))
    both = run_stage(Stage.FLOW, with_flow(other, mixed="profiles"))
    assert makers(both.rows) == {FIRST: "cpu", SECOND: "cpu", LATE: "preview-dis"}
    with pytest.raises(MixedFlow, match="1 by preview-dis"):
        run_stage(Stage.FLOW, gap)
    new = run_stage(Stage.FLOW, with_flow(other, mixed="remake"))
    assert set(makers(new.rows).values()) == {"preview-dis"}


@pytest.mark.parametrize("mixed", ["refuse", "profiles"])
def test_another_bound_is_made_anew_whoever_made_the_old_one(order: ClassOrder, mixed: str) -> None:
    """What no setting asks for any more is stale as ever, and no mixture."""
    report = run_stage(Stage.FLOW, with_flow(order, engine="reference", bound_px=10.0, mixed=mixed))
    assert makers(report.rows) == {FIRST: "reference", SECOND: "reference"}
    assert {row.bound_px for row in report.rows if row.status is Status.OK} == {10.0}


def test_a_refill_tells_of_a_refused_class_and_does_not_start_it(gap: ClassOrder) -> None:
    """A run could not mend it; once it is asked for, it is chosen."""
    choice = Choice(stages=(Stage.FLOW,), needs=frozenset(Need))
    on_gpu = with_flow(gap, engine="cuda")
    told = select_classes(on_gpu.settings, choice, now=now_utc())
    assert Stage.FLOW not in {one.stage for one in told.chosen}
    (waiting,) = [one for one in told.waiting if one.stage is Stage.FLOW]
    assert "would be refused" in waiting.waits_for
    asked = with_flow(on_gpu, mixed="engines")
    chosen = select_classes(asked.settings, choice, now=now_utc()).chosen
    assert Stage.FLOW in {one.stage for one in chosen}


def old_tree(order: ClassOrder, folder: Path, *names: str) -> ClassOrder:
    """Keep the flow of the clips `names` in an old tree and return the order that takes it over."""
    made = by_id(run_stage(Stage.FLOW, order).rows)
    for name in names:
        given = order.layout.base / made[name].path
        shutil.copytree(given, folder / "rawframes_train" / order.label / given.name)
    shutil.rmtree(order.layout.rawframes(order.split))
    order.layout.manifest(order.split, Stage.FLOW, order.label).unlink()
    return with_sources(order, adopt_folders=(folder,))


def test_whole_flow_is_taken_over_beside_clips_that_have_none(
    order: ClassOrder, tmp_path: Path
) -> None:
    """A clip of one frame or without a video is no gap: no engine would make its flow."""
    adopting = old_tree(order, tmp_path / "old", FIRST, SECOND)
    rows = by_id(run_stage(Stage.FLOW, adopting).rows)
    assert makers(tuple(rows.values())) == {FIRST: "unknown", SECOND: "unknown"}
    assert rows[SHORT].reason is Reason.TOO_SHORT
    assert rows[LATE].status is Status.BLOCKED
    assert not needs_work(Stage.FLOW, order, now=now_utc())


def test_a_gap_beside_flow_that_was_taken_over_is_not_filled_unasked(
    gap: ClassOrder, tmp_path: Path
) -> None:
    """Of old flow nobody knows the profile; both ways out give what they say."""
    adopting = old_tree(gap, tmp_path / "old", FIRST, SECOND)
    with pytest.raises(MixedFlow, match="2 taken over; 1 would be made by cpu"):
        run_stage(Stage.FLOW, adopting)
    assert not gap.layout.rawframes(gap.split).exists()
    both = run_stage(Stage.FLOW, with_flow(adopting, mixed="profiles"))
    assert makers(both.rows) == {FIRST: "unknown", SECOND: "unknown", LATE: "cpu"}
    assert not needs_work(Stage.FLOW, gap, now=now_utc())
    new = run_stage(Stage.FLOW, with_flow(adopting, mixed="remake"))
    assert set(makers(new.rows).values()) == {"cpu"}


def test_flow_that_only_looks_whole_is_a_gap(order: ClassOrder, tmp_path: Path) -> None:
    """A cut JPEG is met when it is decoded; its clip is not made in the place of the old flow."""
    adopting = old_tree(order, tmp_path / "old", FIRST, SECOND)
    cut = next((tmp_path / "old").rglob(f"{SECOND}*/flow_y_00002.jpg"))
    cut.write_bytes(cut.read_bytes()[:100])
    with pytest.raises(MixedFlow, match=rf"{SECOND}\S+ .* does not decode"):
        run_stage(Stage.FLOW, adopting)
    both = run_stage(Stage.FLOW, with_flow(adopting, mixed="profiles"))
    assert makers(both.rows) == {FIRST: "unknown", SECOND: "cpu"}


def test_a_list_has_flow_of_one_profile_unless_asked(gap: ClassOrder, tmp_path: Path) -> None:
    """Engines of one profile may stand in a list; two profiles, or one and unknown flow, not."""
    run_stage(Stage.RAWFRAMES, gap)
    gap = replace(gap, settings=replace(gap.settings, filelists=ListSettings(min_share=0.0)))
    run_stage(Stage.FLOW, with_flow(gap, engine="reference", mixed="engines"))
    assert lines_of(gap) == {"flow": 3}
    adopting = with_flow(old_tree(gap, tmp_path / "old", FIRST), mixed="profiles")
    run_stage(Stage.RAWFRAMES, gap)
    run_stage(Stage.FLOW, adopting)
    for mixed in ("refuse", "engines", "remake"):
        with pytest.raises(MixedFlow, match=r"2 of opencv4-cuda, 1 of unknown clips"):
            lines_of(with_flow(gap, mixed=mixed))
    assert lines_of(adopting) == {"flow": 3}


def test_a_list_of_taken_over_flow_is_of_one_profile(order: ClassOrder, tmp_path: Path) -> None:
    """Where all of it was taken over, nobody mixed anything; a list of another engine is stale."""
    adopting = old_tree(order, tmp_path / "old", FIRST, SECOND)
    lists = replace(adopting.settings, filelists=ListSettings(min_share=0.0))
    adopting = replace(adopting, settings=lists)
    run_stage(Stage.RAWFRAMES, adopting)
    run_stage(Stage.FLOW, adopting)
    assert lines_of(adopting) == {"flow": 2}
    with pytest.raises(MixedFlow, match="not all of the profile opencv4-cuda"):
        lines_of(with_flow(adopting, mixed="remake"))


def lines_of(order: ClassOrder) -> dict[str, int]:
    """Write the lists and return how many lines that of flow has."""
    report = run_filelists(order.settings, order.split)
    return {kind.value: n for kind, n in Counter(report.lines).items() if kind is ListKind.FLOW}

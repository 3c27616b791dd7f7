"""Clips that lists leave out on purpose: the usual case, and that it is never forgotten."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kinetics_assets.core.clips import Clip, Split
from kinetics_assets.core.errors import AnnotationError, KineticsError
from kinetics_assets.core.filelists import ListKind
from kinetics_assets.core.layout import HISTORY_SUFFIX, Layout
from kinetics_assets.core.settings import ListSettings, Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.exclusions import current_version, read_exclusion
from kinetics_assets.stages import list_parts as parts_module
from kinetics_assets.stages.filelists import ListsRefused, run_filelists
from kinetics_assets.stages.left_out import left_out_of
from kinetics_assets.stages.list_history import has_other_exclusion
from kinetics_assets.stages.list_parts import ListParts, list_parts
from kinetics_assets.stages.merged_lists import run_merged_lists
from kinetics_assets.verify.annotated import read_annotated
from kinetics_assets.verify.findings import Report
from kinetics_assets.verify.lists import check_lists
from kinetics_assets.verify.rows import read_rows
from kinetics_assets_tests.excluded import ELSEWHERE, OWN, PART, SAME, TRAIN, leaking
from kinetics_assets_tests.merged_versions import three_versions, video
from kinetics_assets_tests.stages.test_list_parts import let_settle
from kinetics_assets_tests.trees import files_and_times

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "kinetics400/val"


def listed(settings: Settings) -> set[Clip]:
    """Return the training clips that each of the three lists has."""
    found = []
    for kind in (ListKind.VIDEOS, ListKind.RAWFRAMES, ListKind.FLOW):
        text = Layout.of(settings).filelist(Split.TRAIN, kind).read_text()
        found.append({clip for clip in TRAIN if clip.id.name in text})
        assert len(found[-1]) == len(text.splitlines())
    assert found[0] == found[1] == found[2]
    return found[0]


def with_lists(settings: Settings, **lists: object) -> Settings:
    """Return the settings with other ones of file lists."""
    return replace(settings, filelists=ListSettings(**lists))  # type: ignore[arg-type]  # named by the caller


def problems(settings: Settings) -> tuple[list[str], list[str]]:
    """Return what `verify` finds and notes of the training lists."""
    report, layout = Report("kinetics700"), Layout.of(settings)
    annotated = read_annotated(layout, Split.TRAIN, report)
    assert annotated is not None
    rows = read_rows(layout, annotated, report, labels=None, frames_from=Stage.VIDEOS)
    check_lists(layout, annotated, rows, report, lists=settings.filelists)
    return [finding.text for finding in report.findings], report.notes


@pytest.mark.parametrize(
    ("by", "stay"), [("video", set(OWN)), ("overlap", {*OWN, ELSEWHERE})], ids=["video", "overlap"]
)
def test_training_on_700_without_validating_clips_of_400(
    tmp_path: Path, by: str, stay: set[Clip]
) -> None:
    """Clips of shared videos, or those that share time, are in no list, and all of it is told."""
    settings = leaking(tmp_path, exclude=(NAME,), exclude_by=by)
    report = run_filelists(settings, Split.TRAIN)
    assert listed(settings) == stay
    assert report.excluded.counts == {"abseiling": 1, "zumba": 4 - len(stay)}
    assert report.left_out[ListKind.VIDEOS] == {"excluded": 5 - len(stay)}
    layout = Layout.of(settings)
    history = json.loads(
        layout.filelist(Split.TRAIN, ListKind.FLOW, suffix=HISTORY_SUFFIX).read_text()
    )
    (the_list,) = report.excluded.exclusion.lists
    assert history["excluded"] == {
        "by": by,
        "lists": [{"name": NAME, "sha256": the_list.sha256, "clips": 4}],
        "rows_by_class": report.excluded.counts,
    }
    assert sum(history["clips_by_recipe"].values()) == history["list"]["lines"] == len(stay)
    found, notes = problems(settings)
    assert found == []
    assert f"train: {5 - len(stay)} rows are left out of the lists on purpose ({NAME})" in notes
    unaware = problems(with_lists(settings))[0]
    assert any("ok in the manifests, not in the list" in text for text in unaware)


def test_only_the_splits_that_are_named_leave_clips_out(tmp_path: Path) -> None:
    """By default that is train alone; nothing of the others is read for it."""
    settings = leaking(tmp_path, exclude=("nowhere.csv",), exclude_from=("val",))
    run_filelists(settings, Split.TRAIN)
    assert listed(settings) == set(TRAIN)
    assert not read_exclusion(settings, Split.TRAIN)
    with pytest.raises(AnnotationError, match="nowhere"):
        read_exclusion(settings, Split.VAL)


@pytest.fixture
def always_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the entries of a small split too."""
    monkeypatch.setattr(parts_module, "MOST_READ_EACH_TIME", 0)


@pytest.mark.usefixtures("always_kept")
def test_kept_entries_follow_the_list_of_clips_to_leave_out(tmp_path: Path) -> None:
    """A class is read again when what is left out of it changed, and only then; lists are right."""
    settings = leaking(tmp_path, exclude=("out.csv",), min_share=0.0)
    layout, path = Layout.of(settings), settings.root / "out.csv"

    def parts() -> ListParts:
        from kinetics_assets.io.annotation_store import class_versions

        let_settle(layout)
        return list_parts(
            layout,
            Split.TRAIN,
            ListKind.VIDEOS,
            stage=Stage.VIDEOS,
            versions=class_versions(layout, Split.TRAIN),
            left_out=left_out_of(settings, layout, Split.TRAIN),
        )

    seen = []
    for clips in ((SAME,), (SAME, PART), (PART,), ()):
        rows = [f"{one.id.youtube_id},1,11\n" for one in clips]
        path.write_text("youtube_id,time_start,time_end\n" + "".join(rows))
        seen.append(parts().read_again)
        assert run_filelists(settings, Split.TRAIN).changed
        assert listed(settings) == set(TRAIN) - set(clips)
        assert parts().read_again == 0
    assert seen == [3, 1, 1, 1]


def test_equal_lists_have_equal_versions_whoever_left_clips_out(tmp_path: Path) -> None:
    """The lists' own version is that of their bytes; what decided on them is in the history."""
    settings = leaking(tmp_path, exclude=(NAME,))
    first = run_filelists(settings, Split.TRAIN)
    assert not has_other_exclusion(settings, Split.TRAIN)
    rows = ["youtube_id,time_start,time_end"]
    rows += [f"{one.id.youtube_id},0,1" for one in (SAME, PART, ELSEWHERE)]
    (settings.root / "mine.csv").write_text("\n".join(rows))
    other = with_lists(settings, exclude=("mine.csv",))
    assert has_other_exclusion(other, Split.TRAIN)
    assert has_other_exclusion(with_lists(settings), Split.TRAIN)
    second = run_filelists(other, Split.TRAIN)
    assert (first.data_version, second.changed) == (second.data_version, True)
    assert current_version(settings) != current_version(other)
    assert not run_filelists(other, Split.TRAIN).changed


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (Path.unlink, "No such file"),
        (lambda path: path.write_text("youtube_id,time_start,time_end\nAAA"), "line 2"),
        (lambda path: path.write_bytes(b""), "empty"),
    ],
    ids=["gone", "cut", "empty"],
)
def test_without_the_list_nothing_is_written(
    tmp_path: Path, damage: Callable[[Path], object], says: str
) -> None:
    """A list that is gone or damaged is an error, not a list with all clips; verify says so too."""
    settings = leaking(tmp_path, exclude=("out.csv",))
    path = settings.root / "out.csv"
    path.write_text("youtube_id,time_start,time_end\nAAAAAAAAAAA,1,11\n")
    run_filelists(settings, Split.TRAIN)
    before = files_and_times(Layout.of(settings).base)
    damage(path)
    with pytest.raises(AnnotationError, match=says) as caught:
        run_filelists(settings, Split.TRAIN)
    assert str(path) in str(caught.value)
    assert caught.value.remedy
    assert files_and_times(Layout.of(settings).base) == before
    assert any("clips to leave out are not known" in text for text in problems(settings)[0])


def test_a_split_of_whose_clips_none_is_left_is_refused(tmp_path: Path) -> None:
    """To leave out a split of itself is no list, and the message says why; a large share is one."""
    settings = leaking(tmp_path, exclude=("kinetics700/train",))
    with pytest.raises(ListsRefused, match="5 excluded"):
        run_filelists(settings, Split.TRAIN)
    rest = with_lists(settings, exclude=(NAME,), min_share=1.0)
    assert run_filelists(rest, Split.TRAIN).lines[ListKind.VIDEOS] == 2


def test_a_shuffled_list_is_the_shuffle_of_what_stays(tmp_path: Path) -> None:
    """The order is that which the tools give the clips that are listed; verify agrees."""
    settings = leaking(tmp_path, exclude=(NAME,), exclude_by="overlap", shuffle=True, seed=3)
    run_filelists(settings, Split.TRAIN)
    assert listed(settings) == {*OWN, ELSEWHERE}
    assert problems(settings)[0] == []


def test_merged_lists_leave_them_out_even_of_older_lists(tmp_path: Path) -> None:
    """What a version leaves out is not in Kinetics-710, though its own list still has the line."""
    versions = three_versions(tmp_path)
    (versions[0].root / "out.csv").write_text(
        f"youtube_id,time_start,time_end\n{video(2)},1,11\n{video(8)},1,11\n"
    )
    lists = ListSettings(exclude=("out.csv",))
    changed = [replace(versions[0], filelists=lists), *versions[1:]]
    report = run_merged_lists(changed)
    lines = {
        path.name: [line.split("/")[1][:11] for line in path.read_text().splitlines()]
        for path in report.paths.values()
    }
    assert lines["k400_train_list_videos.txt"] == [video(1)]
    assert video(2) in lines["k600_train_list_videos.txt"]  # 600's settings leave nothing out
    assert lines["k400_val_list_videos.txt"] == [video(8)]
    assert report.lists["kinetics400", Split.TRAIN].excluded == 1
    history = json.loads((versions[0].root / "kinetics710" / "history.json").read_text())
    assert history["kinetics400"]["train"]["left_out_excluded"] == 1
    assert history["kinetics400"]["train"]["excluded"]["lists"][0]["name"] == "out.csv"
    assert "excluded" not in history["kinetics600"]["train"]
    (versions[0].root / "out.csv").unlink()
    before = files_and_times(versions[0].root)
    with pytest.raises(KineticsError, match=r"out\.csv"):
        run_merged_lists(changed)
    assert files_and_times(versions[0].root) == before

"""The lists of Kinetics-710, made of the lists of three versions under one root."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.classes import class_indices
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import AnnotationError, SettingsError
from kinetics_assets.core.label_bridges import merged_names
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import AnnotationSettings, Settings
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.merged_lists import run_merged_lists
from kinetics_assets_tests.trees import files_and_times

NAMES = ("kinetics400", "kinetics600", "kinetics700")


def video(number: int) -> str:
    """Return a YouTube id."""
    return f"video{number:06d}"


def version(root: Path, dataset: str, rows: dict[Split, list[int]], *, label: str) -> Settings:
    """Return settings of a dataset whose annotation lists have `rows`, and lists of all but one.

    The last clip of each split could not be had, so that it is annotated and not listed.
    """
    lists = root.parent / f"{dataset}-lists"
    lists.mkdir(parents=True)
    settings = Settings(root, dataset, annotations=AnnotationSettings(source=str(lists)))
    layout = Layout.of(settings)
    layout.base.mkdir(parents=True)
    for split, numbers in rows.items():
        csv = ["label,youtube_id,time_start,time_end,split"]
        csv += [f"{label},{video(number)},1,11,{split}" for number in numbers]
        (lists / f"{split}.csv").write_text("\n".join(csv) + "\n")
        folder, index = label.replace(" ", "_"), class_indices(dataset)[label]
        text = "".join(f"{folder}/{video(n)}_000001_000011.mp4 {index}\n" for n in numbers[:-1])
        layout.filelist(split, "videos").write_text(text)
    run_annotations(settings)
    return settings


@pytest.fixture
def versions(tmp_path: Path) -> list[Settings]:
    """Return three versions that share videos, in the way the real ones do."""
    root, rows = (
        tmp_path / "data",
        [([1, 2, 3, 4], [8, 9]), ([2, 5, 8, 6], [3, 10]), ([5, 7, 9, 1], [11, 12])],
    )
    labels = ("tying tie", "tying necktie", "tying necktie")
    return [
        version(root, name, {Split.TRAIN: train, Split.VAL: val}, label=label)
        for name, (train, val), label in zip(NAMES, rows, labels, strict=True)
    ]


def test_lists_hold_each_training_video_once(versions: list[Settings]) -> None:
    """Videos that any version validates with are out, had or not; others stay with the first."""
    report = run_merged_lists(versions)
    place = merged_names().index("tying necktie")
    found = {
        path.name: [line.split("/")[1] for line in path.read_text().splitlines()]
        for path in report.paths.values()
    }
    clip = "{}_000001_000011.mp4 {}".format
    assert found == {
        "k400_train_list_videos.txt": [clip(video(n), place) for n in (1, 2)],  # 3 is 600's val
        "k600_train_list_videos.txt": [clip(video(n), place) for n in (5,)],  # 8 is 400's val
        "k700_train_list_videos.txt": [clip(video(n), place) for n in (7,)],  # 9 is, too, not had
        "k400_val_list_videos.txt": [clip(video(8), place)],
        "k600_val_list_videos.txt": [clip(video(3), place)],
        "k700_val_list_videos.txt": [clip(video(11), place)],
    }
    assert report.held_out == 6
    history = json.loads((versions[0].root / "kinetics710" / "history.json").read_text())
    said = history["kinetics700"]["train"]
    assert (said["lines_given"], said["lines"]) == (3, 1)
    assert (said["left_out_held_out"], said["left_out_repeated"]) == (1, 1)


def test_a_second_time_changes_no_byte(versions: list[Settings]) -> None:
    """Equal inputs give equal files, and files that are right are not written again."""
    first = run_merged_lists(versions)
    before = files_and_times(versions[0].root)
    second = run_merged_lists(versions)
    assert (first.changed, second.changed) == (True, False)
    assert first.data_version == second.data_version
    assert files_and_times(versions[0].root) == before


def test_a_version_without_lists_is_named(versions: list[Settings]) -> None:
    """A missing list is an error that names the file, never a smaller merged set."""
    Layout.of(versions[1]).filelist(Split.VAL, "videos").unlink()
    with pytest.raises(AnnotationError, match="kinetics600_val_list_videos"):
        run_merged_lists(versions)
    assert not (versions[0].root / "kinetics710").exists()


@pytest.mark.parametrize(
    "names", [["kinetics400"], ["kinetics700", "kinetics700_2020"], ["kinetics400", "demo"]]
)
def test_what_cannot_be_merged_is_refused(names: list[str], tmp_path: Path) -> None:
    """One version, two editions of 700, and datasets without a place in the merged list."""
    settings = Settings(tmp_path, "demo")
    with pytest.raises(SettingsError, match="cannot be merged"):
        run_merged_lists([replace(settings, dataset=name) for name in names])

"""The lists of Kinetics-710, made of the lists of three versions under one root."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import AnnotationError, SettingsError
from kinetics_assets.core.filelists import ListKind
from kinetics_assets.core.label_bridges import merged_names
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.stages.merged_lists import run_merged_lists
from kinetics_assets_tests.merged_versions import three_versions, video
from kinetics_assets_tests.trees import files_and_times


@pytest.fixture
def versions(tmp_path: Path) -> list[Settings]:
    """Return three versions under one root."""
    return three_versions(tmp_path)


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


def test_a_damaged_list_is_named(versions: list[Settings]) -> None:
    """The file and the command that writes it anew, instead of a UnicodeDecodeError."""
    path = Layout.of(versions[1]).filelist(Split.TRAIN, ListKind.VIDEOS)
    path.write_bytes(b"\xff" + path.read_bytes())
    with pytest.raises(AnnotationError, match="damaged") as caught:
        run_merged_lists(versions)
    assert str(path) in caught.value.message
    assert "kinetics prepare kinetics600" in caught.value.remedy

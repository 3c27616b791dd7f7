"""Taking clips down takes them out of the lists of Kinetics-710 as well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.filelists import ListKind
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.stages.merged_lists import run_merged_lists
from kinetics_assets_tests.merged_versions import three_versions, video
from kinetics_assets_tests.stages.taken_down import ok_clip, taken
from kinetics_assets_tests.trees import files_and_times


@pytest.fixture
def versions(tmp_path: Path) -> list[Settings]:
    """Return three versions under one root, merged; the second validates with video 3."""
    made = three_versions(tmp_path)
    run_merged_lists(made)
    return made


def merged(settings: Settings) -> dict[str, list[str]]:
    """Return the videos in each list of Kinetics-710."""
    return {
        path.name.split("_list")[0]: [
            line.split("/")[1][:11] for line in path.read_text().splitlines()
        ]
        for path in (settings.root / "kinetics710").glob("*_list_videos.txt")
    }


def history(settings: Settings) -> dict[str, dict[str, dict[str, int]]]:
    """Return what the merged lists' history says."""
    path = settings.root / "kinetics710" / "history.json"
    said: dict[str, dict[str, dict[str, int]]] = json.loads(path.read_text())
    return said


def test_clips_leave_the_merged_lists(versions: list[Settings]) -> None:
    """By clip or by video, of training and validation; the history counts what stays."""
    before = merged(versions[0])
    outcome = taken(versions, f"{video(1)}_000001_000011", video(3))
    gone = {video(1), video(3)}
    assert outcome.merged_lines == 2
    assert merged(versions[0]) == {
        name: [one for one in videos if one not in gone] for name, videos in before.items()
    }
    said = history(versions[0])
    train, val = said["kinetics400"]["train"], said["kinetics600"]["val"]
    assert (train["lines"], train["left_out_taken_down"]) == (1, 1)
    assert (val["lines"], val["left_out_taken_down"]) == (0, 1)
    assert "left_out_taken_down" not in said["kinetics700"]["train"]


def test_one_dataset_alone_keeps_the_lines_of_others(versions: list[Settings]) -> None:
    """A clip that another version has in the merged list stays there."""
    before = merged(versions[0])
    assert taken(versions, video(1), dataset="kinetics700").merged_lines == 0
    assert merged(versions[0]) == before
    assert taken(versions, video(1), dataset="kinetics400").merged_lines == 1
    assert video(1) not in merged(versions[0])["k400_train"]


def test_a_second_takedown_changes_no_byte_of_them(versions: list[Settings]) -> None:
    """What is gone is not counted twice; lists made anew after it have no such line either."""
    taken(versions, video(1))
    folder = versions[0].root / "kinetics710"
    before = files_and_times(folder)
    assert taken(versions, video(1)).merged_lines == 0
    assert files_and_times(folder) == before
    lists = merged(versions[0])
    run_merged_lists(versions)
    # only what the annotations alone decide may come: 700 has the video, too, and could not get it
    assert merged(versions[0]) == lists


def test_a_damaged_history_holds_no_takedown_back(versions: list[Settings]) -> None:
    """The lines go, whatever is known of the lists."""
    (versions[0].root / "kinetics710" / "history.json").write_text("{")
    assert taken(versions, video(1)).merged_lines == 1


def test_damaged_lists_hold_no_takedown_back(datasets: list[Settings]) -> None:
    """Of a list that cannot be read nothing is believed; it is made anew without the clip."""
    settings, layout = datasets[0], Layout.of(datasets[0])
    clip = ok_clip(settings)
    text, twin = (
        layout.filelist(Split.TRAIN, ListKind.VIDEOS, suffix=suffix) for suffix in (".txt", ".json")
    )
    text.write_bytes(b"\xff\xfe\n" + text.read_bytes())
    twin.write_text(f'[{{"filename": "{clip.name}.mp4"')
    assert taken(datasets, clip.name, dataset=settings.dataset).lines
    assert clip.name.encode() not in text.read_bytes() + twin.read_bytes()
    assert b"\xff" not in text.read_bytes()
    assert len(json.loads(twin.read_bytes())) == len(text.read_bytes().splitlines())


def test_a_history_of_another_kind_holds_no_takedown_back(versions: list[Settings]) -> None:
    """Regression: JSON that is no table ended as an AttributeError."""
    (versions[0].root / "kinetics710" / "history.json").write_text("[3]")
    assert taken(versions, video(1)).merged_lines == 1

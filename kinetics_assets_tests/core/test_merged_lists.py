"""The merged training set: a video once, nothing that any version validates with, merged labels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.core.classes import class_indices
from kinetics_assets.core.label_bridges import merged_names
from kinetics_assets.core.merged_lists import merged_training, merged_validation, video_of

IDS = tuple(f"-video{number:05d}" for number in range(12))
LINES = st.lists(
    st.tuples(st.sampled_from(IDS), st.integers(0, 90), st.integers(0, 399)), max_size=20
)


def line(video: str, start_seconds: int, label: int) -> str:
    """Return a line as the videos list of a dataset has it."""
    return f"a_class/{video}_{start_seconds:06d}_{start_seconds + 10:06d}.mp4 {label}"


@given(LINES, LINES, LINES, st.sets(st.sampled_from(IDS)))
def test_each_video_is_trained_on_in_one_version_only(
    old: list[tuple[str, int, int]],
    middle: list[tuple[str, int, int]],
    new: list[tuple[str, int, int]],
    held_out: set[str],
) -> None:
    """No held-out video is in, no video in two versions, the first one wins, and counts add up."""
    lists = {"kinetics400": old, "kinetics600": middle, "kinetics700": new}
    found = merged_training(
        {dataset: [line(*row) for row in rows] for dataset, rows in lists.items()},
        held_out=held_out,
    )
    seen: set[str] = set()
    for dataset, rows in lists.items():
        merged = found[dataset]
        videos = {video_of(text.split(" ")[0]) for text in merged.lines}
        assert videos == {row[0] for row in rows} - held_out - seen
        assert len(merged.lines) + merged.held_out + merged.repeated == len(rows)
        assert merged.held_out == sum(row[0] in held_out for row in rows)
        seen |= videos


def test_labels_become_places_in_the_merged_list() -> None:
    """A class under its old name and the same one under its new name get one label."""
    old, new = (
        class_indices("kinetics400")["tying tie"],
        class_indices("kinetics700")["tying necktie"],
    )
    place = merged_names().index("tying necktie")
    found = merged_training(
        {"kinetics400": [line(IDS[0], 1, old)], "kinetics700": [line(IDS[1], 1, new)]},
        held_out=(),
    )
    assert [text.split(" ")[1] for one in found.values() for text in one.lines] == [str(place)] * 2


def test_validation_keeps_every_line() -> None:
    """A version is validated with all of its own clips, in their order."""
    lines = [line(IDS[1], 1, 399), line(IDS[0], 1, 0), line(IDS[0], 20, 0)]
    merged = merged_validation("kinetics400", lines)
    assert list(merged.lines) == lines  # Kinetics-400's labels are the first 400 places
    assert (merged.held_out, merged.repeated) == (0, 0)


@pytest.mark.parametrize("text", ["", "a_class/clip.mp4", "a_class/clip.mp4 -1", "5"])
def test_a_line_of_another_list_is_refused(text: str) -> None:
    """A list that is none of labelled videos is an error, not a shorter set."""
    with pytest.raises(ValueError, match="no line"):
        merged_validation("kinetics600", [text])

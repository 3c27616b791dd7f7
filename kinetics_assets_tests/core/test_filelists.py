"""Tests of the list formats."""

from __future__ import annotations

import json
import random

from kinetics_assets.core.classes import class_indices
from kinetics_assets.core.clips import Clip, ClipId
from kinetics_assets.core.filelists import (
    ListKind,
    as_json,
    as_text,
    entries,
    in_shuffled_order,
    in_sorted_order,
)
from kinetics_assets.core.manifest import ManifestRow, Status

INDICES = class_indices("kinetics400")


def row(
    label: str, number: int, *, status: Status = Status.OK, frames: int = 250, suffix: str = ""
) -> ManifestRow:
    """Return a row of clip `number` in a class."""
    clip = ClipId(f"AAAAAAAA{number:03d}", number, number + 10)
    folder = label.replace(" ", "_")
    path = f"kinetics400/x/{folder}/{clip.name}{suffix}"
    return ManifestRow(clip, label, "e", status, path=path, frames_decoded=frames)


def test_lines_of_a_video_list() -> None:
    """A video line is `class/name.ext label`, with the true extension and the full index."""
    rows = [row("zumba", 5, suffix=".mkv"), row("punching person (boxing)", 4, suffix=".mp4")]
    text = as_text(in_sorted_order(entries(ListKind.VIDEOS, rows, indices=INDICES)))
    assert text == (
        "punching_person_(boxing)/AAAAAAAA004_000004_000014.mp4 259\n"
        "zumba/AAAAAAAA005_000005_000015.mkv 399\n"
    )


def test_lines_of_frame_lists() -> None:
    """A frame line is `class/name count label`; the count is what was decoded."""
    rows = [row("massaging person's head", 1, frames=249)]
    text = as_text(entries(ListKind.FLOW, rows, indices=INDICES))
    assert text == "massaging_person's_head/AAAAAAAA001_000001_000011 249 196\n"


def test_json_form() -> None:
    """The JSON form has the keys that MMAction2 0.x reads, labels as lists of integers."""
    listed = entries(ListKind.RAWFRAMES, [row("abseiling", 1)], indices=INDICES)
    assert json.loads(as_json(ListKind.RAWFRAMES, listed)) == [
        {"frame_dir": "abseiling/AAAAAAAA001_000001_000011", "total_frames": 250, "label": [0]}
    ]
    listed = entries(ListKind.VIDEOS, [row("abseiling", 1, suffix=".mp4")], indices=INDICES)
    assert json.loads(as_json(ListKind.VIDEOS, listed)) == [
        {"filename": "abseiling/AAAAAAAA001_000001_000011.mp4", "label": [0]}
    ]


def test_unverified_and_empty_clips_are_never_listed() -> None:
    """Rows that are not ok, or have no frame, have no line."""
    others = [row("abseiling", n, status=status) for n, status in enumerate(Status) if n]
    rows = [*others, row("abseiling", 9, frames=0)]
    assert entries(ListKind.VIDEOS, rows, indices=INDICES) == []


def test_unlabelled_rows_have_no_label_field() -> None:
    """A test row without a label has one field less, which readers take as label -1."""
    listed = entries(ListKind.VIDEOS, [row("", 1, suffix=".mp4")], indices=INDICES)
    assert as_text(listed).count(" ") == 0


def test_shuffle_is_that_of_the_old_tool() -> None:
    """With a seed, RGB is shuffled first and flow second by one generator, from list order."""
    rows = [row("abseiling", number) for number in range(50)]
    annotated = [Clip(r.clip, r.label) for r in rows]
    random.Random(3).shuffle(annotated)
    generator = random.Random(17)
    rgb, flow = list(annotated), list(annotated)
    generator.shuffle(rgb)
    generator.shuffle(flow)
    for kind, expected in ((ListKind.RAWFRAMES, rgb), (ListKind.FLOW, flow)):
        listed = entries(kind, rows, indices=INDICES)
        got = in_shuffled_order(kind, listed, annotated=annotated, seed=17)
        assert [entry.clip for entry in got] == expected
    assert rgb != flow

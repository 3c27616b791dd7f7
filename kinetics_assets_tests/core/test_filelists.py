"""Tests of the list formats."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pyarrow as pa

from kinetics_assets.core.classes import class_indices
from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.filelists import (
    ListKind,
    as_json,
    as_text,
    entries,
    in_shuffled_order,
    in_sorted_order,
)
from kinetics_assets.core.manifest import SCHEMA, ManifestRow, Status, to_record

INDICES = class_indices("kinetics400")


def row(
    label: str, number: int, *, status: Status = Status.OK, frames: int = 250, suffix: str = ""
) -> ManifestRow:
    """Return a row of clip `number` in a class."""
    clip = ClipId(f"AAAAAAAA{number:03d}", number, number + 10)
    folder = label.replace(" ", "_")
    path = f"kinetics400/x/{folder}/{clip.name}{suffix}"
    return ManifestRow(clip, label, "e", status, path=path, frames_decoded=frames)


def table(*rows: ManifestRow) -> pa.Table:
    """Return the rows as a table, as if they stood in this order in the annotation list."""
    found = pa.Table.from_pylist([to_record(one) for one in rows], schema=SCHEMA)
    return found.append_column("line", pa.array(range(len(rows)), pa.int32()))


def test_lines_of_a_video_list() -> None:
    """A video line is `class/name.ext label`, with the true extension and the full index."""
    rows = [row("zumba", 5, suffix=".mkv"), row("punching person (boxing)", 4, suffix=".mp4")]
    text = as_text(in_sorted_order(entries(ListKind.VIDEOS, table(*rows), indices=INDICES)))
    assert text == (
        "punching_person_(boxing)/AAAAAAAA004_000004_000014.mp4 259\n"
        "zumba/AAAAAAAA005_000005_000015.mkv 399\n"
    )


def test_lines_of_frame_lists() -> None:
    """A frame line is `class/name count label`; the count is what was decoded."""
    rows = [row("massaging person's head", 1, frames=249)]
    text = as_text(entries(ListKind.FLOW, table(*rows), indices=INDICES))
    assert text == "massaging_person's_head/AAAAAAAA001_000001_000011 249 196\n"


def test_json_form() -> None:
    """The JSON form has the keys that MMAction2 0.x reads, labels as lists of integers."""
    listed = entries(ListKind.RAWFRAMES, table(row("abseiling", 1)), indices=INDICES)
    assert json.loads(as_json(ListKind.RAWFRAMES, listed)) == [
        {"frame_dir": "abseiling/AAAAAAAA001_000001_000011", "total_frames": 250, "label": [0]}
    ]
    listed = entries(ListKind.VIDEOS, table(row("abseiling", 1, suffix=".mp4")), indices=INDICES)
    assert json.loads(as_json(ListKind.VIDEOS, listed)) == [
        {"filename": "abseiling/AAAAAAAA001_000001_000011.mp4", "label": [0]}
    ]


def test_unverified_and_empty_clips_are_never_listed() -> None:
    """Rows that are not ok, or have no frame, have no line."""
    others = [row("abseiling", n, status=status) for n, status in enumerate(Status) if n]
    rows = [*others, row("abseiling", 9, frames=0)]
    assert entries(ListKind.VIDEOS, table(*rows), indices=INDICES).num_rows == 0


def test_unlabelled_rows_have_no_label_field() -> None:
    """A test row without a label has one field less, which readers take as label -1."""
    listed = entries(ListKind.VIDEOS, table(row("", 1, suffix=".mp4")), indices=INDICES)
    assert as_text(listed).count(" ") == 0


def test_shuffle_is_that_of_the_old_tool() -> None:
    """With a seed, RGB is shuffled first and flow second by one generator, from list order."""
    rows = [row("abseiling", number) for number in range(50)]
    random.Random(3).shuffle(rows)
    generator = random.Random(17)
    rgb, flow = list(rows), list(rows)
    generator.shuffle(rgb)
    generator.shuffle(flow)
    given = table(*rows).take(pa.array(range(49, -1, -1)))
    for kind, expected in ((ListKind.RAWFRAMES, rgb), (ListKind.FLOW, flow)):
        got = in_shuffled_order(kind, entries(kind, given, indices=INDICES), seed=17)
        names = [str(path).split("/")[1] for path in got["path"].to_pylist()]
        assert names == [one.clip.name for one in expected]
    assert rgb != flow


def test_a_path_of_any_depth_and_name_is_listed() -> None:
    """Folder and file name are listed whatever is before them; JSON says what the text says."""
    paths = ["a/b/c.mp4", "x/a/b/c d.mp4", 'a/é/"\\.mp4', "u/b/c.mp4"]
    rows = [replace(row("abseiling", n), path=path) for n, path in enumerate(paths)]
    listed = entries(ListKind.VIDEOS, table(*rows), indices=INDICES)
    expected = ["b/c.mp4", "b/c d.mp4", 'é/"\\.mp4', "b/c.mp4"]
    assert listed["path"].to_pylist() == expected
    names = [record["filename"] for record in json.loads(as_json(ListKind.VIDEOS, listed))]
    assert names == expected


def test_json_is_written_as_python_writes_it() -> None:
    """The text is that of `json.dumps`, so that lists made before keep their bytes."""
    rows = [row("abseiling", 1), row("massaging person's head", 2), row("", 3)]
    for kind in ListKind:
        text = as_json(kind, entries(kind, table(*rows), indices=INDICES))
        assert text == json.dumps(json.loads(text)) + "\n"
    nothing = entries(ListKind.FLOW, table(), indices=INDICES)
    assert (as_text(nothing), as_json(ListKind.FLOW, nothing)) == ("", "[]\n")

"""Tests of the list formats."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pyarrow as pa

from kinetics_assets.core.classes import class_indices
from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.filelists import (
    ClassFacts,
    ListKind,
    as_json,
    as_text,
    class_entries,
    in_shuffled_order,
    in_sorted_order,
    sorted_classes,
)
from kinetics_assets.core.manifest import SCHEMA, ManifestRow, Status, to_record
from kinetics_assets.core.reasons import Reason

INDICES = class_indices("kinetics400")


def row(
    label: str, number: int, *, status: Status = Status.OK, frames: int = 250, suffix: str = ""
) -> ManifestRow:
    """Return a row of clip `number` in a class."""
    clip = ClipId(f"AAAAAAAA{number:03d}", number, number + 10)
    folder = label.replace(" ", "_")
    path = f"kinetics400/x/{folder}/{clip.name}{suffix}"
    return ManifestRow(clip, label, "e", status, path=path, frames_decoded=frames)


def made(
    kind: ListKind, *rows: ManifestRow, more: tuple[str, ...] = ()
) -> tuple[pa.RecordBatch, ClassFacts]:
    """Return entries and facts of rows of one class; `more` clips are annotated without a row."""
    table = pa.Table.from_pylist([to_record(one) for one in rows], schema=SCHEMA)
    annotated = sorted({one.clip.name for one in rows} | set(more))
    index = INDICES.get(rows[0].label) if rows else None
    return class_entries(kind, table, annotated=annotated, index=index)


def text(*batches: pa.RecordBatch) -> str:
    """Return a list's text."""
    return b"".join(as_text(batches)).decode()


def records(*batches: pa.RecordBatch) -> str:
    """Return a list's JSON."""
    return b"".join(as_json(batches)).decode()


def test_lines_of_a_video_list() -> None:
    """A video line is `class/name.ext label`, with the true extension and the full index."""
    batches = [
        made(ListKind.VIDEOS, one)[0]
        for one in (
            row("punching person (boxing)", 4, suffix=".mp4"),
            row("zumba", 5, suffix=".mkv"),
        )
    ]
    assert text(*batches) == (
        "punching_person_(boxing)/AAAAAAAA004_000004_000014.mp4 259\n"
        "zumba/AAAAAAAA005_000005_000015.mkv 399\n"
    )


def test_lines_of_frame_lists() -> None:
    """A frame line is `class/name count label`; the count is what was decoded."""
    batch, _ = made(ListKind.FLOW, row("massaging person's head", 1, frames=249))
    assert text(batch) == "massaging_person's_head/AAAAAAAA001_000001_000011 249 196\n"


def test_json_form() -> None:
    """The JSON form has the keys that MMAction2 0.x reads, labels as lists of integers."""
    batch, _ = made(ListKind.RAWFRAMES, row("abseiling", 1))
    assert json.loads(records(batch)) == [
        {"frame_dir": "abseiling/AAAAAAAA001_000001_000011", "total_frames": 250, "label": [0]}
    ]
    batch, _ = made(ListKind.VIDEOS, row("abseiling", 1, suffix=".mp4"))
    assert json.loads(records(batch)) == [
        {"filename": "abseiling/AAAAAAAA001_000001_000011.mp4", "label": [0]}
    ]


def test_unverified_and_empty_clips_are_never_listed() -> None:
    """Rows that are not ok, or have no frame, have no line; they are counted by reason."""
    others = [row("abseiling", n, status=status) for n, status in enumerate(Status) if n]
    lost = replace(row("abseiling", 8, status=Status.PENDING), reason=Reason.NETWORK)
    rows = [*others, lost, row("abseiling", 9, frames=0), row("abseiling", 10)]
    batch, facts = made(ListKind.VIDEOS, *rows, more=("zzzzzzzzzzz_000001_000002",))
    assert len(batch) == facts.listed == 1
    assert facts.left_out == {f"{one.status}: no frames": 1 for one in others} | {
        "pending: network": 1,
        "ok: no frames": 1,
        "not run": 1,
    }
    assert facts.statuses == {"ok": 2, "pending": 2} | dict.fromkeys(list(Status)[2:], 1)


def test_rows_that_are_not_annotated_are_passed_over() -> None:
    """A row of an edition before is neither listed nor counted; ranks are those of the clips."""
    rows = [row("abseiling", number) for number in range(3)]
    table = pa.Table.from_pylist([to_record(one) for one in rows], schema=SCHEMA)
    names = [rows[0].clip.name, "AAAAAAAA000_000100_000110", rows[2].clip.name]
    batch, facts = class_entries(ListKind.FLOW, table, annotated=sorted(names), index=0)
    assert batch["rank"].to_pylist() == [0, 2]
    assert (facts.listed, facts.left_out) == (2, {"not run": 1})


def test_facts_say_who_made_the_rows() -> None:
    """Recipes are counted without the inputs' hashes; rows that are not ok have none."""
    rows = [
        replace(row("abseiling", 1), digest="aa.1", engine="cpu", profile="p"),
        replace(row("abseiling", 2), digest="aa.2", engine="cpu", profile="p"),
        replace(row("abseiling", 3), digest="whole"),
        replace(row("abseiling", 4, status=Status.CORRUPT), digest="bb.3"),
    ]
    assert made(ListKind.FLOW, *rows)[1].makers == [("aa", "cpu", "p", 2), ("whole", "", "", 1)]


def test_unlabelled_rows_have_no_label_field() -> None:
    """A test row without a label has one field less, which readers take as label -1."""
    batch, _ = made(ListKind.VIDEOS, row("", 1, suffix=".mp4"))
    assert text(batch).count(" ") == 0
    assert json.loads(records(batch))[0]["label"] == []


def test_classes_are_sorted_by_their_lines() -> None:
    """A folder sorts with its slash; where that does not tell, lines are sorted one by one."""
    labels = ["abseiling", "abseiling (x)", "abseiling_"]
    both = {label: made(ListKind.FLOW, row(label, 1), row(label, 2)) for label in labels}
    facts = {label: of_class for label, (_, of_class) in both.items()}
    facts["nothing"] = made(ListKind.FLOW)[1]
    order = sorted_classes(facts)
    assert order is not None
    lines = text(*(both[label][0] for label in order)).splitlines()
    assert lines == sorted(lines, key=lambda line: line.split(" ")[0])
    assert len(lines) == 6
    interlaced = [made(ListKind.FLOW, row("zumba", n), row("zumba", n + 2)) for n in (1, 2)]
    assert sorted_classes({str(n): of_class for n, (_, of_class) in enumerate(interlaced)}) is None
    table = in_sorted_order(pa.Table.from_batches([batch for batch, _ in interlaced]))
    lines = text(*table.combine_chunks().to_batches()).splitlines()
    assert lines == sorted(lines)


def test_shuffle_is_that_of_the_old_tool() -> None:
    """With a seed, RGB is shuffled first and flow second by one generator, from list order."""
    rows = [row("abseiling", number) for number in range(50)]
    in_list = list(range(50))
    random.Random(3).shuffle(in_list)
    generator = random.Random(17)
    rgb, flow = list(in_list), list(in_list)
    generator.shuffle(rgb)
    generator.shuffle(flow)
    for kind, expected in ((ListKind.RAWFRAMES, rgb), (ListKind.FLOW, flow)):
        lines = pa.array([in_list.index(number) for number in range(50)], pa.int32())
        entries = pa.Table.from_batches([made(kind, *rows)[0]]).append_column("line", lines)
        got = in_shuffled_order(kind, entries, seed=17)["text"].to_pylist()
        assert [int(str(line).split("/")[1][8:11]) for line in got] == expected
    assert rgb != flow


def test_a_path_of_any_depth_and_name_is_listed() -> None:
    """Folder and file name are listed whatever is before them; JSON says what the text says."""
    paths = ["a/b/c.mp4", "x/a/b/c d.mp4", 'a/é/"\\.mp4', "u/b/e.mp4"]
    rows = [replace(row("abseiling", n), path=path) for n, path in enumerate(paths)]
    batch, _ = made(ListKind.VIDEOS, *rows)
    expected = ["b/c d.mp4", "b/c.mp4", "b/e.mp4", 'é/"\\.mp4']
    assert text(batch) == "".join(f"{path} 0\n" for path in expected)
    assert [record["filename"] for record in json.loads(records(batch))] == expected


def test_json_is_written_as_python_writes_it() -> None:
    """The text is that of `json.dumps`, so that lists made before keep their bytes."""
    labels = ["abseiling", "massaging person's head", ""]
    for kind in ListKind:
        batches = [made(kind, row(label, n))[0] for n, label in enumerate(labels)]
        assert records(*batches) == json.dumps(json.loads(records(*batches))) + "\n"
    nothing, _ = made(ListKind.FLOW)
    assert (text(nothing), records(nothing), records()) == ("", "[]\n", "[]\n")

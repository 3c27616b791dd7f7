"""Under which labels clips stand, in every list that is kept."""

from __future__ import annotations

from pathlib import Path

from kinetics_assets.core.annotations import parse_list
from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.io import clip_labels
from kinetics_assets.io.annotation_store import store_list
from kinetics_assets.io.clip_labels import labels_of

HEADER = "label,youtube_id,time_start,time_end,split\n"
VIDEO = "-aaaaaaaaaa"


def _store(root: Path, dataset: str, *rows: str) -> Path:
    """Store an edition of the train list and return the file of its rows."""
    layout = Layout(root, dataset, "")
    text = HEADER + "".join(f"{row},train\n" for row in rows)
    parsed = parse_list(text.encode(), dataset=dataset, split=Split.TRAIN, name="train.csv")
    info = store_list(layout, text.encode(), parsed, name="train.csv", source_address="here")
    return layout.edition_rows(info.sha256)


def test_every_edition_of_every_dataset_counts(tmp_path: Path) -> None:
    """A clip has the labels of all lists, each once; other videos are left out."""
    _store(tmp_path, "kinetics600", f"zumba,{VIDEO},1,11")
    _store(tmp_path, "kinetics400", f"abseiling,{VIDEO},1,11", "abseiling,bbbbbbbbbbb,1,11")
    _store(tmp_path, "kinetics400", f"abseiling,{VIDEO},1,11", f"zumba,{VIDEO},2,12")
    _store(tmp_path, "kinetics400", f"air drumming,{VIDEO},1,11")
    assert labels_of(tmp_path, {VIDEO, "nnnnnnnnnnn"}) == {
        ClipId(VIDEO, 1, 11): [
            ("kinetics400", "abseiling"),
            ("kinetics400", "air drumming"),
            ("kinetics600", "zumba"),
        ],
        ClipId(VIDEO, 2, 12): [("kinetics400", "zumba")],
    }
    assert labels_of(tmp_path / "empty", {VIDEO}) == {}


def test_a_damaged_list_is_passed_over(tmp_path: Path) -> None:
    """Its clips are not known here; the others' are."""
    damaged = _store(tmp_path, "kinetics400", f"abseiling,{VIDEO},1,11")
    _store(tmp_path, "kinetics600", f"zumba,{VIDEO},1,11")
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert labels_of(tmp_path, {VIDEO}) == {ClipId(VIDEO, 1, 11): [("kinetics600", "zumba")]}


def test_a_list_is_read_once_until_it_changes(tmp_path: Path) -> None:
    """Any number of questions cost one reading; another file under the name is read."""
    path = _store(tmp_path, "kinetics400", f"abseiling,{VIDEO},1,11")
    clip_labels._table.cache_clear()
    for _ in range(5):
        labels_of(tmp_path, {VIDEO})
    assert clip_labels._table.cache_info().misses == 1
    other = _store(tmp_path, "kinetics600", f"zumba,{VIDEO},1,11", "zumba,bbbbbbbbbbb,1,11")
    other.replace(path)
    assert labels_of(tmp_path, {VIDEO}) == {ClipId(VIDEO, 1, 11): [("kinetics400", "zumba")]}

"""Every kind of damage to a dataset is found; a whole dataset gives no finding."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.manifest import (
    LATER_COLUMNS,
    ManifestRow,
    Status,
    _rows_sha256,
    decode_manifest,
)
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import ListSettings, Settings
from kinetics_assets.core.stages import CLASS_STAGES, Stage
from kinetics_assets.verify import Problem, tree_digest, verify_dataset
from kinetics_assets_tests.handmade import (
    CLIP,
    FRAMES,
    GOOD,
    HEAD,
    LOST,
    TRAIN,
    Dataset,
    build,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kinetics_assets.core.layout import Layout


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Return a whole dataset."""
    return build(Settings(root=tmp_path, dataset="demo"))


def _flip(path: Path) -> None:
    """Change one bit in the middle of a file, keeping its size."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def _drop_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def _swap_lines(path: Path) -> None:
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))


def _renumber(folder: Path) -> None:
    """Let the frames begin at 0, as another tool would."""
    for path in sorted(folder.glob("img_*.jpg")):
        path.rename(folder / f"img_{int(path.stem[4:]) - 1:05d}.jpg")


def _rename_class(layout: Layout) -> None:
    path = layout.manifest(TRAIN, Stage.VIDEOS, "abseiling")
    path.rename(path.with_name("Abseiling.parquet"))


def _flip_manifest(layout: Layout) -> None:
    """Flip a bit in the first data page of a manifest."""
    path = layout.manifest(TRAIN, Stage.FLOW, HEAD)
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)


def _strip_checksum(path: Path) -> None:
    """Write a manifest again without the checksum of its rows."""
    pq.write_table(pq.read_table(path).replace_schema_metadata(), path, write_page_checksum=True)


VIDEO = Stage.VIDEOS
DAMAGE: dict[str, tuple[Problem, Callable[[Dataset], object]]] = {
    "a bit of a video flipped": (
        Problem.FILE_CONTENT,
        lambda d: _flip(d.layout.video(TRAIN, "abseiling", CLIP)),
    ),
    "a bit of a resized video flipped": (
        Problem.FILE_CONTENT,
        lambda d: _flip(d.layout.resized_video(TRAIN, HEAD, GOOD[HEAD][1])),
    ),
    "a video cut": (
        Problem.FILE_SIZE,
        lambda d: write(d.layout.video(TRAIN, HEAD, GOOD[HEAD][0]), b"cut"),
    ),
    "a video deleted": (
        Problem.FILE_MISSING,
        lambda d: d.layout.video(TRAIN, "abseiling", CLIP).unlink(),
    ),
    "a foreign file among the videos": (
        Problem.FILE_UNKNOWN,
        lambda d: write(d.layout.class_folder(TRAIN, VIDEO, HEAD) / "x.mp4", b"x"),
    ),
    "a class folder with spaces": (
        Problem.FILE_UNKNOWN,
        lambda d: write(d.layout.videos(TRAIN) / HEAD / "x.mp4", b"x"),
    ),
    "a file of a lost clip": (
        Problem.FILE_UNKNOWN,
        lambda d: write(d.layout.video(TRAIN, "abseiling", LOST), b"x"),
    ),
    "a frame deleted": (Problem.FRAMES, lambda d: (d.frames() / "img_00002.jpg").unlink()),
    "a frame too many": (
        Problem.FRAMES,
        lambda d: write(d.frames() / "img_00004.jpg", b"\xff\xd8\xff\xff\xd9"),
    ),
    "frames numbered from 0": (Problem.FRAMES, lambda d: _renumber(d.frames())),
    "a flow picture deleted": (
        Problem.FRAMES,
        lambda d: (d.frames() / "flow_y_00001.jpg").unlink(),
    ),
    "an index file deleted": (Problem.FRAMES, lambda d: (d.frames() / "_flow.json").unlink()),
    "an index file of other frames": (
        Problem.FRAMES,
        lambda d: write(d.frames() / "_rgb.json", b'{"count": 9}'),
    ),
    "a bit of a frame flipped": (
        Problem.FILE_CONTENT,
        lambda d: _flip(d.frames() / "img_00003.jpg"),
    ),
    "a frame cut": (
        Problem.FILE_SIZE,
        lambda d: write(d.frames() / "img_00003.jpg", b"\xff\xd8\xff"),
    ),
    "a frame without its end": (
        Problem.FILE_CONTENT,
        lambda d: write(
            d.frames() / "img_00003.jpg", (d.frames() / "img_00003.jpg").read_bytes()[:-2] + b".."
        ),
    ),
    "a foreign file among the frames": (
        Problem.FILE_UNKNOWN,
        lambda d: write(d.frames() / "notes.txt", b"x"),
    ),
    "a frame folder deleted": (
        Problem.FILE_MISSING,
        lambda d: shutil.rmtree(d.frames()),
    ),
    "a foreign frame folder": (
        Problem.FILE_UNKNOWN,
        lambda d: write(d.frames(clip=LOST) / "img_00001.jpg", b"x"),
    ),
    "a row dropped": (Problem.ROW_MISSING, lambda d: d.edit_rows(VIDEO, lambda rows: rows[1:])),
    "a row added": (
        Problem.ROW_EXTRA,
        lambda d: d.edit_rows(
            VIDEO,
            lambda rows: [
                *rows,
                ManifestRow(ClipId("N" * 11, 0, 1), "abseiling", d.edition, Status.PENDING),
            ],
        ),
    ),
    "a row twice": (Problem.ROW_EXTRA, lambda d: d.edit_rows(VIDEO, lambda rows: [*rows, rows[0]])),
    "a row of another class": (Problem.ROW_INVALID, lambda d: d.edit_clip(VIDEO, label=HEAD)),
    "a row of another edition": (
        Problem.ROW_INVALID,
        lambda d: d.edit_clip(VIDEO, edition="0" * 64),
    ),
    "ok with a reason": (Problem.ROW_INVALID, lambda d: d.edit_clip(VIDEO, reason=Reason.GONE)),
    "ok without frames": (Problem.ROW_INVALID, lambda d: d.edit_clip(VIDEO, frames_decoded=0)),
    "ok without a digest": (Problem.ROW_INVALID, lambda d: d.edit_clip(VIDEO, digest="")),
    "lost without a reason": (
        Problem.ROW_INVALID,
        lambda d: d.edit_clip(VIDEO, status=Status.UNAVAILABLE),
    ),
    "an environment's reason on a row": (
        Problem.ROW_INVALID,
        lambda d: d.edit_clip(VIDEO, status=Status.PENDING, reason=Reason.DISK_FULL),
    ),
    "an unknown status": (Problem.ROW_INVALID, lambda d: d.edit_clip(VIDEO, status=_Text("fine"))),
    "an unknown reason": (
        Problem.ROW_INVALID,
        lambda d: d.edit_clip(VIDEO, status=Status.PENDING, reason=_Text("odd")),
    ),
    "fewer resized frames than the video": (
        Problem.ROW_INVALID,
        lambda d: d.edit_clip(Stage.RESIZED, frames_decoded=FRAMES - 1),
    ),
    "a bit of a manifest flipped": (Problem.MANIFEST, lambda d: _flip_manifest(d.layout)),
    "a manifest of another writer": (
        Problem.MANIFEST,
        lambda d: _strip_checksum(d.layout.manifest(TRAIN, VIDEO, HEAD)),
    ),
    "a manifest of no class": (Problem.MANIFEST, lambda d: _rename_class(d.layout)),
    "a manifest cut": (
        Problem.MANIFEST,
        lambda d: write(d.layout.manifest(TRAIN, VIDEO, HEAD), b"PAR1"),
    ),
    "a manifest deleted": (
        Problem.FILE_UNKNOWN,
        lambda d: d.layout.manifest(TRAIN, VIDEO, HEAD).unlink(),
    ),
    "a line added to a list": (
        Problem.FILELIST,
        lambda d: _append(
            d.layout.filelist(TRAIN, "videos"), "zumba/ZZZZZZZZZZZ_000000_000001.mp4 5\n"
        ),
    ),
    "a line dropped from a list": (
        Problem.FILELIST,
        lambda d: _drop_line(d.layout.filelist(TRAIN, "flow")),
    ),
    "a line twice": (
        Problem.FILELIST,
        lambda d: _append(
            d.layout.filelist(TRAIN, "flow"),
            d.layout.filelist(TRAIN, "flow").read_text().splitlines(keepends=True)[0],
        ),
    ),
    "a line with zero frames": (
        Problem.FILELIST,
        lambda d: _append(d.layout.filelist(TRAIN, "flow"), f"abseiling/{LOST.name} 0 0\n"),
    ),
    "another class index": (
        Problem.FILELIST,
        lambda d: d.layout.filelist(TRAIN, "rawframes").write_text(
            d.layout.filelist(TRAIN, "rawframes").read_text().replace(" 2\n", " 1\n")
        ),
    ),
    "a list in another order": (
        Problem.FILELIST,
        lambda d: _swap_lines(d.layout.filelist(TRAIN, "videos")),
    ),
    "a list without its last line end": (
        Problem.FILELIST,
        lambda d: d.layout.filelist(TRAIN, "videos").write_text(
            d.layout.filelist(TRAIN, "videos").read_text().rstrip("\n")
        ),
    ),
    "a JSON list of other clips": (
        Problem.FILELIST,
        lambda d: d.layout.filelist(TRAIN, "flow", suffix=".json").write_text("[]"),
    ),
    "a JSON list deleted": (
        Problem.FILELIST,
        lambda d: d.layout.filelist(TRAIN, "flow", suffix=".json").unlink(),
    ),
    "an annotation row added": (
        Problem.ROW_MISSING,
        lambda d: _append(d.layout.annotation_list(TRAIN), "abseiling,QQQQQQQQQQQ,1,2,train\n"),
    ),
    "rejected lines forgotten": (
        Problem.ANNOTATION_LIST,
        lambda d: d.layout.edition_rejected(d.edition).unlink(),
    ),
    "another current edition": (
        Problem.ANNOTATION_LIST,
        lambda d: write(d.layout.current_edition, b'{"train": {"sha256": "0"}}'),
    ),
    "an annotation list without a header": (
        Problem.ANNOTATION_LIST,
        lambda d: _drop_line(d.layout.annotation_list(TRAIN)),
    ),
    "an annotation list deleted": (
        Problem.ANNOTATION_LIST,
        lambda d: d.layout.annotation_list(TRAIN).unlink(),
    ),
}
"""What is done to a whole dataset -> (the problem that must be found, the deed)."""


class _Text(str):
    """A text that has the look of an enum member, to write values that no enum has."""

    __slots__ = ()

    @property
    def value(self) -> str:
        """The text itself."""
        return str(self)


def test_a_whole_dataset_gives_no_finding(dataset: Dataset) -> None:
    """Everything is looked at, nothing is found, and the lost clip and bad line are no findings."""
    report = verify_dataset(dataset.settings)
    assert report.findings == []
    assert report.rows == 5 * len(CLASS_STAGES)
    assert report.files == 4 * (2 + FRAMES + 2 * (FRAMES - 1))


def test_manifests_of_before_sound_are_whole(dataset: Dataset) -> None:
    """A dataset that was made when rows had fewer columns needs no run to be in order."""
    for path in (dataset.layout.base / "manifests").rglob("*.parquet"):
        table = pq.read_table(path).drop_columns(sorted(LATER_COLUMNS))
        sha256 = _rows_sha256(table)
        pq.write_table(table.replace_schema_metadata({"rows_sha256": sha256}), path)
        assert len(decode_manifest(path.read_bytes())) == len(table)
    assert verify_dataset(dataset.settings).findings == []


@pytest.mark.parametrize("deed", DAMAGE)
def test_damage_is_found(dataset: Dataset, deed: str) -> None:
    """Each single change to a whole dataset is found, as the problem that it is."""
    problem, act = DAMAGE[deed]
    act(dataset)
    assert problem in dataset.problems()


def test_without_hashing_sizes_and_names_are_still_compared(dataset: Dataset) -> None:
    """The quick look misses a flipped bit, by design, and finds a missing frame."""
    _flip(dataset.layout.video(TRAIN, "abseiling", CLIP))
    assert dataset.problems(hash_content=False) == set()
    (dataset.frames() / "img_00002.jpg").unlink()
    assert Problem.FRAMES in dataset.problems(hash_content=False)


def test_temporary_names_and_running_steps_are_notes(dataset: Dataset) -> None:
    """What a killed step leaves behind is told, and is no disagreement."""
    folder = dataset.layout.class_folder(TRAIN, VIDEO, "abseiling")
    write(folder / ".tmp-videos-1-ab.mp4", b"half")
    frames = dataset.layout.made_ahead(TRAIN, Stage.RAWFRAMES, "air drumming")
    write(frames / "clip" / "record.json", b"{}")  # in a class that has no frames yet
    write(dataset.layout.journal(TRAIN, Stage.FLOW, HEAD), b"")
    write(dataset.layout.video(TRAIN, HEAD, ClipId("N" * 11, 0, 1)), b"just published")
    report = verify_dataset(dataset.settings)
    assert report.findings == []
    assert any("temporary" in note for note in report.notes)
    assert any("interrupted" in note for note in report.notes)


def test_a_chosen_class_is_looked_at_alone(dataset: Dataset) -> None:
    """Damage to another class is not reported, damage to the chosen one is."""
    dataset.layout.video(TRAIN, "abseiling", CLIP).unlink()
    assert verify_dataset(dataset.settings, labels=[HEAD]).findings == []
    assert verify_dataset(dataset.settings, labels=["abseiling"]).findings != []


def test_a_shuffled_list_is_compared_with_its_seed(tmp_path: Path) -> None:
    """The order that MMAction2's seeded shuffle gives is accepted, any other is found."""
    lists = ListSettings(shuffle=True, seed=3)
    dataset = build(Settings(root=tmp_path, dataset="demo", filelists=lists))
    assert dataset.problems() == {Problem.FILELIST}


def test_nothing_prepared_is_a_note(tmp_path: Path) -> None:
    """A root without the dataset has no disagreement in it."""
    report = verify_dataset(Settings(root=tmp_path, dataset="demo"))
    assert report.is_clean
    assert report.notes


def test_tree_digest_tells_content_from_history(dataset: Dataset) -> None:
    """Attempts, times, mirror ports and temporary names do not count; bytes and verdicts do."""
    before = tree_digest(dataset.layout)
    dataset.edit_clip(VIDEO, attempts=7, source_address="http://127.0.0.1:4711/x.mp4")
    write(dataset.layout.videos(TRAIN) / "abseiling" / ".tmp-videos-1-ab.mp4", b"half")
    write(dataset.layout.retired(TRAIN) / "old.mp4", b"old")
    assert tree_digest(dataset.layout) == before
    dataset.edit_clip(VIDEO, status=Status.CORRUPT)
    changed = tree_digest(dataset.layout)
    _flip(dataset.frames() / "img_00001.jpg")
    assert len({before, changed, tree_digest(dataset.layout)}) == 3


def test_the_digest_names_a_manifest_that_is_damaged(dataset: Dataset) -> None:
    """A digest of a tree that cannot be read whole is none; the user hears which file it is."""
    path = dataset.layout.manifest(TRAIN, Stage.FLOW, "abseiling")
    path.write_bytes(b"PAR1")
    with pytest.raises(InternalError, match=rf"{re.escape(str(path))}.*Delete"):
        tree_digest(dataset.layout)

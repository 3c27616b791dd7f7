"""Getting the lists and making them current."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.annotations import edition_sha256
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import (
    AnnotationError,
    ArchiveRefused,
    KineticsError,
    NetworkDown,
    RateLimited,
)
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import AnnotationSettings, Settings, SourceSettings
from kinetics_assets.io.annotation_store import load_class_rows, splits_present
from kinetics_assets.stages.annotations import AnnotationsReport, run_annotations
from kinetics_assets_tests.patience import be_patient
from kinetics_assets_tests.processes import until
from kinetics_assets_tests.servers import FaultServer

HEADER = b"label,youtube_id,time_start,time_end,split\n"
LISTS = {
    Split.TRAIN: HEADER + b"zumba,-AAAAAAAAAA,1,11,train\nabseiling,BBBBBBBBBBB,1,11,train\n",
    Split.VAL: HEADER + b"zumba,CCCCCCCCCCC,1,11,validate\r\nzumbaa,CCCCCCCCCCD,1,11,validate\r\n",
    Split.TEST: HEADER + b",DDDDDDDDDDD,1,11,test\n",
}
OFFICIAL_NAMES = {Split.TRAIN: "train.csv", Split.VAL: "validate.csv", Split.TEST: "test.csv"}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server of lists."""
    with FaultServer() as running:
        yield running


def _tarball(files: dict[str, bytes]) -> bytes:
    """Return the official kind of tarball with `files` in it."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"demo/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(sink.getvalue(), mtime=0)


def _official() -> dict[str, bytes]:
    """Return the files of an official tarball."""
    lists = {OFFICIAL_NAMES[split]: data for split, data in LISTS.items()}
    return lists | {"train.json": b"{}", "validate.json": b"{}", "test.json": b"{}"}


def _settings(root: Path, server: FaultServer | None = None, source: str = "official") -> Settings:
    """Return settings whose lists come from `server`."""
    at = server.url("/lists") if server else "http://127.0.0.1:9"
    return Settings(
        root=root,
        dataset="demo",
        annotations=AnnotationSettings(
            source=source,
            official_url=f"{at}/{{dataset}}.tar.gz",
            backup_url=f"{at}/{{dataset}}/kinetics_{{split}}.csv",
        ),
        sources=SourceSettings(
            loopback_hosts=(server.host,) if server else (), timeout_seconds=120
        ),
    )


def _check_lists(report: AnnotationsReport, layout: Layout, splits: tuple[Split, ...]) -> None:
    """Assert that the lists of `splits` are in place, untouched, and recorded."""
    assert tuple(report.editions) == splits == splits_present(layout)
    record = json.loads(layout.current_edition.read_text())
    for split in splits:
        sha256 = edition_sha256(LISTS[split])
        assert layout.annotation_list(split).read_bytes() == LISTS[split]
        assert report.editions[split].sha256 == record[split]["sha256"] == sha256
        kept = layout.edition(sha256) / report.editions[split].name
        assert kept.read_bytes() == LISTS[split]


def _tree(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Return path -> (time of change, bytes) of all files below `folder` but the lock."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_the_official_tarball_gives_three_untouched_lists(
    server: FaultServer, tmp_path: Path
) -> None:
    """validate.csv becomes kinetics_val.csv; JSON is left out; counts and address are recorded."""
    server.files["/lists/demo.tar.gz"] = _tarball(_official())
    settings = _settings(tmp_path, server)
    layout = Layout.of(settings)
    report = run_annotations(settings)
    _check_lists(report, layout, tuple(Split))
    assert report.changed == tuple(Split)
    val = report.editions[Split.VAL]
    assert (val.rows, val.rejected, val.classes, val.name) == (1, 1, 1, "validate.csv")
    assert val.source_address == server.url("/lists/demo.tar.gz")
    assert load_class_rows(layout, Split.TRAIN, "zumba").clips[0].id.youtube_id == "-AAAAAAAAAA"
    assert len(server.requests) == 1
    assert not [path for path in layout.base.rglob("*") if path.is_file() and ".tmp-" in str(path)]


def test_an_unchanged_list_changes_no_byte(server: FaultServer, tmp_path: Path) -> None:
    """A second run touches no file, not even its time, and reports no change."""
    server.files["/lists/demo.tar.gz"] = _tarball(_official())
    settings = _settings(tmp_path, server)
    run_annotations(settings)
    before = _tree(tmp_path)
    assert run_annotations(settings).changed == ()
    assert _tree(tmp_path) == before


def test_a_changed_list_is_a_new_edition_and_the_old_one_stays(
    server: FaultServer, tmp_path: Path
) -> None:
    """Only the changed split is reported; the edition before keeps its bytes."""
    server.files["/lists/demo.tar.gz"] = _tarball(_official())
    settings = _settings(tmp_path, server)
    layout = Layout.of(settings)
    old = run_annotations(settings).editions
    changed = LISTS[Split.VAL] + b"zumba,EEEEEEEEEEE,1,11,validate\n"
    server.files["/lists/demo.tar.gz"] = _tarball(_official() | {"validate.csv": changed})
    report = run_annotations(settings)
    assert report.changed == (Split.VAL,)
    assert report.editions[Split.TRAIN] == old[Split.TRAIN]
    kept = layout.edition(old[Split.VAL].sha256) / "validate.csv"
    assert kept.read_bytes() == LISTS[Split.VAL]
    assert layout.annotation_list(Split.VAL).read_bytes() == changed


def test_a_holdout_list_counts_only_without_a_test_list(
    server: FaultServer, tmp_path: Path
) -> None:
    """The K600 tarball has both; the test list is the test list."""
    holdout = HEADER + b",FFFFFFFFFFF,1,11,holdout\n"
    files = _official() | {"holdout.csv": holdout}
    settings = _settings(tmp_path, server)
    server.files["/lists/demo.tar.gz"] = _tarball(files)
    sha256 = run_annotations(settings).editions[Split.TEST].sha256
    assert sha256 == edition_sha256(LISTS[Split.TEST])
    del files["test.csv"]
    server.files["/lists/demo.tar.gz"] = _tarball(files)
    sha256 = run_annotations(settings).editions[Split.TEST].sha256
    assert sha256 == edition_sha256(holdout)


def test_the_backup_lists_may_lack_the_test_list(server: FaultServer, tmp_path: Path) -> None:
    """Train and val are demanded, test is not."""
    settings = _settings(tmp_path, server, "backup")
    server.files["/lists/demo/kinetics_train.csv"] = LISTS[Split.TRAIN]
    with pytest.raises(AnnotationError, match=r"kinetics_val\.csv answers 404"):
        run_annotations(settings)
    server.files["/lists/demo/kinetics_val.csv"] = LISTS[Split.VAL]
    report = run_annotations(settings)
    _check_lists(report, Layout.of(settings), (Split.TRAIN, Split.VAL))
    server.files["/lists/demo/kinetics_test.csv"] = LISTS[Split.TEST]
    assert run_annotations(settings).changed == (Split.TEST,)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/status-404/x", AnnotationError),
        ("/status-500/x", AnnotationError),
        ("/status-429/x", RateLimited),
        ("/short-length/x", AnnotationError),
        ("/page/train.csv", AnnotationError),
        ("/silent/x", AnnotationError),
    ],
)
def test_a_list_that_cannot_be_had_writes_nothing(
    server: FaultServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    error: type[KineticsError],
) -> None:
    """Each failure says which address and what may be set instead; the dataset stays as it was."""
    be_patient(monkeypatch, but=[0.2] if path == "/silent/x" else [])
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.csv").write_bytes(LISTS[Split.TRAIN])
    root = tmp_path / "root"
    run_annotations(_settings(root, server, str(tmp_path / "lists")))
    before = _tree(root)
    with pytest.raises(error) as caught:
        run_annotations(_settings(root, server, server.url(path)))
    assert caught.value.remedy
    until(lambda: server.requests, "the server to note the request")
    assert _tree(root) == before


def test_no_network_is_the_machines_fault(tmp_path: Path) -> None:
    """A server that is not there is an environment fault."""
    with FaultServer() as gone:
        settings = _settings(tmp_path, gone)
    with pytest.raises(NetworkDown):
        run_annotations(settings)


def test_a_cut_tarball_is_refused_whole(server: FaultServer, tmp_path: Path) -> None:
    """The lists before the cut are not used."""
    server.files["/lists/demo.tar.gz"] = _tarball(_official())[:-30]
    settings = _settings(tmp_path, server)
    with pytest.raises(ArchiveRefused, match=r"demo\.tar\.gz is refused|fetched is refused"):
        run_annotations(settings)
    assert splits_present(Layout.of(settings)) == ()


@pytest.mark.parametrize(
    "name", ["train.csv", "kinetics_train.csv", "kinetics-400_train.csv", "my-train-list.CSV"]
)
def test_a_single_file_says_its_split_by_its_name(tmp_path: Path, name: str) -> None:
    """A user's own list needs no other list beside it."""
    (tmp_path / name).write_bytes(LISTS[Split.TRAIN])
    settings = _settings(tmp_path / "root", source=str(tmp_path / name))
    _check_lists(run_annotations(settings), Layout.of(settings), (Split.TRAIN,))


def test_a_single_file_may_say_its_splits_by_a_column(tmp_path: Path) -> None:
    """A mixed list is parted by its split column; together the parts lose no line."""
    body = b"".join(LISTS[split].removeprefix(HEADER) for split in Split)
    (tmp_path / "all.csv").write_bytes(HEADER + body)
    settings = _settings(tmp_path / "root", source=str(tmp_path / "all.csv"))
    report = run_annotations(settings)
    assert tuple(report.editions) == tuple(Split)
    lines = sum(info.rows + info.rejected for info in report.editions.values())
    assert lines == len(body.splitlines())


def test_a_folder_and_a_tarball_and_a_url_of_ones_own(server: FaultServer, tmp_path: Path) -> None:
    """The same lists come out of a folder, a local tarball, and the address of either."""
    folder = tmp_path / "lists"
    folder.mkdir()
    for split, data in LISTS.items():
        (folder / f"kinetics_{split}.csv").write_bytes(data)
    (folder / "notes.txt").write_text("not a list")
    (folder / "train_notes.csv").write_text("a worse name for a train list")
    os.mkfifo(folder / "test.csv")
    packed = tmp_path / "lists.tgz"
    packed.write_bytes(_tarball(_official()))
    server.files["/own/lists.bin"] = packed.read_bytes()
    sources = (str(folder), str(packed), server.url("/own/lists.bin?token=hunter2"))
    for number, source in enumerate(sources):
        settings = _settings(tmp_path / str(number), server, source)
        report = run_annotations(settings)
        _check_lists(report, Layout.of(settings), tuple(Split))
        assert "hunter2" not in Layout.of(settings).current_edition.read_text()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"notes.csv": b"x"}, "known name"),
        ({}, "no files"),
        ({"my_train.csv": b"x", "your_train.csv": b"x"}, "are both a train list"),
        ({"train.csv": LISTS[Split.TRAIN], "val.csv": LISTS[Split.TRAIN]}, "the same bytes"),
        ({"train.csv": HEADER}, "none of its 0 lines"),
        ({"val.csv": LISTS[Split.TRAIN]}, "a row of train in the val list"),
        ({"train.csv": HEADER + b"nothing known,AAAAAAAAAAA,1,11,train\n"}, "has no class"),
    ],
)
def test_lists_that_make_no_sense_are_refused(
    tmp_path: Path, files: dict[str, bytes], says: str
) -> None:
    """No name, two of a split, twins, no rows, rows of another split or dataset."""
    folder = tmp_path / "lists"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with pytest.raises(AnnotationError, match=says) as caught:
        run_annotations(_settings(tmp_path / "root", source=str(folder)))
    assert caught.value.remedy


def test_a_source_that_is_nothing_names_the_choices(tmp_path: Path) -> None:
    """A typing error in the setting says what it may be."""
    with pytest.raises(AnnotationError, match="`official`, `official_delta`, `backup`"):
        run_annotations(_settings(tmp_path, source="offical"))


def test_a_list_that_somebody_put_there_is_kept(tmp_path: Path) -> None:
    """The list of an adopted tree is replaced, and stays as an edition of its own."""
    settings = _settings(tmp_path / "root", source=str(tmp_path / "train.csv"))
    layout = Layout.of(settings)
    layout.annotations.mkdir(parents=True)
    layout.annotation_list(Split.TRAIN).write_bytes(b"what was there")
    (tmp_path / "train.csv").write_bytes(LISTS[Split.TRAIN])
    run_annotations(settings)
    kept = layout.edition(edition_sha256(b"what was there")) / "kinetics_train.csv"
    assert kept.read_bytes() == b"what was there"


def test_a_damaged_record_is_mended_by_a_run(tmp_path: Path) -> None:
    """The remedy that the reader names works: another run."""
    (tmp_path / "train.csv").write_bytes(LISTS[Split.TRAIN])
    settings = _settings(tmp_path / "root", source=str(tmp_path / "train.csv"))
    layout = Layout.of(settings)
    run_annotations(settings)
    layout.current_edition.write_bytes(b"{")
    layout.edition_rows(edition_sha256(LISTS[Split.TRAIN])).unlink()
    run_annotations(settings)
    assert load_class_rows(layout, Split.TRAIN, "zumba").clips


def test_a_split_that_the_source_lacks_keeps_its_list(tmp_path: Path) -> None:
    """Setting a val list of one's own does not take the train list away."""
    for split, data in LISTS.items():
        (tmp_path / f"{split}.csv").write_bytes(data)
    settings = _settings(tmp_path / "root", source=str(tmp_path / "train.csv"))
    run_annotations(settings)
    own = replace(settings.annotations, source=str(tmp_path / "val.csv"))
    report = run_annotations(replace(settings, annotations=own))
    _check_lists(report, Layout.of(settings), (Split.TRAIN, Split.VAL))
    assert report.changed == (Split.VAL,)

"""Where lists come from: named sources, the fallback, subsets, and asking only once."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import AnnotationError, ArchiveRefused
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import AnnotationSettings, Settings, SourceSettings
from kinetics_assets.io.annotation_store import load_class_rows, read_current
from kinetics_assets.io.list_notes import read_notes, write_notes
from kinetics_assets.sources.list_places import places_of
from kinetics_assets.stages.annotations import look_for_edition, run_annotations
from kinetics_assets_tests.list_server import ListServer

HEADER = "label,youtube_id,time_start,time_end,split\n"
TARBALL = "/demo.tar.gz"


@pytest.fixture
def server() -> Iterator[ListServer]:
    """A server of lists that knows ETags."""
    with ListServer() as running:
        yield running


def _rows(split: str, *names: str, label: str = "zumba") -> str:
    """Return a list with a row for each video id."""
    return HEADER + "".join(f"{label},{name},1,11,{split}\n" for name in names)


def _tarball(**lists: str) -> bytes:
    """Return a tarball of lists by the names of their splits."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, text in lists.items():
            entry = tarfile.TarInfo(f"demo/{name}.csv")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(sink.getvalue(), mtime=0)


def _ids(*numbers: int) -> list[str]:
    """Return video ids."""
    return [f"{number:011}" for number in numbers]


FIRST = _tarball(train=_rows("train", *_ids(1, 2)), validate=_rows("validate", *_ids(3)))
SECOND = _tarball(train=_rows("train", *_ids(1, 4)), validate=_rows("validate", *_ids(3)))


def _settings(root: Path, server: ListServer, **annotations: Any) -> Settings:  # noqa: ANN401 - values of any field
    """Return settings whose published lists are all at `server`."""
    published = AnnotationSettings(
        official_url=server.url("/{dataset}.tar.gz"),
        backup_url=server.url("/backup/kinetics_{split}.csv"),
        crawler_url=server.url("/crawler/kinetics-{version}_{split}.csv"),
        cvdf_url=server.url("/cvdf/{version}/{file}"),
    )
    return Settings(
        root=root,
        dataset="demo",
        annotations=replace(published, **annotations),
        sources=SourceSettings(loopback_hosts=(server.host,), timeout_seconds=120),
    )


def _times(folder: Path) -> dict[Path, int]:
    """Return path -> time of change of all files below `folder` but locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.parametrize(
    ("dataset", "source", "ends"),
    [
        ("kinetics400", "official", ["Datasets/kinetics400.tar.gz"]),
        ("kinetics700_2020", "official_delta", ["Datasets/kinetics700_2020_delta.tar.gz"]),
        (
            "kinetics600",
            "crawler",
            [f"data/kinetics-600_{split}.csv" for split in ("train", "val", "test")],
        ),
        (
            "kinetics600",
            "cvdf",
            [f"kinetics/600/annotations/{name}" for name in ("train.txt", "val.txt", "test.csv")],
        ),
        (
            "kinetics700_2020",
            "cvdf",
            [f"kinetics/700_2020/annotations/{split}.csv" for split in ("train", "val", "test")],
        ),
        (
            "kinetics700",
            "backup",
            [f"kinetics700/annotations/kinetics_{s}.csv" for s in ("train", "val", "test")],
        ),
    ],
)
def test_named_sources_stand_for_the_published_addresses(
    tmp_path: Path, dataset: str, source: str, ends: list[str]
) -> None:
    """By https, at a host that alone may be asked; only a test list may be missing."""
    places = places_of(Settings(root=tmp_path, dataset=dataset), source)
    assert all(place.url.endswith(end) for place, end in zip(places, ends, strict=True))
    for place in places:
        assert place.url.startswith("https://")
        assert place.egress.check(place.url).hostname in place.egress.hosts
        assert place.is_needed is (place.split is not Split.TEST)


def test_a_source_without_lists_of_the_dataset_says_what_it_has(tmp_path: Path) -> None:
    """The crawler never had Kinetics-700."""
    with pytest.raises(AnnotationError, match="only of: kinetics400, kinetics600"):
        places_of(Settings(root=tmp_path, dataset="kinetics700"), "crawler")


@pytest.mark.parametrize("source", ["backup", "crawler", "cvdf"])
def test_lists_come_from_each_named_source(server: ListServer, tmp_path: Path, source: str) -> None:
    """One file a split, under the name that the source gives it."""
    folder = {
        "backup": "/backup/kinetics_{}.csv",
        "crawler": "/crawler/kinetics-demo_{}.csv",
        "cvdf": "/cvdf/demo/{}.csv",
    }[source]
    for split, number in (("train", 1), ("val", 2)):
        server.files[folder.format(split)] = _rows(split, *_ids(number)).encode()
    report = run_annotations(_settings(tmp_path, server, source=source))
    assert [info.rows for info in report.editions.values()] == [1, 1]
    assert report.source == source


def test_a_list_without_a_header_is_stored_with_one(server: ListServer, tmp_path: Path) -> None:
    """The mirror's .txt lists become CSV that any reader understands."""
    server.files["/cvdf/train.txt"] = b"zumba/AAAAAAAAAAA_000001_000011.mp4\n"
    settings = _settings(tmp_path, server, source=server.url("/cvdf/train.txt"))
    run_annotations(settings)
    layout = Layout.of(settings)
    assert layout.annotation_list(Split.TRAIN).read_bytes().startswith(b"label,youtube_id,")
    assert load_class_rows(layout, Split.TRAIN, "zumba").clips[0].id.youtube_id == "A" * 11


@pytest.mark.parametrize("validators", [("ETag",), ("Last-Modified",), ("ETag", "Last-Modified")])
def test_a_list_that_did_not_change_is_not_sent_again(
    server: ListServer, tmp_path: Path, validators: tuple[str, ...]
) -> None:
    """One request, answered 304: no download, no change, no byte written."""
    server.files[TARBALL], server.validators = FIRST, validators
    settings = _settings(tmp_path, server)
    assert run_annotations(settings).changed == (Split.TRAIN, Split.VAL)
    before = _times(tmp_path)
    report = run_annotations(settings)
    assert (report.changed, report.not_changed) == ((), (server.url(TARBALL),))
    assert server.statuses() == [200, 304]
    assert _times(tmp_path) == before


def test_a_server_without_validators_is_compared_by_hash(
    server: ListServer, tmp_path: Path
) -> None:
    """It sends the file each time, and an equal file changes nothing."""
    server.files[TARBALL], server.validators = FIRST, ()
    settings = _settings(tmp_path, server)
    run_annotations(settings)
    assert run_annotations(settings).changed == ()
    assert server.statuses() == [200, 200]


def test_a_new_edition_is_told_exactly(server: ListServer, tmp_path: Path) -> None:
    """Only the split that changed, with the rows that came and went."""
    server.files[TARBALL] = FIRST
    settings = _settings(tmp_path, server)
    run_annotations(settings)
    server.files[TARBALL] = SECOND
    assert list(look_for_edition(settings).splits) == [Split.TRAIN]
    report = run_annotations(settings)
    assert report.changed == (Split.TRAIN,)
    diff = report.diffs[Split.TRAIN]
    assert [clip.id.youtube_id for clip in (*diff.removed, *diff.added)] == _ids(2, 4)
    assert (diff.unchanged, list(diff.classes)) == (1, ["zumba"])


def test_a_look_takes_nothing_over(server: ListServer, tmp_path: Path) -> None:
    """Whoever looks learns of the new edition; the dataset keeps the one it has."""
    server.files[TARBALL] = FIRST
    settings = _settings(tmp_path, server)
    layout = Layout.of(settings)
    run_annotations(settings)
    assert look_for_edition(settings).splits == {}
    assert server.statuses() == [200, 304]
    server.files[TARBALL] = SECOND
    before = read_current(layout)
    look_for_edition(settings)
    assert read_current(layout) == before
    assert list(look_for_edition(settings).splits) == [Split.TRAIN]


def test_another_etag_of_the_same_file_is_learned(server: ListServer, tmp_path: Path) -> None:
    """A server that moved says other validators: one download, and 304 from then on."""
    server.files[TARBALL], server.validators = FIRST, ("Last-Modified",)
    settings = _settings(tmp_path, server)
    run_annotations(settings)
    server.validators = ("ETag",)
    for _ in range(2):
        assert look_for_edition(settings).splits == {}
    assert server.statuses() == [200, 200, 304]


@pytest.mark.parametrize("damage", ["list", "notes", "garbage"])
def test_lists_that_are_no_longer_here_are_fetched_again(
    server: ListServer, tmp_path: Path, damage: str
) -> None:
    """What the notes say is only believed with the edition there, whole."""
    server.files[TARBALL] = FIRST
    settings = _settings(tmp_path, server)
    layout = Layout.of(settings)
    info = run_annotations(settings).editions[Split.VAL]
    if damage == "list":
        (layout.edition(info.sha256) / info.name).write_bytes(b"damaged")
    elif damage == "notes":
        layout.fetched_lists.unlink()
    else:
        layout.fetched_lists.write_text('{"x": {"lists": 3}}')
    run_annotations(settings)
    assert server.statuses() == [200, 200]
    kept = layout.edition(info.sha256) / info.name
    assert kept.read_text() == _rows("validate", *_ids(3))


def test_notes_come_back_as_they_were_written_and_keep_no_secret(
    server: ListServer, tmp_path: Path
) -> None:
    """A token in the address is in no file below the root."""
    server.files["/train.csv"] = _rows("train", *_ids(1)).encode()
    settings = _settings(tmp_path, server, source=server.url("/train.csv?token=hunter2"))
    layout = Layout.of(settings)
    run_annotations(settings)
    notes = read_notes(layout)
    text = layout.fetched_lists.read_text()
    write_notes(layout, notes)
    assert (read_notes(layout), layout.fetched_lists.read_text()) == (notes, text)
    assert "hunter2" not in text


LONG = _rows("train", *_ids(*range(100)))


@pytest.mark.parametrize(
    ("half", "says"),
    [
        (LONG[: len(LONG) // 2 + 3], "in the middle of line"),
        (_rows("train", *_ids(*range(60))), "cut off after 61 of 101 lines"),
        (_rows("train", *_ids(*range(200, 230))), "min_share"),
    ],
    ids=["within-a-row", "between-rows", "few-rows"],
)
def test_half_an_upload_changes_nothing(
    server: ListServer, tmp_path: Path, half: str, says: str
) -> None:
    """A list that is cut short on the server is refused, and the next whole one is taken."""
    server.files["/train.csv"] = LONG.encode()
    settings = _settings(tmp_path, server, source=server.url("/train.csv"))
    layout = Layout.of(settings)
    run_annotations(settings)
    before = _times(layout.base)
    server.files["/train.csv"] = half.encode()
    for attempt in (run_annotations, look_for_edition):
        with pytest.raises(AnnotationError, match=says) as caught:
            attempt(settings)
        assert "min_share" in (caught.value.remedy or "")
    assert _times(layout.base) == before
    server.files["/train.csv"] = (LONG + _rows("train", *_ids(300)).removeprefix(HEADER)).encode()
    assert run_annotations(settings).diffs[Split.TRAIN].counts()["added"] == 1


def test_a_body_shorter_than_announced_changes_nothing(server: ListServer, tmp_path: Path) -> None:
    """A connection that ends early, or a tarball that does, is an error and no edition."""
    server.files[TARBALL] = FIRST
    settings = _settings(tmp_path, server)
    run_annotations(settings)
    server.files[TARBALL], server.cut[TARBALL] = SECOND, len(SECOND) // 2
    with pytest.raises(AnnotationError, match="sent"):
        run_annotations(settings)
    server.cut.clear()
    server.files[TARBALL] = SECOND[: len(SECOND) // 2]
    with pytest.raises(ArchiveRefused):
        run_annotations(settings)
    server.files[TARBALL] = FIRST
    assert run_annotations(settings).changed == ()


def test_the_fallback_is_asked_only_while_no_list_is_here(
    server: ListServer, tmp_path: Path
) -> None:
    """An outage never swaps the lists of one source for those of another."""
    for split, number in (("train", 7), ("val", 8)):
        path = f"/backup/kinetics_{split}.csv"
        server.files[path] = _rows(split, *_ids(number)).encode()
    settings = _settings(tmp_path, server, fallback="backup")
    report = run_annotations(settings)
    assert report.source == "backup"
    assert "official cannot be had" in report.fallback_for
    assert run_annotations(settings).source == "backup"
    server.files[TARBALL] = FIRST
    report = run_annotations(settings)
    assert (report.source, report.fallback_for) == ("official", "")
    server.down = 503
    with pytest.raises(AnnotationError, match="503"):
        run_annotations(settings)
    assert read_current(Layout.of(settings)) == report.editions


def test_without_a_fallback_the_source_s_own_error_is_told(
    server: ListServer, tmp_path: Path
) -> None:
    """And with one that fails as well, both."""
    with pytest.raises(AnnotationError, match=r"demo\.tar\.gz answers 404"):
        run_annotations(_settings(tmp_path, server))
    with pytest.raises(AnnotationError, match=r"kinetics_train\.csv answers 404") as caught:
        run_annotations(_settings(tmp_path, server, fallback="backup"))
    assert "It was the fallback: official cannot be had" in caught.value.message
    assert "demo.tar.gz answers 404" in str(caught.value)


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_subset_keeps_only_its_rows_and_says_what_it_misses(
    server: ListServer, tmp_path: Path, *, is_folder: bool
) -> None:
    """One file for all splits, or a file for each; a list without a named row is left out."""
    server.files[TARBALL] = FIRST
    mini = tmp_path / "mini"
    if is_folder:
        mini.mkdir()
        (mini / "train_ids.txt").write_text("00000000002\n00000000003\n")
    else:
        mini.write_text("00000000002\n00000000009\n")
    settings = _settings(tmp_path / "root", server, subset=mini)
    report = run_annotations(settings)
    assert list(report.editions) == [Split.TRAIN]
    assert report.editions[Split.TRAIN].rows == 1
    assert report.missing == (("00000000003",) if is_folder else ("00000000009",))
    assert "(subset of 2 ids)" in report.editions[Split.TRAIN].source_address
    assert run_annotations(settings).missing == report.missing
    assert server.statuses() == [200, 304]


def test_another_subset_asks_for_the_whole_list_again(server: ListServer, tmp_path: Path) -> None:
    """A 304 would leave nothing to take the other rows from."""
    server.files[TARBALL] = FIRST
    mini = tmp_path / "mini.txt"
    mini.write_text("00000000002\n")
    settings = _settings(tmp_path / "root", server, subset=mini)
    run_annotations(settings)
    mini.write_text("00000000001\n00000000002\n")
    assert run_annotations(settings).diffs[Split.TRAIN].counts()["added"] == 1
    assert server.statuses() == [200, 200]
    whole = replace(settings, annotations=replace(settings.annotations, subset=None))
    assert list(run_annotations(whole).editions) == [Split.TRAIN, Split.VAL]


def test_a_subset_of_nothing_is_an_error(server: ListServer, tmp_path: Path) -> None:
    """Ids of another dataset do not make an empty one."""
    server.files[TARBALL] = FIRST
    (tmp_path / "mini.txt").write_text("99999999999\n")
    settings = _settings(tmp_path / "root", server, subset=tmp_path / "mini.txt")
    with pytest.raises(AnnotationError, match="no row of the lists"):
        run_annotations(settings)
    (tmp_path / "empty").mkdir()
    settings = _settings(tmp_path / "root", server, subset=tmp_path / "empty")
    with pytest.raises(AnnotationError, match="neither a file nor a folder"):
        run_annotations(settings)


def test_strange_counts_are_remarked_on_and_block_nothing(
    server: ListServer, tmp_path: Path
) -> None:
    """A published list without most classes is stored, and said to be strange."""
    server.files[TARBALL] = FIRST
    report = run_annotations(_settings(tmp_path, server))
    assert "classes have no row" in report.remarks[Split.TRAIN][0]
    server.files["/train.csv"] = _rows("train", *_ids(1)).encode()
    own = run_annotations(_settings(tmp_path, server, source=server.url("/train.csv")))
    assert own.remarks == {}

"""Each published source of lists, as its files are known to look, from a server of this machine."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kinetics_assets.core.annotations import ParsedList, parse_list
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.list_checks import KNOWN_ROWS, remarks
from kinetics_assets.core.settings import AnnotationSettings, Settings, SourceSettings
from kinetics_assets.io.annotation_store import load_rows
from kinetics_assets.stages.annotations import AnnotationsReport, run_annotations
from kinetics_assets_tests.list_server import ListServer

OFFICIAL = "label,youtube_id,time_start,time_end,split\n"
CRAWLER = "label,youtube_id,time_start,time_end,split,is_cc\n"
UNLABELLED = "youtube_id,time_start,time_end,split\n--6bJUbfpnQ,17,27,test\n"
JSON = '{"--07WQ2iBlw": {"annotations": {"label": "javelin throw", "segment": [1, 11]}}}'
TRAIN = f"{OFFICIAL}massaging person's head,-AAAAAAAAAA,1,11,train\n"
VALIDATE = f"{OFFICIAL}javelin throw,--07WQ2iBlw,1,11,validate\n"
Rows = dict[Split, list[tuple[str, str]]]
"""Split -> label and YouTube id of each row."""


@pytest.fixture
def server() -> Iterator[ListServer]:
    """A server of lists that knows ETags."""
    with ListServer() as running:
        yield running


def got(server: ListServer, root: Path, dataset: str, source: str) -> AnnotationsReport:
    """Return the report of getting the lists of a source whose every address is at `server`."""
    return run_annotations(settings_of(server, root, dataset, source))


def settings_of(server: ListServer, root: Path, dataset: str, source: str) -> Settings:
    """Return settings whose published lists are all at `server`."""
    annotations = AnnotationSettings(
        source=source,
        official_url=server.url("/{dataset}.tar.gz"),
        backup_url=server.url("/{dataset}/kinetics_{split}.csv"),
        crawler_url=server.url("/kinetics-{version}_{split}.csv"),
        cvdf_url=server.url("/{version}/annotations/{file}"),
    )
    sources = SourceSettings(loopback_hosts=(server.host,), timeout_seconds=120)
    return Settings(root=root, dataset=dataset, annotations=annotations, sources=sources)


def rows_of(root: Path, dataset: str, report: AnnotationsReport) -> Rows:
    """Return what became of the lists; nothing of them was rejected."""
    assert not any(info.rejected for info in report.editions.values())
    layout = Layout.of(Settings(root=root, dataset=dataset))
    tables = {split: load_rows(layout, split) for split in report.editions}
    return {
        split: [(str(row["label"]), str(row["youtube_id"])) for row in table.to_pylist()]
        for split, table in tables.items()
    }


def tarball(folder: str, **lists: str) -> bytes:
    """Return a tarball of a folder of files, as the official ones are."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        top = tarfile.TarInfo(folder)
        top.type, top.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(top)
        for name, text in lists.items():
            entry = tarfile.TarInfo(f"{folder}/{name.replace('__', '.')}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(sink.getvalue(), mtime=0)


@pytest.mark.parametrize("dataset", ["kinetics400", "kinetics600", "kinetics700"])
def test_official_tarballs(server: ListServer, tmp_path: Path, dataset: str) -> None:
    """JSON beside the CSV is passed over, and so is a holdout beside a test list."""
    test = f"{OFFICIAL}zumba,CCCCCCCCCCC,17,27,test\n"
    server.files[f"/{dataset}.tar.gz"] = tarball(
        dataset,
        train__csv=TRAIN,
        validate__csv=VALIDATE,
        test__csv=test,
        holdout__csv=test.replace("CCC,17,27,test", "DDD,17,27,holdout"),
        train__json=JSON,
        validate__json=JSON,
        test__json=JSON,
    )
    report = got(server, tmp_path, dataset, "official")
    assert rows_of(tmp_path, dataset, report) == {
        Split.TRAIN: [("massaging person's head", "-AAAAAAAAAA")],
        Split.VAL: [("javelin throw", "--07WQ2iBlw")],
        Split.TEST: [("zumba", "CCCCCCCCCCC")],
    }
    assert got(server, tmp_path, dataset, "official").changed == ()
    assert server.statuses() == [200, 304]


def test_most_test_rows_of_700_2020_have_no_label(server: ListServer, tmp_path: Path) -> None:
    """They are rows without a class; others keep theirs."""
    server.files["/kinetics700_2020.tar.gz"] = tarball(
        "kinetics700_2020",
        train__csv=TRAIN,
        validate__csv=VALIDATE,
        test__csv=f"{OFFICIAL},CCCCCCCCCCC,17,27,test\nzumba,DDDDDDDDDDD,17,27,test\n",
    )
    report = got(server, tmp_path, "kinetics700_2020", "official")
    rows = rows_of(tmp_path, "kinetics700_2020", report)
    assert rows[Split.TEST] == [("", "CCCCCCCCCCC"), ("zumba", "DDDDDDDDDDD")]


@pytest.mark.parametrize(
    ("lists", "splits"),
    [
        ({"train__csv": TRAIN}, 1),
        ({"train__csv": TRAIN, "validate__csv": VALIDATE, "test__csv": OFFICIAL}, 2),
        ({"kinetics700_2020_delta__csv": TRAIN + VALIDATE.removeprefix(OFFICIAL)}, 2),
    ],
    ids=["train-alone", "nothing-added-to-test", "one-list-of-all"],
)
def test_the_delta_of_700_2020(
    server: ListServer, tmp_path: Path, lists: dict[str, str], splits: int
) -> None:
    """It may have a split or not, or all splits in one list; its counts are nobody's remark."""
    server.files["/kinetics700_2020_delta.tar.gz"] = tarball("kinetics700_2020_delta", **lists)
    report = got(server, tmp_path, "kinetics700_2020", "official_delta")
    rows = rows_of(tmp_path, "kinetics700_2020", report)
    assert list(rows) == list(Split)[:splits]
    assert rows[Split.TRAIN] == [("massaging person's head", "-AAAAAAAAAA")]
    assert report.remarks == {}
    assert got(server, tmp_path, "kinetics700_2020", "official_delta").changed == ()
    assert server.statuses() == [200, 304]


def test_the_crawler_s_lists_tell_licences_and_not_the_classes_of_test(
    server: ListServer, tmp_path: Path
) -> None:
    """Labels are quoted, is_cc is read, test rows have no class; 600 may do without a test list."""
    for split in ("train", "val"):
        text = f'{CRAWLER}"air drumming",--nQbRBEz2s,104,114,{split},1\n'
        server.files[f"/kinetics-400_{split}.csv"] = text.encode()
        server.files[f"/kinetics-600_{split}.csv"] = (
            text.replace(",is_cc", "").replace(",1\n", "\n").encode()
        )
    server.files["/kinetics-400_test.csv"] = UNLABELLED.encode()
    report = got(server, tmp_path, "kinetics400", "crawler")
    rows = rows_of(tmp_path, "kinetics400", report)
    assert rows[Split.VAL] == [("air drumming", "--nQbRBEz2s")]
    assert rows[Split.TEST] == [("", "--6bJUbfpnQ")]
    table = load_rows(Layout.of(Settings(root=tmp_path, dataset="kinetics400")), Split.VAL)
    assert table["is_cc"].to_pylist() == [True]
    report = got(server, tmp_path, "kinetics600", "crawler")
    assert list(rows_of(tmp_path, "kinetics600", report)) == [Split.TRAIN, Split.VAL]


@pytest.mark.parametrize("dataset", ["kinetics400", "kinetics600", "kinetics700"])
def test_backup_lists(server: ListServer, tmp_path: Path, dataset: str) -> None:
    """Three lists under MMAction2's names."""
    for split in Split:
        text = f"{OFFICIAL}zumba,{split:_<11},1,11,{split}\n"
        server.files[f"/{dataset}/kinetics_{split}.csv"] = text.encode()
    report = got(server, tmp_path, dataset, "backup")
    assert rows_of(tmp_path, dataset, report) == {s: [("zumba", f"{s:_<11}")] for s in Split}


@pytest.mark.parametrize(
    "line",
    [
        "{folder}/{name}_000001_000011.mp4",
        "./{split}/{folder}/{name}_000001_000011.mp4 3",
        "{label},{name},1,11,{split}",
        "{label}\t{name}\t1\t11",
        "{name}_000001_000011.mp4 {label}",
        "{label} {name} 1 11",
        f"{OFFICIAL}{{label}},{{name}},1,11,{{split}}",
    ],
    ids=["names", "paths", "fields", "tabs", "class-behind", "blanks", "header"],
)
def test_the_mirror_s_complete_lists_of_600(server: ListServer, tmp_path: Path, line: str) -> None:
    """Of 600 the .txt are taken, whichever way they are written; the .csv are not asked for."""
    label = "passing American football (in game)"
    for split in ("train", "val"):
        text = line.format(
            label=label, folder=label.replace(" ", "_"), name=f"-{split:_<10}", split=split
        )
        server.files[f"/600/annotations/{split}.txt"] = f"{text}\n".encode()
        server.files[f"/600/annotations/{split}.csv"] = b"half of the rows"
    server.files["/600/annotations/test.csv"] = UNLABELLED.encode()
    report = got(server, tmp_path, "kinetics600", "cvdf")
    assert rows_of(tmp_path, "kinetics600", report) == {
        Split.TRAIN: [(label, "-train_____")],
        Split.VAL: [(label, "-val_______")],
        Split.TEST: [("", "--6bJUbfpnQ")],
    }
    again = got(server, tmp_path, "kinetics600", "cvdf")
    assert (again.changed, server.statuses()) == ((), [200] * 3 + [304] * 3)


def test_an_index_in_an_order_that_nobody_knows_is_no_label(
    server: ListServer, tmp_path: Path
) -> None:
    """Such a list is refused, never guessed at; nothing is stored."""
    for split in ("train", "val"):
        server.files[f"/600/annotations/{split}.txt"] = (
            f"{split:_<11}_000001_000011.mp4 17\n".encode()
        )
    with pytest.raises(AnnotationError, match=r"train\.txt, line 1: no header"):
        got(server, tmp_path, "kinetics600", "cvdf")
    assert not Layout.of(Settings(root=tmp_path, dataset="kinetics600")).current_edition.exists()


@pytest.mark.parametrize("dataset", ["kinetics400", "kinetics700_2020"])
def test_the_mirror_s_lists_of_other_versions(
    server: ListServer, tmp_path: Path, dataset: str
) -> None:
    """They are CSV, with licences and a labelled test list for 400."""
    version = dataset.removeprefix("kinetics")
    for split in Split:
        text = f'{CRAWLER}"air drumming",{split:_<11},104,114,{split},0\n'
        server.files[f"/{version}/annotations/{split}.csv"] = text.encode()
    report = got(server, tmp_path, dataset, "cvdf")
    rows = rows_of(tmp_path, dataset, report)
    assert rows == {split: [("air drumming", f"{split:_<11}")] for split in Split}


@pytest.mark.parametrize("dataset", KNOWN_ROWS)
def test_known_counts_are_nobody_s_remark_and_others_are(dataset: str) -> None:
    """A list as long as one that was counted is plausible; half of it, and twice it, is not."""
    for split, known in KNOWN_ROWS[dataset].items():
        for count in known:
            assert not counted(dataset, split, count)
        assert "known editions" in counted(dataset, split, min(known) // 2)
        assert "known editions" in counted(dataset, split, max(known) * 2)


def counted(dataset: str, split: Split, rows: int) -> str:
    """Return what is said of the count of a list, whatever its classes."""
    header = parse_list(UNLABELLED.encode(), dataset=dataset, split=Split.TEST, name="x")
    parsed = ParsedList(header.rows * rows, (), header.dialect)
    said = remarks(parsed, dataset=dataset, split=split)
    return next((text for text in said if "rows; known" in text), "")

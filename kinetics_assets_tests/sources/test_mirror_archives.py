"""Which archives the mirror has, and where they are looked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import SourcePaused
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.sources.mirror_archives import (
    class_archive,
    known_parts,
    listed_test_parts,
    part_archive,
)
from kinetics_assets_tests import mirrors
from kinetics_assets_tests.mirrors import BOXING, HEAD, PLAIN, Replica
from kinetics_assets_tests.range_server import RangeServer

TRAIN, VAL, TEST = Split.TRAIN, Split.VAL, Split.TEST


@pytest.mark.parametrize(
    ("dataset", "label", "path"),
    [
        ("kinetics600", PLAIN, "600/train/abseiling.tar.gz"),
        ("kinetics600", HEAD, "600/train/massaging%20person's%20head.tar.gz"),
        ("kinetics600", BOXING, "600/train/punching%20person%20(boxing).tar.gz"),
        ("kinetics700_2020", PLAIN, "700_2020/train/k700_train_001.tar.gz"),
        ("kinetics700_2020", HEAD, "700_2020/train/k700_train_328.tar.gz"),
    ],
)
def test_a_class_has_its_archive(
    tmp_path: Path, server: RangeServer, dataset: str, label: str, path: str
) -> None:
    """Class names are quoted for an address; numbers count from one in class order."""
    made = mirrors.replica(server, tmp_path, dataset, {}, stored=False)
    archive = class_archive(made.settings, TRAIN, label=label)
    assert archive is not None
    assert archive.url == server.url(f"/kinetics/{path}")
    assert class_archive(made.settings, TEST, label=label) is None


def test_parts_of_kinetics_400(tmp_path: Path, server: RangeServer) -> None:
    """Train has 242 parts and the replacement, val 20; a test split's are not established."""
    assert len(known_parts("kinetics400", TRAIN)) == 243
    assert known_parts("kinetics400", VAL)[-1] == "part_19"
    assert known_parts("kinetics400", TEST) == ()
    made = mirrors.replica(server, tmp_path, "kinetics400", {}, stored=False)
    addresses = [part_archive(made.settings, TRAIN, part=p).url for p in ("part_7", "replacement")]
    assert addresses == [
        server.url("/kinetics/400/train/part_7.tar.gz"),
        server.url("/kinetics/400/replacement_for_corrupted_k400.tgz"),
    ]


def test_only_file_names_of_the_list_of_test_parts_are_believed(
    make: Callable[[str], Replica],
) -> None:
    """Foreign hosts, folders and names in the list lead nowhere; the mirror alone is asked."""
    made = make("kinetics400")
    lines = [
        "https://s3.amazonaws.com/kinetics/400/test/part_0.tar.gz",
        "https://evil.example/a/../part_1.tar.gz",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "part 2.tar.gz",
    ]
    made.put("400/test/k400_test_path.txt", "\n".join(lines).encode())
    assert [archive.url for archive in listed_test_parts(made.settings)] == [
        made.server.url(f"/kinetics/400/test/part_{n}.tar.gz") for n in (0, 1)
    ]


def test_the_list_of_test_parts_keeps_the_pace(make: Callable[[str], Replica]) -> None:
    """While the mirror is left alone its list is not asked for either."""
    made = make("kinetics400")
    HostPace(made.server.host).pause(3600, cause="a test")
    with pytest.raises(SourcePaused):
        listed_test_parts(made.settings)
    assert made.server.served == []

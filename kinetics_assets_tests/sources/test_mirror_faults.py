"""The mirror source against a server that misbehaves, and against being killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import (
    AddressRefused,
    BadArchive,
    Forbidden,
    KineticsError,
    NetworkFailure,
    NotAtSource,
    RateLimited,
    ServerError,
    Truncated,
)
from kinetics_assets.core.layout import TEMP_PREFIX
from kinetics_assets.io.archives import Member, unpack
from kinetics_assets.io.resume import Retries
from kinetics_assets.sources.mirror import mirror_source
from kinetics_assets.sources.mirror_archives import part_archive
from kinetics_assets.sources.mirror_fetch import get_archive
from kinetics_assets.sources.mirror_store import ArchiveRecord
from kinetics_assets_tests import mirrors
from kinetics_assets_tests.mirrors import HEAD, Replica, clip
from kinetics_assets_tests.processes import until
from kinetics_assets_tests.range_server import RangeServer
from kinetics_assets_tests.servers import FaultServer

TOP = Path(__file__).parents[2]
TRAIN = Split.TRAIN
CLIPS = [clip(1), clip(2)]
QUICK = Retries(attempts=3, base_seconds=0.01, cap_seconds=0.01, max_wait_seconds=60)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Replica]:
    """A replica with one class."""
    with RangeServer() as server:
        yield mirrors.replica(server, tmp_path, "kinetics600", {(TRAIN, HEAD): CLIPS})


@pytest.mark.parametrize(
    ("fault", "leaf", "requests"),
    [
        ("status-404", NotAtSource, 1),
        ("status-403", Forbidden, 1),
        ("status-500", ServerError, 3),
        ("status-503", ServerError, 3),
        ("status-429", RateLimited, 1),
        ("short-length", Truncated, 3),
        ("short-chunked", Truncated, 3),
        ("short-close", BadArchive, 1),
        ("empty", BadArchive, 1),
        ("page", BadArchive, 1),
        ("endless", BadArchive, 1),
        ("reset", NetworkFailure, 3),
        ("silent", NetworkFailure, 3),
        ("drip", NetworkFailure, 3),
        ("elsewhere", AddressRefused, 1),
        ("inside", AddressRefused, 1),
        ("file", AddressRefused, 1),
    ],
)
def test_each_fault_of_the_mirror_has_its_verdict(
    made: Replica, tmp_path: Path, fault: str, leaf: type[KineticsError], *, requests: int
) -> None:
    """Bounded requests for all clips of a class together, the documented reason, no file."""
    path = f"/{fault}/600/train/massaging%20person's%20head.tar.gz"
    places = {
        "elsewhere": "https://example.org/x.tar.gz",
        "inside": "http://169.254.169.254/x.tar.gz",
        "file": "file:///etc/passwd",
    }
    with FaultServer() as server:
        server.redirects |= {path: places[fault]} if fault in places else {}
        settings = made.changed(
            mirror_url=server.url(f"/{fault}"),
            loopback_hosts=(server.host,),
            timeout_seconds=0.2 if fault in {"silent", "drip"} else 120,
            max_source_bytes=1_000_000,
        )
        source = mirror_source(settings, TRAIN)
        assert source is not None
        source = replace(source, retries=QUICK)
        for _ in range(2):
            if leaf is RateLimited:
                with pytest.raises(RateLimited):
                    source.fetch(CLIPS, label=HEAD, scratch=tmp_path)
                break
            answers = source.fetch(CLIPS, label=HEAD, scratch=tmp_path)
            assert {type(answer) for answer in answers.values()} == {leaf}
        until(lambda: len(server.asked(path)) >= requests, "the server to note all requests")
        assert server.asked(path) == ["GET"] * requests
    files = made.settings.root / "kinetics600" / "mirror" / "files"
    assert [p for p in files.rglob("*") if p.is_file()] == []


def test_what_another_container_unpacks_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process cannot be seen from here; that it works at an archive is told by the lock.

    Getting one archive once deleted what another container on the same volume had unpacked.
    """
    with RangeServer() as server:
        made = mirrors.replica(server, tmp_path, "kinetics400", {(TRAIN, HEAD): CLIPS})
        for part in range(2):
            made.put(f"400/train/part_{part}.tar.gz", mirrors.clips_tar([CLIPS[part]]))
        parts = [part_archive(made.settings, TRAIN, part=f"part_{n}") for n in range(2)]
        inner: list[ArchiveRecord] = []

        def unpack_slowly(archive: Path, folder: Path) -> tuple[Member, ...]:
            members = unpack(archive, folder)
            if not inner:
                monkeypatch.setattr("kinetics_assets.io.atomic._writer_lives", lambda _: False)
                monkeypatch.setattr("kinetics_assets.sources.mirror_fetch.unpack", unpack)
                inner.append(get_archive(made.settings, parts[1]))
            return members

        monkeypatch.setattr("kinetics_assets.sources.mirror_fetch.unpack", unpack_slowly)
        outer = get_archive(made.settings, parts[0])
    assert [[f.clip for f in record.files] for record in (outer, *inner)] == [
        [CLIPS[0].name],
        [CLIPS[1].name],
    ]


@pytest.mark.parametrize("moment", ["unpack", "publish_folder", "write_record"])
def test_a_kill_at_any_moment_costs_no_second_download(tmp_path: Path, moment: str) -> None:
    """Killed before it unpacks, publishes or records, the next try ends as if nothing had been."""
    with RangeServer() as server:
        made = mirrors.replica(server, tmp_path, "kinetics400", {(TRAIN, HEAD): CLIPS})
        made.put("400/train/part_0.tar.gz", mirrors.clips_tar(CLIPS))
        code = (
            "import os, sys, pathlib; from kinetics_assets.sources import mirror_fetch as m;"
            "from kinetics_assets.sources.mirror_archives import part_archive;"
            "from kinetics_assets.core.clips import Split;"
            "from kinetics_assets.io.settings_file import load_settings;"
            f"m.{moment} = lambda *a, **k: os.kill(os.getpid(), 9);"
            "s = load_settings('kinetics400', root=pathlib.Path(sys.argv[1]));"
            "m.get_archive(s, part_archive(s, Split.TRAIN, part='part_0'))"
        )
        command = [sys.executable, "-c", code, str(made.settings.root)]
        died = subprocess.run(command, cwd=TOP, check=False, capture_output=True)
        assert died.returncode == -signal.SIGKILL, died.stderr
        record = get_archive(made.settings, part_archive(made.settings, TRAIN, part="part_0"))
        assert [f.clip for f in record.files] == sorted(c.name for c in CLIPS)
        assert made.asked("400/train/part_0.tar.gz") == 1
    store = made.settings.root / "kinetics400" / "mirror"
    names = {p.name for p in store.rglob("*")}
    assert {f"{c.name}.mp4" for c in CLIPS} <= names
    assert not [n for n in names if n.startswith((TEMP_PREFIX, ".part-")) or n.endswith(".gz")]

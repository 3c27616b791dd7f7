"""Archives are used whole or not at all."""

from __future__ import annotations

import gzip
import io
import resource
import signal
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinetics_assets.core.errors import ArchiveRefused, DiskFull
from kinetics_assets.io.archives import ArchiveLimits, unpack

FILES = {f"set/part_{n}.csv": bytes([65 + n]) * (700 * n) for n in range(4)}


def _tar(files: dict[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    """Return a plain tar archive of `files` and of members without content."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for entry in extra:
            tar.addfile(entry)
    return sink.getvalue()


def _member(name: str, kind: bytes, *, linkname: str = "") -> tarfile.TarInfo:
    """Return a member of some type without content."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, linkname
    return entry


def _unpack(
    data: bytes, folder: Path, *, limits: ArchiveLimits | None = None
) -> tuple[dict[str, bytes], Path]:
    """Return (name -> bytes of what came out, the folder it came into)."""
    folder.mkdir(exist_ok=True)
    archive, into = folder / "archive.bin", folder / "into"
    archive.write_bytes(data)
    into.mkdir(exist_ok=True)
    members = unpack(archive, into, limits=limits)
    return {member.name: member.path.read_bytes() for member in members}, into


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["tar", "gz"])
def test_a_good_archive_comes_out_whatever_its_name(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """Plain and gzipped are told apart by content; folders and macOS junk are passed by."""
    data = _tar({**FILES, "set/._part_1.csv": b"junk"}, _member("set/sub/", tarfile.DIRTYPE))
    files, _ = _unpack(pack(data), tmp_path)
    assert files == FILES


def test_only_what_is_selected_is_written(tmp_path: Path) -> None:
    """Members that are not wanted are read over and never written."""
    archive = tmp_path / "a.tar"
    archive.write_bytes(_tar(FILES))
    into = tmp_path / "into"
    into.mkdir()
    members = unpack(archive, into, select=lambda name: name.endswith("_2.csv"))
    assert [(m.name, m.size_bytes, m.path) for m in members] == [
        ("set/part_2.csv", 1400, into / "set/part_2.csv")
    ]
    assert [path.name for path in into.rglob("*.csv")] == ["part_2.csv"]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (_member("/etc/cron.d/x", tarfile.REGTYPE), "outside"),
        (_member("../x", tarfile.REGTYPE), "outside"),
        (_member("a/../../x", tarfile.REGTYPE), "outside"),
        (_member("..\\x", tarfile.REGTYPE), "outside"),
        (_member("link", tarfile.SYMTYPE, linkname="/etc/passwd"), "no plain file"),
        (_member("link", tarfile.LNKTYPE, linkname="set/part_1.csv"), "no plain file"),
        (_member("pipe", tarfile.FIFOTYPE), "no plain file"),
        (_member("disk", tarfile.BLKTYPE), "no plain file"),
        (_member("tty", tarfile.CHRTYPE), "no plain file"),
        (_member("set/part_1.csv", tarfile.REGTYPE), "two of its members"),
        (_member("set/./part_1.csv", tarfile.REGTYPE), "two of its members"),
        (_member("n" * 256, tarfile.REGTYPE), "cannot be used"),
        (_member("d/" * 600 + "x", tarfile.REGTYPE), "too long"),
        (_member("a\nb", tarfile.REGTYPE), "cannot be used"),
    ],
    ids=lambda value: repr(value.name[:12]) + str(value.type) if hasattr(value, "name") else "",
)
def test_a_member_that_breaks_the_rules_refuses_all(
    tmp_path: Path, entry: tarfile.TarInfo, says: str
) -> None:
    """Absolute and climbing names, links, devices, doubles and unusable names are refused."""
    with pytest.raises(ArchiveRefused, match=says) as caught:
        _unpack(_tar(FILES, entry), tmp_path)
    assert caught.value.message.startswith("archive.bin is refused")
    outside = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert outside == {"archive.bin", "into"}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (_member("x", tarfile.REGTYPE), _member("x/y", tarfile.REGTYPE)),
        (_member("x/y", tarfile.REGTYPE), _member("x", tarfile.REGTYPE)),
        (_member("x", tarfile.REGTYPE), _member("x/y/z", tarfile.REGTYPE)),
        (_member("x/y/z", tarfile.REGTYPE), _member("x", tarfile.REGTYPE)),
        (_member("x", tarfile.REGTYPE), _member("x/", tarfile.DIRTYPE)),
        (_member("x/", tarfile.DIRTYPE), _member("x", tarfile.REGTYPE)),
    ],
)
def test_a_name_that_is_a_file_and_a_folder_refuses_all(
    tmp_path: Path, first: tarfile.TarInfo, then: tarfile.TarInfo
) -> None:
    """In either order; the file system's refusal once ended the step instead."""
    with pytest.raises(ArchiveRefused, match=r"'x/?' is a file and a folder"):
        _unpack(_tar(FILES, first, then), tmp_path)


def test_a_name_that_the_file_system_refuses_refuses_all(tmp_path: Path) -> None:
    """A name that is taken for another there, or is too long with its folder, is no fault here."""
    archive, into = tmp_path / "a.tar", tmp_path / "into"
    archive.write_bytes(_tar(FILES))
    (into / "set").mkdir(parents=True)
    (into / "set" / "part_2.csv").mkdir()  # as where upper and lower case are one
    with pytest.raises(ArchiveRefused, match=r"part_2\.csv' cannot be used here"):
        unpack(archive, into)
    deep = tmp_path
    while len(str(deep)) < 3700:
        deep /= "d" * 100
    deep.mkdir(parents=True)
    archive.write_bytes(_tar({"/".join(["n" * 200] * 4): b"x"}))
    with pytest.raises(ArchiveRefused, match="cannot be used here"):
        unpack(archive, deep)


def test_folders_that_names_imply_are_capped(tmp_path: Path) -> None:
    """A few members with long paths make no more folders than an archive may have members."""
    files = {f"{n}/{'d/' * 30}x": b"" for n in range(5)}
    with pytest.raises(ArchiveRefused, match="more than 100 folders"):
        _unpack(_tar(files), tmp_path, limits=ArchiveLimits(max_members=100))
    assert len(_unpack(_tar(files), tmp_path / "more")[0]) == 5


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
@pytest.mark.parametrize("claims", [64 * 2**20, -(2**20)])
def test_a_huge_long_name_is_refused_unread(tmp_path: Path, kind: bytes, *, claims: int) -> None:
    """Such a name is read by tarfile in one go, before any cap: 0.6 MB took 630 MB of memory."""
    _assert_refused_unread(tmp_path, kind, claims=claims)


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE], ids=["x", "g", "X"]
)
def test_a_huge_extended_header_is_refused_unread(tmp_path: Path, kind: bytes) -> None:
    """So it does with the header of the POSIX format, of one member or of all."""
    _assert_refused_unread(tmp_path, kind, claims=64 * 2**20)


def _assert_refused_unread(folder: Path, kind: bytes, *, claims: int) -> None:
    """Assert that a special header which claims a size is refused without reading so much."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = kind, claims
    archive = folder / "a.tar.gz"
    with gzip.open(archive, "wb", 1) as packed:
        packed.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            packed.write(bytes(2**20))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveRefused, match=f"claims to have {claims} bytes"):
            unpack(archive, folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_chain_of_headers_is_refused(tmp_path: Path, kind: bytes) -> None:
    """Each of them is read inside the one before; thousands are no crash."""
    header = tarfile.TarInfo("x")
    header.type = kind
    with pytest.raises(ArchiveRefused, match="damaged"):
        _unpack(header.tobuf(tarfile.GNU_FORMAT) * 3000, tmp_path)


def test_a_long_name_within_reason_is_read(tmp_path: Path) -> None:
    """Long names and extended headers as tar writes them are no reason to refuse."""
    name = f"{'folder/' * 30}{'n' * 150}.csv"
    for number, kind in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        sink = io.BytesIO()
        with tarfile.open(fileobj=sink, mode="w", format=kind) as tar:
            tar.addfile(tarfile.TarInfo(name))
        files, _ = _unpack(gzip.compress(sink.getvalue()), tmp_path / str(number))
        assert files == {name: b""}


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["tar", "gz"])
def test_a_cut_archive_is_refused_wherever_it_is_cut(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """Cut at any block boundary, even between two members, it is refused as a whole."""
    plain = _tar(FILES)
    end_of_content = len(plain.rstrip(b"\0"))
    if pack is bytes:
        cuts = list(range(0, end_of_content + 1, 512))
    else:
        cuts = list(range(0, len(pack(plain)), 40))
    for number, size in enumerate(cuts):
        with pytest.raises(ArchiveRefused):
            _unpack(pack(plain)[:size], tmp_path / str(number))


def test_a_flipped_bit_in_a_gzip_is_noticed(tmp_path: Path) -> None:
    """The checksum at the end is read even when all members came out."""
    data = bytearray(gzip.compress(_tar(FILES)))
    data[-6] ^= 1
    with pytest.raises(ArchiveRefused, match="damaged"):
        _unpack(bytes(data), tmp_path)


def test_bytes_after_the_end_are_refused(tmp_path: Path) -> None:
    """A second archive glued to the first is not silently dropped."""
    with pytest.raises(ArchiveRefused, match="after its end mark"):
        _unpack(_tar(FILES) + _tar({"more.csv": b"x"}), tmp_path)


@pytest.mark.parametrize(
    "limits",
    [ArchiveLimits(max_members=3), ArchiveLimits(max_bytes=4096), ArchiveLimits(max_ratio=10)],
    ids=["members", "bytes", "ratio"],
)
def test_a_bomb_is_not_unpacked(tmp_path: Path, limits: ArchiveLimits) -> None:
    """Members, bytes and the ratio are capped while reading, not after."""
    data = gzip.compress(_tar({**FILES, "big.csv": bytes(2_000_000)}))
    with pytest.raises(ArchiveRefused):
        _unpack(data, tmp_path, limits=limits)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.csv")) < 200_000


@pytest.mark.parametrize("data", [b"", b"<html>sorry</html>", b"PK\x03\x04" + bytes(600)])
def test_what_is_no_tar_is_refused_with_its_first_bytes(tmp_path: Path, data: bytes) -> None:
    """The message shows how the file begins."""
    with pytest.raises(ArchiveRefused, match="begins with") as caught:
        _unpack(data, tmp_path)
    assert repr(data[:8]) in caught.value.message


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 8 * 512), value=st.integers(0, 255), packed=st.booleans())
def test_a_changed_byte_never_gives_a_file_that_was_not_there(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int, *, packed: bool
) -> None:
    """Damage is refused, or touches content or owner only: no new place, no lost file."""
    data = bytearray(_tar(FILES))
    data[position] = value
    folder = tmp_path_factory.mktemp("damaged")
    try:
        files, into = _unpack(gzip.compress(bytes(data)) if packed else bytes(data), folder)
    except ArchiveRefused:
        return
    assert len(files) == len(FILES)
    assert all(into in (into / name).resolve().parents for name in files)


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path) -> None:
    """A sound archive is not called damaged because there was no room to unpack it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    data = gzip.compress(_tar({"large.mp4": bytes(2**20)}))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))
        with pytest.raises(DiskFull):
            _unpack(data, tmp_path, limits=ArchiveLimits(max_ratio=10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    (tmp_path / "into" / "large.mp4").unlink(missing_ok=True)
    assert _unpack(data, tmp_path, limits=ArchiveLimits(max_ratio=10_000))[0].keys() == {
        "large.mp4"
    }

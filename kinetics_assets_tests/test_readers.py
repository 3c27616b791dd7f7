"""Packed pictures are read back byte for byte, by our reader and by everybody else's."""

from __future__ import annotations

import hashlib
import io
import os
import pickle  # noqa: TID251 - spawned workers get their reader so
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from kinetics_assets.core.clips import Split
from kinetics_assets.core.settings import Packing, Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.packing import TarWriter
from kinetics_assets.readers import DamagedArchive, PackedFrames, PictureFiles, split_path
from kinetics_assets.stages.frame_archives import ArchiveStore
from kinetics_assets.stages.frame_index import FrameIndex, picture_names
from kinetics_assets.stages.order import ClassOrder

PAIRS = 4
NAMES = picture_names(Stage.FLOW, count=PAIRS, start_index=1)
FORMS: tuple[Packing, ...] = ("tar", "zip")


def _picture(number: int) -> bytes:
    plane = np.full((16, 24, 1), 20 * number, np.uint8)
    return bytes(simplejpeg.encode_jpeg(plane, quality=95, colorspace="GRAY"))


PICTURES = {name: _picture(number) for number, name in enumerate(NAMES)}


@pytest.fixture(params=FORMS)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Flow of a clip, packed as the flow stage packs it."""
    return pack(tmp_path, request.param)


def pack(folder: Path, packing: Packing) -> Path:
    """Return an archive of `PICTURES`."""
    loose = folder / "loose"
    loose.mkdir()
    for name, data in PICTURES.items():
        (loose / name).write_bytes(data)
    lines = "".join(f"{n} {hashlib.sha256(PICTURES[n]).hexdigest()}\n" for n in sorted(PICTURES))
    index = FrameIndex(
        count=PAIRS,
        start_index=1,
        width_px=24,
        height_px=16,
        digest="d" * 16,
        sha256=hashlib.sha256(lines.encode()).hexdigest(),
        engine="cpu",
        bound_px=20.0,
    )
    store = ArchiveStore(
        Stage.FLOW, ClassOrder(Settings(folder, "demo"), Split.TRAIN, "zumba"), packing
    )
    held = store.hold(loose, NAMES, final=folder / f"clip.flow.{packing}", index=index)
    held.publish()
    assert held.sha256 == hashlib.sha256(held.path.read_bytes()).hexdigest()
    return held.path


def test_every_picture_comes_back(archive: Path) -> None:
    """Our reader gives each picture's bytes and values, pairs beside each other, and the index."""
    with PackedFrames(archive) as frames:
        assert len(frames) == len(NAMES)
        assert frames.names[:3] == ("flow_x_00001.jpg", "flow_y_00001.jpg", "flow_x_00002.jpg")
        assert {name: frames.read(name) for name in frames} == PICTURES
        plane = frames.decode("flow_y_00001.jpg")
        assert plane.shape == (16, 24)
        assert abs(int(plane[0, 0]) - 20 * PAIRS) <= 1
        assert (frames.index["count"], frames.index["bound_px"]) == (PAIRS, 20.0)
        assert "flow_x_00009.jpg" not in frames
        with pytest.raises(KeyError):
            frames.read("flow_x_00009.jpg")


def test_other_readers_see_the_same(archive: Path) -> None:
    """Python's own modules give the same pictures, the index file first, no times and no owners."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            assert packed.testzip() is None
            members = packed.infolist()
            found = {info.filename: packed.read(info) for info in members}
            assert {info.date_time for info in members} == {(1980, 1, 1, 0, 0, 0)}
            assert {info.compress_type for info in members} == {zipfile.ZIP_STORED}
    else:
        with tarfile.open(archive, "r:") as packed_tar:
            infos = packed_tar.getmembers()
            found = {info.name: packed_tar.extractfile(info).read() for info in infos}  # type: ignore[union-attr] # all are files
            assert {(i.mtime, i.uid, i.gid, i.uname, i.mode) for i in infos} == {
                (0, 0, 0, "", 0o644)
            }
    assert next(iter(found)) == "_flow.json"
    found.pop("_flow.json")
    assert found == PICTURES


def test_a_number_that_is_none_is_damage(tmp_path: Path) -> None:
    """A bit that flips in a member's size is told like any other damage; others can be read."""
    archive = pack(tmp_path, "tar")
    with PackedFrames(archive) as frames:
        place = frames.span("flow_y_00001.jpg").header
    data = bytearray(archive.read_bytes())
    data[place + 130] = ord("9")
    archive.write_bytes(data)
    with PackedFrames(archive) as frames:
        assert frames.read("flow_x_00001.jpg") == PICTURES["flow_x_00001.jpg"]
        with pytest.raises(DamagedArchive):
            frames.read("flow_y_00001.jpg")


@pytest.mark.parametrize(
    "members",
    ['[["a", 1, 2]]', '[["a", "1"]]', '[["a", -5000]]', '[["a", 2.5]]', "[3]", "7", "null"],
)
def test_an_index_that_says_something_else_is_damage(members: str, tmp_path: Path) -> None:
    """Whatever stands in the place of names and sizes: one error, and never another."""
    path = tmp_path / "clip.flow.tar"
    with TarWriter(path) as writer:
        writer.add("_flow.json", f'{{"members": {members}}}'.encode())
        writer.add("flow_x_00001.jpg", PICTURES[NAMES[0]])
    with pytest.raises(DamagedArchive, match="does not say"):
        PackedFrames(path)


def test_an_index_too_deep_to_read_is_none(tmp_path: Path) -> None:
    """The pictures are found by their headers then."""
    path = tmp_path / "clip.flow.tar"
    with TarWriter(path) as writer:
        writer.add("_flow.json", b"[" * 50_000)
        writer.add(NAMES[0], PICTURES[NAMES[0]])
    with PackedFrames(path) as frames:
        assert frames.read(NAMES[0]) == PICTURES[NAMES[0]]
        assert frames.index == {}


def test_an_index_longer_than_its_file_is_damage(tmp_path: Path) -> None:
    """Its eight GiB are not asked of the memory."""
    path = tmp_path / "clip.flow.tar"
    with TarWriter(path) as writer:
        writer.add("_flow.json", b"{}")
    data = bytearray(path.read_bytes())
    data[124:135] = b"7" * 11
    data[148:154] = b"%06o" % (sum(data[:148]) + 8 * ord(" ") + sum(data[156:512]))
    path.write_bytes(data)
    with pytest.raises(DamagedArchive, match=r"ends before|damaged"):
        PackedFrames(path)


@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no program tar")
def test_the_program_tar_reads_it(tmp_path: Path) -> None:
    """`tar` unpacks the archive without a complaint."""
    archive, out = pack(tmp_path, "tar"), tmp_path / "out"
    out.mkdir()
    done = subprocess.run(
        ["tar", "-xf", str(archive), "-C", str(out)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert {name: (out / name).read_bytes() for name in NAMES} == PICTURES


def test_equal_pictures_give_equal_bytes(tmp_path: Path) -> None:
    """Nothing but names and contents is in an archive."""
    for packing in FORMS:
        both = []
        for folder in (tmp_path / f"one {packing}", tmp_path / f"two {packing}"):
            folder.mkdir()
            both.append(pack(folder, packing).read_bytes())
        assert both[0] == both[1]


def test_forked_spawned_and_threaded_workers_share_a_reader(archive: Path) -> None:
    """A reader survives fork and pickling, and threads read at once without mixing anything up."""
    frames = PackedFrames(archive)
    with PackedFrames(archive) as other:
        assert other.read(NAMES[0]) == PICTURES[NAMES[0]]
    wrong: list[str] = []

    def read_all() -> None:
        for _ in range(50):
            wrong.extend(name for name in NAMES if frames.read(name) != PICTURES[name])

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    copy = pickle.loads(pickle.dumps(frames))
    frames.close()
    assert copy.read(NAMES[-1]) == PICTURES[NAMES[-1]]
    files = PictureFiles(open_archives=1)
    path = f"{archive}/{NAMES[1]}"
    assert files.get(path) == PICTURES[NAMES[1]]
    again = pickle.loads(pickle.dumps(files))
    assert again.get(path) == PICTURES[NAMES[1]]
    copy.close()


def test_a_forked_child_reads(archive: Path) -> None:
    """A child that inherits the reader reads the same bytes, as a loader's workers do."""
    code = (
        "import hashlib, os, sys\n"
        "from kinetics_assets.readers import PackedFrames\n"
        "assert not {'dagster', 'pyarrow', 'numpy'} & sys.modules.keys()\n"
        "frames = PackedFrames(sys.argv[1])\n"
        "data = [frames.read(name) for name in frames]\n"
        "if os.fork() == 0:\n"
        "    os._exit([frames.read(name) for name in frames] != data)\n"
        "_, status = os.wait()\n"
        "assert [frames.read(name) for name in frames] == data\n"
        "print(os.waitstatus_to_exitcode(status), hashlib.sha256(b''.join(data)).hexdigest())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(archive)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    ordered = [PICTURES[name] for name in PackedFrames(archive)]
    assert done.stdout.split() == ["0", hashlib.sha256(b"".join(ordered)).hexdigest()]


def test_archives_of_other_tools(tmp_path: Path) -> None:
    """A tar or stored zip without our index is read by its headers; a compressed one is refused."""
    loose = tmp_path / "loose"
    loose.mkdir()
    for name, data in PICTURES.items():
        (loose / name).write_bytes(data)
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for name in NAMES:
            tar.add(loose / name, name)
    for kind, method in (("b", zipfile.ZIP_STORED), ("c", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(tmp_path / f"{kind}.zip", "w", method) as packed:
            for name in NAMES:
                packed.write(loose / name, name)
    for path in (tmp_path / "a.tar", tmp_path / "b.zip"):
        with PackedFrames(path) as frames:
            assert {name: frames.read(name) for name in frames} == PICTURES
            assert frames.index == {}
    with pytest.raises(DamagedArchive, match="compressed"):
        PackedFrames(tmp_path / "c.zip")


def members_of(archive: Path) -> dict[str, bytes]:
    """Return the members of an archive of ours, the index among them."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            return {info.filename: packed.read(info) for info in packed.infolist()}
    with tarfile.open(archive, "r:") as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr] # all are files


def write_again(path: Path, members: dict[str, bytes], *, extra: bytes = b"") -> None:
    """Write an archive as another tool would, with `extra` in the headers of a zip."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for name, data in members.items():
                info = zipfile.ZipInfo(name)
                info.extra = extra
                packed.writestr(info, data)
        return
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size, header.mtime = len(data), 1_700_000_000
            tar.addfile(header, io.BytesIO(data))


@pytest.mark.parametrize("first", [["_flow.json"], ["_flow.json", *NAMES[::-1]], [NAMES[3]]])
def test_our_archives_packed_again_by_other_tools(archive: Path, first: list[str]) -> None:
    """Another order, longer headers, the index anywhere: every picture is found, and no other.

    Cause: places were reckoned from the sizes in the index, as our own writer puts members. Beside
    Info-ZIP's times the first picture came back with them in front and its end cut, as if good.
    """
    members = members_of(archive)
    order = dict.fromkeys([*first, *members])
    write_again(archive, {n: members[n] for n in order}, extra=b"UT\x05\x00\x03\x00\xf1\x53\x65")
    with PackedFrames(archive) as frames:
        assert {name: frames.read(name) for name in NAMES} == PICTURES
        assert {name: frames.read(name) for name in frames} == PICTURES
        assert frames.index["count"] == PAIRS


def test_a_folder_packed_as_it_is_keeps_plain_names(tmp_path: Path) -> None:
    """``tar -C folder -cf clip.tar .`` writes ``./`` in front of each name."""
    archive = pack(tmp_path, "tar")
    members = members_of(archive)
    write_again(archive, {f"./{name}": data for name, data in members.items()})
    with PackedFrames(archive) as frames:
        assert {name: frames.read(name) for name in frames} == PICTURES
        assert frames.index["count"] == PAIRS


def test_an_index_before_compressed_pictures_is_not_believed(tmp_path: Path) -> None:
    """What a tool has compressed is refused as such, and never taken for a picture."""
    archive = pack(tmp_path, "zip")
    members = members_of(archive)
    with zipfile.ZipFile(archive, "w") as packed:
        for name, data in members.items():
            method = zipfile.ZIP_DEFLATED if name in NAMES else zipfile.ZIP_STORED
            packed.writestr(name, data, method)
    with pytest.raises(DamagedArchive, match="compressed"), PackedFrames(archive) as frames:
        frames.read(frames.names[0])


def test_damage_is_an_error(archive: Path, tmp_path: Path) -> None:
    """A cut archive, one whose members lie elsewhere, and any other file are refused by name."""
    data = archive.read_bytes()
    cut = tmp_path / f"cut{archive.suffix}"
    with PackedFrames(archive) as frames:
        last = frames.span(frames.names[-1])
    cut.write_bytes(data[: last.data + last.size_bytes - 1])
    with pytest.raises(DamagedArchive, match="cut"):
        PackedFrames(cut)
    moved = tmp_path / f"moved{archive.suffix}"
    moved.write_bytes(data.replace(b"flow_y_00003.jpg", b"flow_y_00007.jpg"))
    other = data.replace(b"flow_y_00003.jpg", b"flow_y_00007.jpg")
    moved.write_bytes(other.replace(b"flow_y_00007.jpg", b"flow_y_00003.jpg", 1))
    with PackedFrames(moved) as frames, pytest.raises(DamagedArchive, match="flow_y_00003"):
        frames.read("flow_y_00003.jpg")
    (tmp_path / "text.tar").write_text("no archive")
    with pytest.raises(DamagedArchive, match="neither"):
        PackedFrames(tmp_path / "text.tar")


def test_loose_and_packed_paths_look_alike(archive: Path) -> None:
    """One object reads both: a file by its path, a member by the archive's path and its name."""
    files = PictureFiles()
    loose = archive.with_name("img_00001.jpg")
    loose.write_bytes(b"loose")
    assert files.get(loose) == b"loose"
    assert files.get(archive / NAMES[2]) == PICTURES[NAMES[2]]
    assert split_path(f"a/b.tar/{NAMES[0]}") == ("a/b.tar", NAMES[0])
    assert split_path("a/b/c.jpg") == ("", "a/b/c.jpg")
    with pytest.raises(FileNotFoundError):
        files.get(archive / "img_00001.jpg")
    with pytest.raises(FileNotFoundError):
        files.get(archive.with_name("nothing.tar") / NAMES[0])


@pytest.mark.parametrize("name", ["", "n" * 101])
def test_names_that_no_ustar_header_holds_are_refused(tmp_path: Path, name: str) -> None:
    """A tar is written whole or not at all, never with a cut name."""
    with TarWriter(tmp_path / "a.tar") as writer, pytest.raises(ValueError, match="ustar"):
        writer.add(name, b"")

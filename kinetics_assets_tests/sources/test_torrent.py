"""Clips from a real torrent: a seeder on loopback, our source as its only other peer."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import (
    BadArchive,
    ClipError,
    DiskFull,
    EmptyFile,
    NetworkDown,
    NotAtSource,
    OverLimit,
    SettingsError,
    SourcePaused,
    ToolMissing,
)
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.settings import AnnotationSettings, Limits, Settings, SourceSettings
from kinetics_assets.core.stages import Stage
from kinetics_assets.sources import torrent, torrent_child, torrent_session
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.torrent import TorrentSource, torrent_source
from kinetics_assets.sources.torrent_session import TorrentOptions
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets.verify import verify_dataset
from kinetics_assets.verify.tree import tree_digest
from kinetics_assets_tests.handmade import build
from kinetics_assets_tests.processes import until
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.swarms import PIECE_BYTES, Seeder, bytes_on_disk, lt, noise, put_files

LABEL = "massaging person's head"
FOLDER = "massaging_person's_head"
CLIPS = tuple(ClipId(f"-{number}AAAAAAAAA", number, number + 10) for number in range(4))
FILES = {
    f"train_256/{FOLDER}/{CLIPS[0].name}.mp4": noise(50_000, seed=1),
    f"train_256/{FOLDER}/{CLIPS[1].name}.mkv": noise(50_001, seed=2),
    f"train_256/{FOLDER}/{CLIPS[2].youtube_id}.webm": noise(50_002, seed=3),
    f"train_256/abseiling/{CLIPS[2].youtube_id}.mp4": noise(50_003, seed=4),
    f"val_256/{FOLDER}/{CLIPS[0].name}.mp4": noise(50_004, seed=5),
    "train_256/zumba/zzzzzzzzzzz_000000_000010.mp4": noise(2_000_000, seed=6),
    f"train_256/{FOLDER}/{CLIPS[3].name}.mp4": b"",
    "readme.txt": b"about",
}
"""Files of the torrent; one large, which nobody wants."""


@pytest.fixture
def seeder(tmp_path: Path) -> Iterator[Seeder]:
    """A seeder of `FILES`."""
    with Seeder(put_files(tmp_path / "seeder" / "k400", FILES)) as running:
        yield running


def _source(root: Path, swarm: Seeder, *, link: str = "", **changes: object) -> TorrentSource:
    """Return the source of a dataset under `root`, with settings changed."""
    settings = replace(SourceSettings(max_wait_seconds=15), **changes)  # type: ignore[arg-type]  # named by the caller
    return TorrentSource(
        link or swarm.magnet,
        Layout(root, "kinetics400", ""),
        Split.TRAIN,
        settings,
        only_loopback=True,
        peers=(swarm.peer,),
    )


def _fetch(source: TorrentSource, clip: ClipId, scratch: Path) -> Found | ClipError:
    """Return the answer for one clip."""
    folder = scratch / f"{clip.name}-{time.monotonic_ns()}"
    folder.mkdir()
    return source.fetch([clip], label=LABEL, scratch=folder)[clip]


def _got(source: TorrentSource, clip: ClipId, scratch: Path) -> bytes:
    """Return the bytes of a clip that is found."""
    answer = _fetch(source, clip, scratch)
    assert isinstance(answer, Found), answer
    return answer.path.read_bytes()


def _process(source: TorrentSource) -> int:
    """Return the id of the torrent process."""
    assert source._client is not None
    return source._client._process.pid


@pytest.mark.parametrize("is_magnet", [True, False])
def test_only_wanted_files_are_fetched(tmp_path: Path, seeder: Seeder, *, is_magnet: bool) -> None:
    """By magnet link or torrent file: the clip arrives byte for byte, its neighbours do not."""
    source = _source(tmp_path, seeder, link="" if is_magnet else str(seeder.torrent))
    answer = _fetch(source, CLIPS[0], tmp_path)
    assert isinstance(answer, Found)
    name = f"train_256/{FOLDER}/{CLIPS[0].name}.mp4"
    assert answer.path.read_bytes() == FILES[name]
    assert (answer.is_whole_video, answer.is_ours) == (False, True)
    assert answer.address.endswith(f"k400/{name}")
    content = bytes_on_disk(source.folder / "content")
    assert [path for path in content if not path.startswith(".")] == [f"k400/{name}"]
    assert len(FILES[name]) <= seeder.given_bytes <= len(FILES[name]) + 3 * PIECE_BYTES
    source.close()
    left = {".lock", "metadata"} if is_magnet else {".lock"}
    assert bytes_on_disk(source.folder).keys() == left
    assert answer.path.read_bytes() == FILES[name]


def test_names_decide_what_is_taken(tmp_path: Path, seeder: Seeder) -> None:
    """One's own split and class, any container, bare ids, and nothing for what is not there."""
    source = _source(tmp_path, seeder)
    assert _got(source, CLIPS[1], tmp_path) == FILES[f"train_256/{FOLDER}/{CLIPS[1].name}.mkv"]
    bare = _fetch(source, CLIPS[2], tmp_path)
    assert isinstance(bare, Found)
    assert bare.is_whole_video is None
    assert bare.path.suffix == ".webm"
    assert isinstance(_fetch(source, CLIPS[3], tmp_path), EmptyFile)
    absent = _fetch(source, ClipId("nnnnnnnnnnn", 0, 10), tmp_path)
    assert isinstance(absent, NotAtSource)
    small = _source(tmp_path, seeder, max_source_bytes=50_000)
    assert isinstance(_fetch(small, CLIPS[1], tmp_path), OverLimit)
    source.close()
    small.close()


def test_a_torrent_of_a_single_file_works(tmp_path: Path) -> None:
    """Its name is the clip's; there is no folder."""
    clip = CLIPS[0]
    content = put_files(tmp_path / "s", {f"{clip.name}.mp4": noise(40_000)}) / f"{clip.name}.mp4"
    with Seeder(content) as swarm:
        source = _source(tmp_path, swarm)
        assert _got(source, clip, tmp_path) == noise(40_000)
        source.close()


def test_the_list_of_files_is_asked_of_the_swarm_once(tmp_path: Path, seeder: Seeder) -> None:
    """After the first step a magnet link needs no peer to say what is not in the torrent."""
    first = _source(tmp_path, seeder)
    assert isinstance(_fetch(first, CLIPS[3], tmp_path), EmptyFile)
    first.close()
    alone = _source(tmp_path, seeder, max_wait_seconds=0.1)
    alone.peers, alone.torrent = (), f"magnet:?xt=urn:btih:{seeder.info_hash}"
    assert isinstance(_fetch(alone, ClipId("nnnnnnnnnnn", 0, 10), tmp_path), NotAtSource)
    alone.close()


def test_a_bad_piece_is_not_accepted(tmp_path: Path, seeder: Seeder) -> None:
    """A peer whose bytes are not those of the torrent gives nothing, and no clip is blamed."""
    path = seeder.content / "train_256" / FOLDER / f"{CLIPS[0].name}.mp4"
    path.write_bytes(noise(50_000, seed=99))
    source = _source(tmp_path, seeder, max_wait_seconds=1.5)
    with pytest.raises(NetworkDown):
        _fetch(source, CLIPS[0], tmp_path)
    assert seeder.given_bytes >= PIECE_BYTES
    source.close()


def test_without_a_swarm_no_clip_is_blamed(tmp_path: Path, seeder: Seeder) -> None:
    """Nobody tells what is in it, or nobody gives it: said in words, and no other step waits."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        peer = f"127.0.0.1:{closed.getsockname()[1]}"
    for link in (f"magnet:?xt=urn:btih:{seeder.info_hash}", str(seeder.torrent)):
        source = _source(tmp_path, seeder, link=link, max_wait_seconds=0.5)
        source.peers = (peer,)
        with pytest.raises(NetworkDown, match=r"within 0\.5 seconds"):
            _fetch(source, CLIPS[0], tmp_path)
        with pytest.raises(SourcePaused, match=r"within 0\.5 seconds"):
            _fetch(_source(tmp_path, seeder, link=link), CLIPS[1], tmp_path)
        source.close()


_STEP = """
import sys
from pathlib import Path
from kinetics_assets.core.clips import Split, parse_clip_name
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import SourceSettings
from kinetics_assets.sources.torrent import TorrentSource
root, link, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
source = TorrentSource(
    link, Layout(root, "kinetics400", ""), Split.TRAIN, SourceSettings(), only_loopback=True
)
source._started()
print(source._client._process.pid, flush=True)
source.fetch([parse_clip_name(name)], label="", scratch=root)
"""


def test_a_killed_step_is_gone_on_with(tmp_path: Path) -> None:
    """After a SIGKILL its torrent process is gone too, and what had come is not fetched again."""
    clip, size = CLIPS[0], 3_000_000
    content = put_files(tmp_path / "s" / "t", {f"{clip.name}.mp4": noise(size), "b.mp4": b"b"})
    with Seeder(content, upload_bytes=1_500_000) as swarm:
        argv = [sys.executable, "-c", _STEP, str(tmp_path), swarm.magnet, clip.name]
        step = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert step.stdout is not None
        child = Path("/proc") / step.stdout.readline().decode().strip()
        until(lambda: swarm.given_bytes > size // 2, "half of the clip")
        step.kill()
        step.communicate()
        until(lambda: not child.exists(), "the end of the torrent process")
        given = swarm.given_bytes
        second = _source(tmp_path, swarm)
        assert _got(second, clip, tmp_path) == noise(size)
        assert swarm.given_bytes - given < size * 3 // 4
        second.close()


def test_a_crash_of_the_process_costs_the_source_only(tmp_path: Path, seeder: Seeder) -> None:
    """What waits for it gets a fault with words; no clip is blamed."""
    source = _source(tmp_path, seeder)
    _got(source, CLIPS[0], tmp_path)
    os.kill(_process(source), signal.SIGSEGV)
    with pytest.raises(ToolMissing, match="status -11"):
        _fetch(source, CLIPS[1], tmp_path)
    source.close()


def test_the_process_dies_with_its_source(tmp_path: Path, seeder: Seeder) -> None:
    """A step that fails leaves no process behind, though nobody closed the source."""
    source = _source(tmp_path, seeder)
    _got(source, CLIPS[0], tmp_path)
    process = Path("/proc") / str(_process(source))
    assert process.exists()
    del source
    assert not process.exists()


def test_steps_take_turns(tmp_path: Path, seeder: Seeder) -> None:
    """A step that fetches nothing for a while lets the next one at the torrent, and comes back."""
    first, second = _source(tmp_path, seeder), _source(tmp_path, seeder)
    first.idle_seconds = second.idle_seconds = 0.3
    for source, clip in ((first, CLIPS[0]), (second, CLIPS[1]), (first, CLIPS[2])):
        assert isinstance(_fetch(source, clip, tmp_path), Found)
    first.close()
    second.close()


def test_a_step_waits_for_another(tmp_path: Path, seeder: Seeder) -> None:
    """Two steps that want the same torrent at once both get their clips."""
    first, second = _source(tmp_path, seeder), _source(tmp_path, seeder)
    first.idle_seconds = 3600
    assert _got(first, CLIPS[0], tmp_path)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_got, second, CLIPS[1], tmp_path)
        until(lambda: second._client is not None and second._client._open, "the second request")
        holder = first.folder / ".lock"
        assert holder.read_text(encoding="ascii") == str(_process(first))
        assert not waiting.done()
        first.close()
        assert waiting.result() == FILES[f"train_256/{FOLDER}/{CLIPS[1].name}.mkv"]
        assert holder.read_text(encoding="ascii") == str(_process(second))
    second.close()


@pytest.mark.parametrize(("ratio", "minutes"), [(1.0, 0.02), (0.0, 5.0), (1.0, 0.0)])
def test_giving_back_ends(tmp_path: Path, seeder: Seeder, ratio: float, minutes: float) -> None:
    """With nobody to give to, a step ends when its minutes are over; at once without a ratio."""
    source = _source(tmp_path, seeder, torrent_seed_ratio=ratio, torrent_seed_minutes=minutes)
    _got(source, CLIPS[0], tmp_path)
    process = Path("/proc") / str(_process(source))
    source.close()
    assert not process.exists()


def test_giving_back_ends_at_the_ratio(tmp_path: Path, seeder: Seeder) -> None:
    """Another peer gets what was taken, and the step ends long before its minutes are over."""
    source = _source(tmp_path, seeder, torrent_seed_ratio=0.5, torrent_seed_minutes=60)
    _got(source, CLIPS[0], tmp_path)
    assert source._client is not None
    process = source._client._process
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(source.close)
        other = _source(tmp_path / "other", seeder)
        other.peers, other.torrent = (_listening(process.pid),), str(seeder.torrent)
        (tmp_path / "other").mkdir()
        given = seeder.given_bytes
        assert _got(other, CLIPS[0], tmp_path) == FILES[f"train_256/{FOLDER}/{CLIPS[0].name}.mp4"]
        ending.result()
        other.close()
    assert seeder.given_bytes == given


def _listening(pid: int) -> str:
    """Return the address at which a process listens on loopback."""
    sockets = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    for line in Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
            assert fields[1].startswith("0100007F")
            return f"127.0.0.1:{int(fields[1].rpartition(':')[2], 16)}"
    raise AssertionError("it does not listen")


def test_an_archive_is_taken_once(tmp_path: Path) -> None:
    """What is to be given back counts each file once, however many clips are in it.

    With each clip of an archive its bytes were counted again, so that no ratio was ever reached.
    """
    content = tmp_path / "s" / "t" / "train"
    content.mkdir(parents=True)
    _archive(tmp_path / "a.tar", {f"{clip.name}.mp4": noise(30_000) for clip in CLIPS})
    (tmp_path / "a.tar").rename(content / f"{FOLDER}.tar")
    with Seeder(content.parent) as swarm:
        options = TorrentOptions(str(swarm.torrent), peers=(swarm.peer,), only_loopback=True)
        step = torrent_child._Step(
            options,
            tmp_path,
            patience_seconds=15,
            most_bytes=10**9,
            seed_ratio=1,
            idle_seconds=15,
        )
        names = [clip.name for clip in CLIPS]
        asked = {"clips": names, "label": LABEL, "split": "train", "scratch": str(tmp_path)}
        for request in range(2):
            step.ask({"request": request} | asked)
        assert len(step.waiting) == 2 * len(CLIPS)
        assert step.taken_bytes == (content / f"{FOLDER}.tar").stat().st_size
        step.clear()


def _archive(path: Path, files: dict[str, bytes]) -> None:
    """Write a gzipped tar archive."""
    folder = put_files(path.parent / f"{path.name}.d", files)
    with tarfile.open(path, "w:gz") as archive:
        for name in files:
            archive.add(folder / name, arcname=name)


def test_archives_of_a_class_are_opened_and_mixed_ones_left(tmp_path: Path) -> None:
    """An archive named like the class is fetched; of others none is, and the row says so."""
    content = tmp_path / "s" / "t"
    (content / "train").mkdir(parents=True)
    files = {f"{CLIPS[0].name}.mp4": noise(20_000, seed=1), "other.txt": b"x"}
    _archive(tmp_path / "a.tar.gz", files)
    (tmp_path / "a.tar.gz").rename(content / "train" / f"{FOLDER}.tar.gz")
    (content / "train" / "abseiling.tar").write_bytes(noise(70_000, seed=2))
    (content / "part_0.zip").write_bytes(noise(90_000, seed=3))
    with Seeder(content) as swarm:
        source = _source(tmp_path, swarm)
        assert _got(source, CLIPS[0], tmp_path) == noise(20_000, seed=1)
        assert isinstance(_fetch(source, CLIPS[1], tmp_path), NotAtSource)
        fetched = swarm.given_bytes
        answer = source.fetch([CLIPS[0]], label="zumba", scratch=tmp_path)[CLIPS[0]]
        assert isinstance(answer, NotAtSource)
        assert "3 archives of which no name tells this class" in answer.message
        assert swarm.given_bytes == fetched
        broken = source.fetch([CLIPS[0]], label="abseiling", scratch=tmp_path)[CLIPS[0]]
        assert isinstance(broken, BadArchive)
        source.close()
        assert bytes_on_disk(source.folder).keys() == {".lock", "metadata"}


def _settings(root: Path, **sources: object) -> Settings:
    """Return settings whose only source is a torrent."""
    return Settings(
        root=root,
        dataset="kinetics400",
        annotations=AnnotationSettings(source=str(root / "lists")),
        sources=SourceSettings(order=("torrent",), **sources),  # type: ignore[arg-type]  # named by the caller
        limits=Limits(min_free_bytes=0, workers=1),
    )


def test_a_class_is_filled_from_a_torrent(tmp_path: Path) -> None:
    """End to end: clips are in their folder, the manifest says where from, nothing else is left."""
    clips = [replace(clip, start_seconds=0, end_seconds=2) for clip in CLIPS[:3]]
    files = {}
    for number, clip in enumerate(clips):
        suffix = ".mkv" if number == 1 else ".mp4"
        container = "matroska" if number == 1 else "mp4"
        made = media.plain(tmp_path / f"{number}{suffix}", frames=50, container=container)
        files[f"train/{LABEL}/{clip.name}{suffix}"] = made.read_bytes()
    del files[f"train/{LABEL}/{clips[2].name}.mp4"]
    lines = "".join(f"{LABEL},{clip.youtube_id},0,2,train\n" for clip in clips)
    header = "label,youtube_id,time_start,time_end,split\n"
    root = tmp_path / "root"
    put_files(
        root / "lists",
        {
            "train.csv": (header + lines).encode(),
            "val.csv": f"{header}zumba,zzzzzzzzzzz,0,2,val\n".encode(),
        },
    )
    with Seeder(put_files(tmp_path / "seeder" / "k400", files)) as swarm:
        settings = _settings(root, torrent_file=swarm.magnet, loopback_hosts=(swarm.peer,))
        run_annotations(settings)
        report = run_stage(Stage.VIDEOS, ClassOrder(settings, Split.TRAIN, LABEL))
    rows = {row.clip: row for row in report.rows}
    assert [rows[clip].status for clip in clips] == [Status.OK, Status.OK, Status.PENDING]
    assert {rows[clip].source for clip in clips[:2]} == {"torrent"}
    assert rows[clips[1]].path.endswith(".mkv")
    assert "no file for" in rows[clips[2]].reason_text
    layout = Layout.of(settings)
    assert len(list(layout.class_folder(Split.TRAIN, Stage.VIDEOS, LABEL).iterdir())) == 2
    assert bytes_on_disk(layout.torrents).keys() == {
        f"{swarm.info_hash}/.lock",
        f"{swarm.info_hash}/metadata",
    }


def test_published_torrents_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """400 and 700 have one, the others none; without libtorrent there is no such source."""
    for dataset in ("kinetics400", "kinetics700"):
        source = torrent_source(replace(_settings(tmp_path), dataset=dataset), Split.VAL)
        assert source is not None
        assert torrent.INFO_HASHES[dataset] in source.torrent
        assert not source.only_loopback
        assert source.state_of(CLIPS[0]) == torrent.INFO_HASHES[dataset]
    for dataset in ("kinetics600", "kinetics700_2020", "demo"):
        assert torrent_source(replace(_settings(tmp_path), dataset=dataset), Split.VAL) is None
    monkeypatch.setattr(torrent, "find_spec", lambda _: None)
    assert torrent_source(_settings(tmp_path), Split.VAL) is None


def test_a_wrong_torrent_is_refused(tmp_path: Path) -> None:
    """No such file, a peer on this machine that no setting allows, a file that is no torrent."""
    with pytest.raises(SettingsError, match="no file"):
        torrent_source(_settings(tmp_path, torrent_file="gone.torrent"), Split.VAL)
    link = f"magnet:?xt=urn:btih:{'a' * 40}&x.pe=127.0.0.1:4000"
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:4000"):
        torrent_source(_settings(tmp_path, torrent_file=link), Split.VAL)
    with pytest.raises(SettingsError, match="without an info hash") as caught:
        torrent_source(_settings(tmp_path, torrent_file="magnet:?tr=http://t/SECRET"), Split.VAL)
    assert "SECRET" not in str(caught.value)
    (tmp_path / "bad.torrent").write_bytes(b"no torrent")
    source = torrent_source(_settings(tmp_path, torrent_file="bad.torrent"), Split.VAL)
    assert source is not None
    with pytest.raises(NetworkDown, match="cannot be used"):
        _fetch(source, CLIPS[0], tmp_path)
    source.close()


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("magnet:?tr=http://t/SECRET/announce&xt=urn:btih:zz&tr=http://u/SECRET", "torrent zz "),
        ("magnet:?tr=http://t/SECRET/announce", "without an info hash"),
        ("magnet:?xt=urn:btih:SECRET/http://t/", "without an info hash"),
    ],
)
def test_no_error_shows_a_passkey(link: str, shown: str) -> None:
    """A link that cannot be used is shown by its hash; a tracker's address names its user."""
    with pytest.raises(NetworkDown, match=shown) as caught:
        torrent_session.load(link)
    assert "SECRET" not in str(caught.value)


def test_a_full_disk_is_no_verdict(tmp_path: Path, seeder: Seeder) -> None:
    """When the torrent cannot be written the step fails, and says for want of what."""
    source = _source(tmp_path, seeder)
    source._started()
    resource.prlimit(_process(source), resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    with pytest.raises(DiskFull):
        _fetch(source, CLIPS[0], tmp_path)
    source.close()


def test_a_damaged_list_of_files_is_asked_for_again(tmp_path: Path, seeder: Seeder) -> None:
    """What an earlier step kept of a magnet link is checked before it is believed."""
    source = _source(tmp_path, seeder)
    source.folder.mkdir(parents=True)
    (source.folder / "metadata").write_bytes(b"d4:infod6:lengthi1")
    (source.folder / "resume").write_bytes(b"nothing")
    assert isinstance(_fetch(source, CLIPS[0], tmp_path), Found)
    source.close()


def test_public_peers_only_and_no_open_doors() -> None:
    """A real torrent talks to no private address, and opens nothing in a router."""
    options = TorrentOptions("magnet:")
    refused = torrent_session._ip_filter(options, lt)
    for address in ("127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.169.254", "::1", "fd00::1"):
        assert refused.access(address) == 1
    for address in ("8.8.8.8", "130.1.2.3", "2600::1"):
        assert refused.access(address) == 0
    here = torrent_session._ip_filter(replace(options, only_loopback=True), lt)
    assert (here.access("127.0.0.1"), here.access("8.8.8.8"), here.access("2600::1")) == (0, 1, 1)
    chosen = torrent_session._settings(options, lt)
    assert not any(chosen[f"enable_{name}"] for name in ("lsd", "upnp", "natpmp"))
    known = lt.default_settings()
    assert chosen.keys() - {"alert_mask"} <= known.keys()


def test_the_limits_are_those_of_the_settings(tmp_path: Path, seeder: Seeder) -> None:
    """KiB a second, no limit for 0; a swarm on this machine is looked for nowhere else."""
    options = TorrentOptions(
        str(seeder.torrent), only_loopback=True, upload_kib=3, gives_back=False
    )
    session = torrent_session.TorrentSession(options, tmp_path)
    assert session._torrent.upload_limit() == 3 * 1024
    assert session._torrent.download_limit() == 0
    chosen = session._session.get_settings()
    assert chosen["unchoke_slots_limit"] == 0
    assert not chosen["enable_dht"]
    assert not session._torrent.trackers()
    session.close()


def test_what_is_being_fetched_is_no_part_of_the_dataset(tmp_path: Path) -> None:
    """Neither the tree digest nor `verify` sees the torrent's folder."""
    layout = build(replace(_settings(tmp_path), dataset="demo")).layout
    before = tree_digest(layout)
    put_files(layout.torrents / "a", {"content/x.mp4": b"half", "resume": b"r"})
    assert tree_digest(layout) == before
    report = verify_dataset(replace(_settings(tmp_path), dataset="demo"))
    assert not report.findings
    assert not [note for note in report.notes if layout.torrents.name in note]


def test_hostile_names_stay_inside(tmp_path: Path) -> None:
    """Names that climb, begin at the root or are links are made harmless or left out."""
    name = f"{CLIPS[0].name}.mp4".encode()
    files = [
        {b"length": 10, b"path": [b"..", b"..", name]},
        {b"length": 10, b"path": [b"/etc", b"a/b", name]},
        {b"length": 0, b"path": [b"l", name], b"attr": b"l", b"symlink path": [b"..", b"etc"]},
    ]
    pieces = hashlib.sha1(bytes(20)).digest()
    info = {b"name": b"../up", b"piece length": PIECE_BYTES, b"pieces": pieces, b"files": files}
    path = tmp_path / "hostile.torrent"
    path.write_bytes(lt.bencode({b"info": info}))
    listed = torrent_session.files_of(torrent_session.load(str(path)).ti)
    assert len(listed) == 2
    base = tmp_path / "content"
    for file in listed:
        assert Path(os.path.normpath(base / file.path)).is_relative_to(base)
        assert ".." not in Path(file.path).parts

"""Clips from a real torrent: a seeder on loopback, our source as its only other peer."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import (
    BadArchive,
    ClipError,
    EmptyFile,
    NetworkDown,
    NetworkFailure,
    NotAtSource,
    OverLimit,
    SettingsError,
    SourcePaused,
)
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.settings import AnnotationSettings, Limits, Settings, SourceSettings
from kinetics_assets.core.stages import Stage
from kinetics_assets.sources import torrent
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.torrent import torrent_source
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets.verify import verify_dataset
from kinetics_assets.verify.tree import tree_digest
from kinetics_assets_tests.handmade import build
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.swarms import (
    CLIPS,
    FILES,
    FOLDER,
    LABEL,
    PIECE_BYTES,
    Seeder,
    answer_of,
    bytes_of,
    bytes_on_disk,
    noise,
    put_archive,
    put_files,
    torrent_of,
)


@pytest.mark.parametrize("is_magnet", [True, False])
def test_only_wanted_files_are_fetched(tmp_path: Path, seeder: Seeder, *, is_magnet: bool) -> None:
    """By magnet link or torrent file: the clip arrives byte for byte, its neighbours do not."""
    source = torrent_of(tmp_path, seeder, link="" if is_magnet else str(seeder.torrent))
    answer = answer_of(source, CLIPS[0], tmp_path)
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
    source = torrent_of(tmp_path, seeder)
    assert bytes_of(source, CLIPS[1], tmp_path) == FILES[f"train_256/{FOLDER}/{CLIPS[1].name}.mkv"]
    bare = answer_of(source, CLIPS[2], tmp_path)
    assert isinstance(bare, Found)
    assert bare.is_whole_video is None
    assert bare.path.suffix == ".webm"
    assert isinstance(answer_of(source, CLIPS[3], tmp_path), EmptyFile)
    absent = answer_of(source, ClipId("nnnnnnnnnnn", 0, 10), tmp_path)
    assert isinstance(absent, NotAtSource)
    small = torrent_of(tmp_path, seeder, max_source_bytes=50_000)
    assert isinstance(answer_of(small, CLIPS[1], tmp_path), OverLimit)
    source.close()
    small.close()


def test_a_torrent_of_a_single_file_works(tmp_path: Path) -> None:
    """Its name is the clip's; there is no folder."""
    clip = CLIPS[0]
    content = put_files(tmp_path / "s", {f"{clip.name}.mp4": noise(40_000)}) / f"{clip.name}.mp4"
    with Seeder(content) as swarm:
        source = torrent_of(tmp_path, swarm)
        assert bytes_of(source, clip, tmp_path) == noise(40_000)
        source.close()


def test_the_list_of_files_is_asked_of_the_swarm_once(tmp_path: Path, seeder: Seeder) -> None:
    """After the first step a magnet link needs no peer to say what is not in the torrent."""
    first = torrent_of(tmp_path, seeder)
    assert isinstance(answer_of(first, CLIPS[3], tmp_path), EmptyFile)
    first.close()
    alone = torrent_of(tmp_path, seeder)
    alone.peers, alone.torrent = (), f"magnet:?xt=urn:btih:{seeder.info_hash}"
    assert isinstance(answer_of(alone, ClipId("nnnnnnnnnnn", 0, 10), tmp_path), NotAtSource)
    alone.close()


def test_a_bad_piece_is_not_accepted(tmp_path: Path, seeder: Seeder) -> None:
    """A peer whose bytes are not those of the torrent gives nothing, and no clip is blamed."""
    path = seeder.content / "train_256" / FOLDER / f"{CLIPS[0].name}.mp4"
    path.write_bytes(noise(50_000, seed=99))

    def ends(patience_seconds: float) -> ClipError | Found | NetworkDown:
        settings = {"max_wait_seconds": patience_seconds, "pause_minutes": 0}
        source = torrent_of(tmp_path, seeder, link=str(seeder.torrent), **settings)
        try:
            return answer_of(source, CLIPS[0], tmp_path)
        except NetworkDown as fault:
            return fault
        finally:
            source.close()

    for patience_seconds in (2.0, 16.0, 64.0):  # until the machine is fast enough to be given one
        end = ends(patience_seconds)
        assert isinstance(end, NetworkDown | NetworkFailure)
        if seeder.given_bytes >= PIECE_BYTES and isinstance(end, NetworkDown):
            return
    pytest.fail("no piece was given")


def test_without_a_swarm_no_clip_is_blamed(tmp_path: Path, seeder: Seeder) -> None:
    """Nobody tells what is in it, or nobody gives it: said in words, and no other step waits."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        peer = f"127.0.0.1:{closed.getsockname()[1]}"
    for link in (f"magnet:?xt=urn:btih:{seeder.info_hash}", str(seeder.torrent)):
        source = torrent_of(tmp_path, seeder, link=link, max_wait_seconds=0.5)
        source.peers = (peer,)
        with pytest.raises(NetworkDown, match=r"within 0\.5 seconds"):
            answer_of(source, CLIPS[0], tmp_path)
        with pytest.raises(SourcePaused, match=r"within 0\.5 seconds"):
            answer_of(torrent_of(tmp_path, seeder, link=link), CLIPS[1], tmp_path)
        source.close()


def test_archives_of_a_class_are_opened_and_mixed_ones_left(tmp_path: Path) -> None:
    """An archive named like the class is fetched; of others none is, and the row says so."""
    content = tmp_path / "s" / "t"
    (content / "train").mkdir(parents=True)
    files = {f"{CLIPS[0].name}.mp4": noise(20_000, seed=1), "other.txt": b"x"}
    put_archive(tmp_path / "a.tar.gz", files)
    (tmp_path / "a.tar.gz").rename(content / "train" / f"{FOLDER}.tar.gz")
    (content / "train" / "abseiling.tar").write_bytes(noise(70_000, seed=2))
    (content / "part_0.zip").write_bytes(noise(90_000, seed=3))
    with Seeder(content) as swarm:
        source = torrent_of(tmp_path, swarm)
        assert bytes_of(source, CLIPS[0], tmp_path) == noise(20_000, seed=1)
        assert isinstance(answer_of(source, CLIPS[1], tmp_path), NotAtSource)
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
        answer_of(source, CLIPS[0], tmp_path)
    source.close()


def test_a_damaged_list_of_files_is_asked_for_again(tmp_path: Path, seeder: Seeder) -> None:
    """What an earlier step kept of a magnet link is checked before it is believed."""
    source = torrent_of(tmp_path, seeder)
    source.folder.mkdir(parents=True)
    (source.folder / "metadata").write_bytes(b"d4:infod6:lengthi1")
    (source.folder / "resume").write_bytes(b"nothing")
    assert isinstance(answer_of(source, CLIPS[0], tmp_path), Found)
    source.close()


def test_what_is_being_fetched_is_no_part_of_the_dataset(tmp_path: Path) -> None:
    """Neither the tree digest nor `verify` sees the torrent's folder."""
    layout = build(replace(_settings(tmp_path), dataset="demo")).layout
    before = tree_digest(layout)
    put_files(layout.torrents / "a", {"content/x.mp4": b"half", "resume": b"r"})
    assert tree_digest(layout) == before
    report = verify_dataset(replace(_settings(tmp_path), dataset="demo"))
    assert not report.findings
    assert not [note for note in report.notes if layout.torrents.name in note]

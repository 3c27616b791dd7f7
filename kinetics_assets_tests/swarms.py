"""A real swarm on loopback: torrents made by the tests, and a seeder that has them."""

from __future__ import annotations

import os
import random
import tarfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import libtorrent

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import ClipError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import SourceSettings
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.torrent import TorrentSource
from kinetics_assets_tests.processes import until

lt: Any = libtorrent  # its types lag behind it
PIECE_BYTES = 16 * 1024


def noise(size: int, *, seed: int = 0) -> bytes:
    """Return `size` bytes that differ from seed to seed."""
    return random.Random(seed).randbytes(size)


def put_files(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files by relative path and return `folder`."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


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


@dataclass
class Seeder:
    """Context manager: a peer on loopback that has a file or folder as a torrent."""

    content: Path
    """File or folder that is the torrent."""
    upload_bytes: int = 0
    """Most bytes a second that it gives, 0 for no limit."""
    torrent: Path = field(init=False)
    """The torrent file."""

    def __enter__(self) -> Self:
        """Make the torrent and begin to seed it."""
        made = lt.create_torrent(
            lt.list_files(str(self.content)), PIECE_BYTES, lt.create_torrent.v1_only
        )
        lt.set_piece_hashes(made, str(self.content.parent))
        self.torrent = self.content.parent / f"{self.content.name}.torrent"
        self.torrent.write_bytes(lt.bencode(made.generate()))
        self._session = lt.session(
            {
                "listen_interfaces": "127.0.0.1:0",
                "enable_dht": False,
                "enable_lsd": False,
                "enable_upnp": False,
                "enable_natpmp": False,
                "allow_multiple_connections_per_ip": True,
            }
        )
        params = lt.load_torrent_file(str(self.torrent))
        params.save_path = str(self.content.parent)
        params.flags = lt.torrent_flags.update_subscribe
        params.upload_limit = self.upload_bytes or -1
        self.handle = self._session.add_torrent(params)
        self.info_hash = str(params.ti.info_hash())
        until(self._session.listen_port, "the seeder to listen")
        until(lambda: self.handle.status().is_seeding, "the seeder to have checked its files")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the swarm."""
        del self.handle, self._session

    @property
    def peer(self) -> str:
        """``127.0.0.1:<port>``."""
        return f"127.0.0.1:{self._session.listen_port()}"

    @property
    def magnet(self) -> str:
        """The magnet link, with the seeder as the peer to begin with."""
        return f"magnet:?xt=urn:btih:{self.info_hash}&x.pe={self.peer}"

    @property
    def given_bytes(self) -> int:
        """Bytes of files that were sent to others."""
        given: int = self.handle.status().total_payload_upload
        return given


def bytes_on_disk(folder: Path) -> dict[str, int]:
    """Return relative path -> bytes of all files below `folder`, hidden ones included."""
    return {
        Path(place, name).relative_to(folder).as_posix(): Path(place, name).stat().st_size
        for place, _, names in os.walk(folder)
        for name in names
    }


def torrent_of(root: Path, swarm: Seeder, *, link: str = "", **changes: object) -> TorrentSource:
    """Return the source of a dataset under `root`, with settings changed."""
    settings = replace(SourceSettings(max_wait_seconds=120), **changes)  # type: ignore[arg-type]  # named by the caller
    return TorrentSource(
        link or swarm.magnet,
        Layout(root, "kinetics400", ""),
        Split.TRAIN,
        settings,
        only_loopback=True,
        peers=(swarm.peer,),
    )


def answer_of(source: TorrentSource, clip: ClipId, scratch: Path) -> Found | ClipError:
    """Return the answer for one clip."""
    folder = scratch / f"{clip.name}-{time.monotonic_ns()}"
    folder.mkdir()
    return source.fetch([clip], label=LABEL, scratch=folder)[clip]


def bytes_of(source: TorrentSource, clip: ClipId, scratch: Path) -> bytes:
    """Return the bytes of a clip that is found."""
    answer = answer_of(source, clip, scratch)
    assert isinstance(answer, Found), answer
    return answer.path.read_bytes()


def put_archive(path: Path, files: dict[str, bytes]) -> None:
    """Write a gzipped tar archive."""
    folder = put_files(path.parent / f"{path.name}.d", files)
    with tarfile.open(path, "w:gz") as archive:
        for name in files:
            archive.add(folder / name, arcname=name)

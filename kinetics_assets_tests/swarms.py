"""A real swarm on loopback: torrents made by the tests, and a seeder that has them."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import libtorrent

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

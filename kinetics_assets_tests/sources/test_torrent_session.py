"""What libtorrent is told, and what of a torrent is believed: no open doors, no way out."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.errors import NetworkDown
from kinetics_assets.sources import torrent_session
from kinetics_assets.sources.torrent_session import TorrentOptions
from kinetics_assets_tests.swarms import CLIPS, PIECE_BYTES, Seeder, lt


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

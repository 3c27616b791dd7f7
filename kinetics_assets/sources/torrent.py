"""The copies of Kinetics-400 and 700 at Academic Torrents, or a torrent of the user's own.

Of a torrent only the files of wanted clips are fetched. What arrives is copied out of the torrent's
folder, since libtorrent may write into its own files again, and that folder is emptied when the
step ends well; after a kill the next step goes on with it.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from threading import Lock
from urllib.parse import parse_qs, urlencode, urlsplit

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import (
    ClipError,
    InternalError,
    NetworkDown,
    SettingsError,
    clip_error,
)
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings, SourceSettings
from kinetics_assets.io.atomic import os_faults, sha256_of
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.torrent_client import TorrentClient
from kinetics_assets.sources.torrent_session import TorrentOptions

INFO_HASHES = {
    "kinetics400": "184d11318372f70018cf9a72ef867e2fb9ce1d26",
    "kinetics700": "49f203189fb69ae96fb40a6d0e129949e1dfec98",
}
"""Dataset -> the torrent that MMAction2 names; both hold clips of 256 pixels on the short side."""
TRACKERS = (
    "https://academictorrents.com/announce.php",
    "udp://tracker.opentrackr.org:1337/announce",
)
_DIGITS = 16


def torrent_source(settings: Settings, split: Split) -> TorrentSource | None:
    """Return the torrent of a dataset as a source; None without libtorrent, or without a torrent.

    Raises:
        SettingsError: `sources.torrent_file` is neither a magnet link nor a file, or a peer that it
            names on this machine is not among `sources.loopback_hosts`.
    """
    sources = settings.sources
    torrent = sources.torrent_file or _published(settings.dataset)
    if not torrent or find_spec("libtorrent") is None:
        return None
    peers = _loopback_peers(torrent, sources)
    if torrent.startswith("magnet:"):
        if not _info_hash(torrent):
            raise SettingsError(
                "sources.torrent_file is a magnet link without an info hash (xt=urn:btih:...).",
                remedy="Give the whole link, or the path of a torrent file.",
            )
    else:
        path = settings.root / Path(torrent).expanduser()
        if not path.is_file():
            raise SettingsError(
                f"sources.torrent_file is {torrent!r}, which is no file.",
                remedy="Give the path of a torrent file, or a magnet link.",
            )
        torrent = str(path)
    return TorrentSource(torrent, Layout.of(settings), split, sources, only_loopback=bool(peers))


@dataclass
class TorrentSource:
    """Clips of one torrent, fetched by a process that is started for the first of them.

    Asking again gives the same bytes: a torrent is known by what it hashes to.
    """

    torrent: str
    """Path of a torrent file, or a magnet link."""
    layout: Layout
    split: Split
    settings: SourceSettings
    only_loopback: bool = False
    """Talk to peers on this machine only."""
    peers: tuple[str, ...] = ()
    """``host:port`` of peers to begin with."""
    idle_seconds: float = 10.0
    """After this long without a clip to fetch, other steps may have the torrent."""
    name: str = "torrent"
    may_heal: bool = False
    _client: TorrentClient | None = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    @cached_property
    def identity(self) -> str:
        """Info hash of a magnet link, or beginning of the sha256 of a torrent file."""
        return _info_hash(self.torrent) or sha256_of(Path(self.torrent))[:_DIGITS]

    @property
    def host(self) -> str:
        """The swarm: when it is silent, all steps on this machine leave it alone for a while."""
        return f"torrent {self.identity}"

    @property
    def folder(self) -> Path:
        """Folder that the torrent is fetched into; shared by all steps of the dataset."""
        return self.layout.torrents / self.identity

    def state_of(self, clip: ClipId) -> str:
        """Return which torrent it is."""
        del clip
        return self.identity

    def is_alive(self) -> bool | None:
        """Return None: that a swarm is silent is told by the fault that ends the step."""
        return None

    def fetch(
        self, clips: Sequence[ClipId], *, label: str, scratch: Path
    ) -> Mapping[ClipId, Found | ClipError]:
        """Return a copy of the torrent's file, or the reason, for each of `clips`.

        Other steps that fetch from the same torrent at the same time are waited for.

        Raises:
            NetworkDown: Nobody has the torrent, or nobody gives anything.
            SourcePaused: That was so a short while ago.
            DiskFull: The torrent cannot be written.
            ToolMissing: The torrent process does not start, or died.
        """
        pace = HostPace(self.host)
        pace.take_turn()
        try:
            answers = self._started().ask(clips, label=label, split=self.split, scratch=scratch)
        except NetworkDown as fault:
            # Else hundreds of classes would each wait for it.
            pace.pause(self.settings.pause_minutes * 60, cause=fault.message)
            raise
        return {clip: self._found(answers[clip.name]) for clip in clips}

    def close(self) -> None:
        """Give back what the settings say, then end the process; to be called when a step ends."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close(seed_seconds=self.settings.torrent_seed_minutes * 60)

    def _started(self) -> TorrentClient:
        """Return the process, started if it is not there."""
        with self._lock:
            if self._client is None:
                folder = self.folder
                with os_faults(f"creating {folder}"):
                    folder.mkdir(parents=True, exist_ok=True)
                settings = self.settings
                self._client = TorrentClient(
                    TorrentOptions(
                        self.torrent,
                        peers=self.peers,
                        only_loopback=self.only_loopback,
                        upload_kib=settings.torrent_upload_kib,
                        download_kib=settings.torrent_download_kib,
                        gives_back=settings.torrent_seed_ratio > 0,
                    ),
                    folder,
                    patience_seconds=settings.max_wait_seconds,
                    most_bytes=settings.max_source_bytes,
                    seed_ratio=settings.torrent_seed_ratio,
                    idle_seconds=self.idle_seconds,
                )
                # A step that fails closes nothing; the process must not outlive its source.
                weakref.finalize(self, self._client.kill)
            return self._client

    def _found(self, answer: dict[str, object]) -> Found | ClipError:
        """Return what one answer of the process says."""
        if "reason" in answer:
            return clip_error(Reason(str(answer["reason"])), str(answer["message"]))
        if "path" not in answer:
            raise InternalError(f"The torrent process answered nonsense: {answer}.")
        return Found(
            Path(str(answer["path"])),
            f"{self.host}: {answer['inside']}",
            is_whole_video=False if answer["is_own"] else None,
            is_ours=True,
        )


def _published(dataset: str) -> str:
    """Return the magnet link of a dataset's published torrent, empty if it has none."""
    if dataset not in INFO_HASHES:
        return ""
    trackers = urlencode([("tr", tracker) for tracker in TRACKERS])
    return f"magnet:?xt=urn:btih:{INFO_HASHES[dataset]}&{trackers}"


def _info_hash(torrent: str) -> str:
    """Return the info hash in a magnet link, empty for a file."""
    topics = (
        parse_qs(urlsplit(torrent).query).get("xt", []) if torrent.startswith("magnet:") else []
    )
    return next((t.rpartition(":")[2].lower() for t in topics if t.startswith("urn:btih:")), "")


def _loopback_peers(torrent: str, settings: SourceSettings) -> tuple[str, ...]:
    """Return the peers on this machine that a magnet link names.

    Raises:
        SettingsError: One is not among the hosts that may be reached.
    """
    named = (
        parse_qs(urlsplit(torrent).query).get("x.pe", []) if torrent.startswith("magnet:") else []
    )
    here = tuple(peer for peer in named if _is_loopback(peer))
    for peer in here:
        if peer not in settings.loopback_hosts:
            raise SettingsError(
                f"The magnet link names the peer {peer}, on this machine.",
                remedy="Add it to sources.loopback_hosts, if that is meant.",
            )
    return here


def _is_loopback(peer: str) -> bool:
    """Return whether ``host:port`` is on this machine."""
    host = peer.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

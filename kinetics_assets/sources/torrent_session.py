"""One torrent in one libtorrent session: what it holds, what is wanted of it, what has arrived.

Runs in the torrent process only. Pieces are checked by libtorrent against the hashes of the
torrent; a file counts as here when every piece that it touches was, and was written.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from kinetics_assets.core.errors import EnvironmentFault, NetworkDown, environment_fault
from kinetics_assets.io.atomic import write_file
from kinetics_assets.sources.torrent_names import TorrentFile

PRIVATE_RANGES = (
    *(("0.0.0.0", "0.255.255.255"), ("10.0.0.0", "10.255.255.255")),  # noqa: S104 - refused
    *(("100.64.0.0", "100.127.255.255"), ("127.0.0.0", "127.255.255.255")),
    *(("169.254.0.0", "169.254.255.255"), ("172.16.0.0", "172.31.255.255")),
    *(("192.168.0.0", "192.168.255.255"), ("224.0.0.0", "255.255.255.255")),
    *(("::", "::ffff:ffff:ffff"), ("64:ff9b::", "64:ff9b::ffff:ffff")),
    *(("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),),
    *(("fe80::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),),
)
"""First and last addresses that no public peer has."""
_EVERYTHING = (
    ("0.0.0.0", "255.255.255.255"),  # noqa: S104 - refused
    ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
)
_LOOPBACK = ("127.0.0.0", "127.255.255.255")
_HASH = re.compile(r"[?&]xt=urn:btih:([0-9A-Za-z]{1,64})(?:&|$)", re.ASCII)
_WANTED, _UNWANTED = 4, 0
_MOST_METADATA_BYTES = 256 * 2**20
_MOST_METADATA_TOKENS = 50_000_000
_LIMITS = {
    "max_buffer_size": _MOST_METADATA_BYTES,
    "max_decode_tokens": _MOST_METADATA_TOKENS,
    "max_pieces": 2**21,
}


@dataclass(frozen=True, slots=True)
class TorrentOptions:
    """How a torrent is fetched."""

    torrent: str
    """Path of a torrent file, or a magnet link."""
    peers: tuple[str, ...] = ()
    """``host:port`` of peers to begin with."""
    only_loopback: bool = False
    """Talk to peers on this machine only: no DHT, no tracker, no other address."""
    upload_kib: int = 0
    """Per second, 0 for no limit."""
    download_kib: int = 0
    """Per second, 0 for no limit."""
    gives_back: bool = True
    """Whether other peers get anything."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a torrent stands."""

    has_names: bool
    """Whether the list of its files is known."""
    is_checking: bool
    """Whether what is on the disk is being hashed."""
    peers: int
    """Peers connected now."""
    good_bytes: int
    """Received in this session, without what was found to be bad."""
    given_bytes: int
    """Sent to others, in all."""


class TorrentSession:
    """A running session; end it with `close`."""

    def __init__(self, options: TorrentOptions, folder: Path) -> None:
        """Start the session; what an earlier one left in `folder` is gone on with.

        Raises:
            NetworkDown: The torrent file or magnet link cannot be used.
        """
        lt = self._lt = _libtorrent()
        self._folder = folder
        self._info: Any = None
        self._unflushed: set[int] = set()
        self._flushing: set[int] = set()
        self._is_saving = False
        params = self._params(options)
        self._session: Any = lt.session(_settings(options, lt))
        self._session.set_ip_filter(_ip_filter(options, lt))
        self._reading_end, self._writing_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._session.set_alert_fd(self._writing_end)
        self._torrent: Any = self._session.add_torrent(params)

    def fileno(self) -> int:
        """Return a file that becomes readable when `news` has something."""
        return self._reading_end

    def progress(self) -> Progress:
        """Return where the torrent stands."""
        status, states = self._torrent.status(), self._lt.torrent_status.states
        return Progress(
            has_names=status.has_metadata,
            is_checking=status.state in {states.checking_files, states.checking_resume_data},
            peers=status.num_peers,
            good_bytes=status.total_payload_download - status.total_failed_bytes,
            given_bytes=status.all_time_upload,
        )

    def files(self) -> list[TorrentFile]:
        """Return the plain files of the torrent; its list of files is kept for later sessions."""
        info = self._layout_source()
        write_file(self._folder / "metadata", b"d4:info" + info.info_section() + b"e")
        return files_of(info)

    def want(self, index: int) -> None:
        """Fetch a file."""
        self._torrent.file_priority(index, _WANTED)
        if self._is_here(index):
            self._unflushed.add(index)
            self._flush()

    def leave(self, index: int) -> None:
        """Fetch a file no more."""
        self._torrent.file_priority(index, _UNWANTED)
        self._unflushed.discard(index)
        self._flushing.discard(index)

    def news(self, wanted: Sequence[int]) -> dict[int, Path]:
        """Return those of the files `wanted` that have arrived since, complete on the disk.

        Raises:
            DiskFull: The torrent cannot be written.
            NetworkDown: The torrent stopped for another reason.
        """
        with suppress(BlockingIOError):
            os.read(self._reading_end, 4096)
        arrived: set[int] = set()
        for alert in self._session.pop_alerts():
            kind = type(alert).__name__
            if kind == "cache_flushed_alert":
                arrived |= self._flushing
                self._flushing = set()
            elif kind == "save_resume_data_alert":
                self._is_saving = False
                write_file(self._folder / "resume", self._lt.write_resume_data_buf(alert.params))
            elif kind == "save_resume_data_failed_alert":
                self._is_saving = False
            elif kind in {"torrent_error_alert", "file_error_alert"}:
                raise _fault(alert)
        self._unflushed |= {
            index
            for index in wanted
            if index not in arrived | self._flushing and self._is_here(index)
        }
        self._flush()
        return {index: self.path(index) for index in arrived if index in wanted}

    def path(self, index: int) -> Path:
        """Return where a file is on the disk."""
        return self._folder / "content" / self._layout_source().layout().file_path(index)

    def save(self) -> None:
        """Ask for what a later session needs to go on; it is written when `news` hears of it."""
        if not self._is_saving and self._torrent.status().has_metadata:
            self._is_saving = True
            flags = self._lt.save_resume_flags_t
            self._torrent.save_resume_data(flags.flush_disk_cache)

    @property
    def is_saving(self) -> bool:
        """Whether what `save` asked for is still to be written."""
        return self._is_saving

    def close(self) -> None:
        """Stop; nothing is written afterwards."""
        self._session.pause()
        self._session.set_alert_fd(-1)
        del self._torrent, self._session
        os.close(self._reading_end)
        os.close(self._writing_end)

    def _layout_source(self) -> Any:  # noqa: ANN401 - libtorrent has no types
        """Return the torrent's list of files and hashes, which must be known."""
        if self._info is None:
            self._info = self._torrent.torrent_file()
        return self._info

    def _is_here(self, index: int) -> bool:
        """Return whether all pieces of a file are there and good."""
        layout = self._layout_source().layout()
        size = layout.file_size(index)
        if not size:
            return True
        first = layout.file_offset(index) // layout.piece_length()
        last = (layout.file_offset(index) + size - 1) // layout.piece_length()
        return all(self._torrent.have_piece(piece) for piece in range(first, last + 1))

    def _flush(self) -> None:
        """Have everything written that has arrived; a piece counts as here before it is."""
        if self._unflushed and not self._flushing:
            self._flushing, self._unflushed = self._unflushed, set()
            self._torrent.flush_cache()

    def _params(self, options: TorrentOptions) -> Any:  # noqa: ANN401 - libtorrent has no types
        """Return what the session is to add: the torrent, with what an earlier session knew."""
        lt = self._lt
        params = load(options.torrent)
        params.ti = params.ti or known_files(options, self._folder)
        resume = self._folder / "resume"
        if resume.is_file():
            with suppress(RuntimeError):
                before = lt.read_resume_data(resume.read_bytes())
                if before.info_hashes == params.info_hashes:
                    before.ti, before.trackers = params.ti, params.trackers
                    before.peers, before.piece_priorities = params.peers, []
                    params = before
        content = self._folder / "content"
        content.mkdir(exist_ok=True)
        params.save_path = str(content)
        # An address in a torrent is no address that the settings allow.
        params.url_seeds, params.http_seeds = [], []
        flags = lt.torrent_flags
        params.flags = flags.default_dont_download | flags.apply_ip_filter | flags.update_subscribe
        params.flags |= flags.disable_lsd
        if options.only_loopback:
            params.trackers = []
            params.flags |= flags.disable_dht | flags.disable_pex
        count = params.ti.num_files() if params.ti is not None else 0
        params.file_priorities = [_UNWANTED] * count
        # Limits of the session would leave out peers on this machine.
        params.upload_limit = options.upload_kib * 1024 or -1
        params.download_limit = options.download_kib * 1024 or -1
        params.peers = [*params.peers, *(_address(peer) for peer in options.peers)]
        return params


def known_files(options: TorrentOptions, folder: Path) -> Any:  # noqa: ANN401 - no types
    """Return the list of files and hashes of a torrent as far as no peer is needed, else None.

    Raises:
        NetworkDown: The torrent file or magnet link cannot be used.
    """
    params, kept = load(options.torrent), folder / "metadata"
    if params.ti is None and kept.is_file():
        with suppress(NetworkDown):  # damaged: the swarm is asked again
            before = load(str(kept))
            return before.ti if before.info_hashes == params.info_hashes else None
    return params.ti


def load(torrent: str) -> Any:  # noqa: ANN401 - libtorrent has no types
    """Return the parameters of a torrent file or a magnet link; `ti` is None where unknown.

    Raises:
        NetworkDown: It cannot be used.
    """
    lt = _libtorrent()
    try:
        if torrent.startswith("magnet:"):
            return lt.parse_magnet_uri(torrent)
        return lt.load_torrent_file(torrent, _LIMITS)
    except (RuntimeError, OSError) as error:
        raise NetworkDown(
            f"The torrent {_shown(torrent)} cannot be used: {error}.",
            remedy="Look at sources.torrent_file; it is a torrent file or a magnet link.",
        ) from error


def _shown(torrent: str) -> str:
    """Return a torrent for a message; of a link the hash only, its trackers may hold a passkey."""
    if not torrent.startswith("magnet:"):
        return torrent
    found = _HASH.search(torrent)
    return found[1] if found else "of a magnet link without an info hash"


def files_of(info: Any) -> list[TorrentFile]:  # noqa: ANN401 - libtorrent has no types
    """Return the plain files that a torrent lists, without padding and links."""
    layout = info.layout()
    other = layout.flag_pad_file | layout.flag_symlink
    return [
        TorrentFile(index, layout.file_path(index).replace(os.sep, "/"), layout.file_size(index))
        for index in range(layout.num_files())
        if not layout.file_flags(index) & other
    ]


def _libtorrent() -> Any:  # noqa: ANN401 - its types lag behind it
    """Return the library, which is an optional extra."""
    return import_module("libtorrent")


def _settings(options: TorrentOptions, lt: Any) -> dict[str, Any]:  # noqa: ANN401 - no types
    """Return libtorrent's settings: no port is opened in a router, no neighbour is looked for."""
    category = lt.alert_category
    return {
        "alert_mask": category.error | category.storage | category.status | category.file_progress,
        "listen_interfaces": "127.0.0.1:0" if options.only_loopback else "0.0.0.0:0,[::]:0",
        "enable_dht": not options.only_loopback,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_outgoing_utp": not options.only_loopback,
        "allow_multiple_connections_per_ip": options.only_loopback,
        # Between two clips nothing is wanted, and peers with everything hang up on us.
        "close_redundant_connections": False,
        "min_reconnect_time": 1 if options.only_loopback else 10,
        "unchoke_slots_limit": 8 if options.gives_back else 0,
        # Kinetics-700 lists 650,000 files, more than the defaults let through.
        "max_metadata_size": _MOST_METADATA_BYTES,
        "metadata_token_limit": _MOST_METADATA_TOKENS,
    }


def _ip_filter(options: TorrentOptions, lt: Any) -> Any:  # noqa: ANN401 - libtorrent has no types
    """Return which addresses no connection may go to: private ones, or all but this machine."""
    refused = lt.ip_filter()
    for first, last in _EVERYTHING if options.only_loopback else PRIVATE_RANGES:
        refused.add_rule(first, last, 1)
    if options.only_loopback:
        refused.add_rule(*_LOOPBACK, 0)
    return refused


def _address(peer: str) -> tuple[str, int]:
    """Return host and port of ``host:port``."""
    host, _, port = peer.rpartition(":")
    return host, int(port)


def _fault(alert: Any) -> EnvironmentFault:  # noqa: ANN401 - libtorrent has no types
    """Return what an error of the torrent means."""
    number = alert.error.value()
    if number in errno.errorcode:
        fault = environment_fault(
            OSError(number, alert.error.message()), doing="writing the torrent"
        )
        if fault:
            return fault
    return NetworkDown(f"The torrent stopped: {alert.message()}.")

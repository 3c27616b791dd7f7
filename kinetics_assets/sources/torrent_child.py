"""The process that talks to the swarm: reads requests, answers with files, dies with its parent.

Started by `kinetics_assets.sources.torrent_client`; requests and answers are lines of JSON.

- in: the `TorrentOptions` and where to work; then ``{"request", "clips", "label", "split",
  "scratch"}``; at the end ``{"close": seconds to go on giving}``.
- out: for each clip ``{"request", "clip", "path", "inside"}`` or ``{"request", "clip", "reason",
  "message"}``; for all that is open, at the end, ``{"fault", "message"}``.

A session is held, under the lock of the torrent, only while something is being fetched: other steps
take their turn in between.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinetics_assets.core.clips import ClipId, Split, parse_clip_name
from kinetics_assets.core.errors import (
    ArchiveRefused,
    BadArchive,
    ClipError,
    EmptyFile,
    EnvironmentFault,
    InternalError,
    KineticsError,
    Locked,
    NetworkDown,
    NetworkFailure,
    NotAtSource,
    OverLimit,
)
from kinetics_assets.io.archives import ArchiveLimits, unpack
from kinetics_assets.io.atomic import os_faults, sweep_temps, temp_path
from kinetics_assets.io.locks import exclusive
from kinetics_assets.io.processes import die_with_parent
from kinetics_assets.sources.torrent_names import TorrentFile, TorrentNames
from kinetics_assets.sources.torrent_session import (
    Progress,
    TorrentOptions,
    TorrentSession,
    files_of,
    known_files,
)

_TURN_SECONDS = 0.25
_SAVE_SECONDS = 30.0
_SAVING_SECONDS = 20.0
_REMEDY = "Try again later; `sources.torrent_file` may name another copy, or leave torrents out."


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A clip that is waited for."""

    request: int
    clip: ClipId
    file: TorrentFile
    is_archive: bool
    scratch: Path


@dataclass
class _Step:
    """What one step wants of one torrent."""

    options: TorrentOptions
    folder: Path
    patience_seconds: float
    most_bytes: int
    seed_ratio: float
    idle_seconds: float
    waiting: list[_Wanted] = field(default_factory=list)
    names: TorrentNames | None = None
    session: TorrentSession | None = None
    taken_bytes: int = 0
    """Of the files that were wanted of the torrent, each once."""
    _taken: set[int] = field(default_factory=set)
    """Files that are counted in it: many clips may want one archive."""
    _held: ExitStack = field(default_factory=ExitStack)
    _unpacked: dict[int, dict[str, Path]] = field(default_factory=dict)
    _folders: list[Path] = field(default_factory=list)
    _good_bytes: int = 0
    _moved_at: float = 0.0
    _stalls: int = 0
    _saved_at: float = 0.0

    def open(self) -> TorrentSession:
        """Return the session, after waiting for other steps on this machine if there is none."""
        if self.session is None:
            lock = self.folder / ".lock"
            self._held.enter_context(exclusive(lock, wait=True, what="the torrent"))
            sweep_temps(self.folder)
            self.session = TorrentSession(self.options, self.folder)
            self._good_bytes = 0
            self._moved_at = self._saved_at = time.monotonic()
        return self.session

    def release(self) -> None:
        """Let other steps have the torrent; what was fetched stays for them and for later."""
        if self.session is None:
            return
        self.session.save()
        until = time.monotonic() + _SAVING_SECONDS
        while self.session.is_saving and time.monotonic() < until:
            time.sleep(0.02)
            self.session.news(())
        self.session.close()
        self.session = None
        self._held.close()

    def ask(self, message: dict[str, Any]) -> None:
        """Answer a request, or put its clips among those that are waited for."""
        names = self._names()
        request, label, split = message["request"], message["label"], Split(message["split"])
        for name in message["clips"]:
            clip = parse_clip_name(name)
            if clip is None:
                raise InternalError(f"{name} is no clip.")
            file, is_archive = names.clip(clip, label=label, split=split), False
            if file is None and (archives := names.archive(label=label, split=split)):
                file, is_archive = archives[0], True
            error = self._objection(clip, file, is_archive=is_archive)
            if error is not None or file is None:
                _answer(request, clip, error)
                continue
            if not self.waiting:
                self._moved_at = time.monotonic()
            wanted = _Wanted(request, clip, file, is_archive, Path(message["scratch"]))
            self.waiting.append(wanted)
            if file.index not in self._taken:
                self._taken.add(file.index)
                self.taken_bytes += file.size_bytes
            if file.index in self._unpacked:
                self._hand_out(file.index, Path())
            else:
                self.open().want(file.index)

    def turn(self) -> None:
        """Hand out what has arrived; raise or answer when nothing moves for too long.

        Raises:
            NetworkDown: There is no swarm, or it gives nothing.
            DiskFull: The torrent cannot be written.
        """
        if self.session is None:
            return
        for index, path in self.session.news(sorted({w.file.index for w in self.waiting})).items():
            self._hand_out(index, path)
        progress, now = self.session.progress(), time.monotonic()
        if progress.good_bytes > self._good_bytes or progress.is_checking:
            self._good_bytes, self._moved_at, self._stalls = progress.good_bytes, now, 0
        if now - self._saved_at > _SAVE_SECONDS:
            self._saved_at = now
            self.session.save()
        if self.waiting and now - self._moved_at > self.patience_seconds:
            self._stalled(progress)
            self._moved_at = now
        elif not self.waiting and now - self._moved_at > self.idle_seconds:
            self.release()

    def give_back(self, seconds: float) -> None:
        """Go on giving until others got `seed_ratio` times what came, or `seconds` have passed."""
        if not (seconds and self.seed_ratio and self.taken_bytes):
            return
        session, until = self.open(), time.monotonic() + seconds
        while time.monotonic() < until:
            session.news(())
            if session.progress().given_bytes >= self.seed_ratio * self.taken_bytes:
                return
            time.sleep(_TURN_SECONDS)

    def clear(self) -> None:
        """Delete what was fetched, all of it handed out, unless another step is at it."""
        if self.session is not None:
            self.session.close()
            self.session = None
            self._held.close()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        if not self.taken_bytes:
            return
        with suppress(Locked), exclusive(self.folder / ".lock", wait=False):
            (self.folder / "resume").unlink(missing_ok=True)
            shutil.rmtree(self.folder / "content", ignore_errors=True)

    def _names(self) -> TorrentNames:
        """Return what the torrent holds, from the swarm if it is not known yet."""
        if self.names is None:
            info = known_files(self.options, self.folder)
            if info is not None:
                self.names = TorrentNames.of(files_of(info))
                return self.names
            session, until = self.open(), time.monotonic() + self.patience_seconds
            while not (progress := session.progress()).has_names:
                session.news(())
                if time.monotonic() > until:
                    raise NetworkDown(
                        f"Nobody told what is in the torrent within {self.patience_seconds:g}"
                        f" seconds ({progress.peers} peers).",
                        remedy=_REMEDY,
                    )
                time.sleep(0.05)
            self.names = TorrentNames.of(session.files())
        return self.names

    def _objection(
        self, clip: ClipId, file: TorrentFile | None, *, is_archive: bool
    ) -> ClipError | None:
        """Return why a clip is not fetched, None if it can be."""
        archives = self.names.archives if self.names else 0
        if file is None and archives:
            return NotAtSource(
                f"The torrent has no file for {clip.name}, and {archives} archives of which no name"
                " tells this class; to look inside, all of them would have to be fetched."
            )
        if file is None:
            return NotAtSource(f"The torrent has no file for {clip.name}.")
        if not file.size_bytes:
            return EmptyFile(f"{file.path} has no bytes in the torrent.")
        most = ArchiveLimits().max_bytes if is_archive else self.most_bytes
        if file.size_bytes > most:
            return OverLimit(f"{file.path} has {file.size_bytes} bytes in the torrent.")
        return None

    def _stalled(self, progress: Progress) -> None:
        """Answer or raise that nothing came for as long as a step waits."""
        waited = f"within {self.patience_seconds:g} seconds"
        if not progress.peers:
            raise NetworkDown(f"No peer of the torrent was there {waited}.", remedy=_REMEDY)
        self._stalls += 1
        if self._stalls > 1:
            raise NetworkDown(
                f"{progress.peers} peers of the torrent gave nothing {waited}, twice.",
                remedy=_REMEDY,
            )
        words = f"{progress.peers} peers of the torrent gave no further piece of"
        for wanted in self.waiting:
            _answer(
                wanted.request,
                wanted.clip,
                NetworkFailure(f"{words} {wanted.file.path} {waited}."),
            )
            if self.session is not None:
                self.session.leave(wanted.file.index)
        self.waiting.clear()

    def _hand_out(self, index: int, path: Path) -> None:
        """Answer those who wait for a file that has arrived."""
        of_file = [wanted for wanted in self.waiting if wanted.file.index == index]
        self.waiting = [wanted for wanted in self.waiting if wanted.file.index != index]
        for wanted in of_file:
            try:
                self._copy(wanted, path)
            except ClipError as error:
                _answer(wanted.request, wanted.clip, error)
        self._moved_at = time.monotonic()

    def _copy(self, wanted: _Wanted, path: Path) -> None:
        """Answer one who waits with a copy: libtorrent may write into its own file again.

        Raises:
            ClipError: The archive is no good, or does not have the clip.
        """
        inside = wanted.file.path
        if wanted.is_archive:
            members = self._members(wanted.file, path)
            stems = (wanted.clip.name, wanted.clip.youtube_id)
            path = next((members[stem] for stem in stems if stem in members), Path())
            if path == Path():
                raise NotAtSource(f"The torrent's {inside} has no file for {wanted.clip.name}.")
            inside = f"{inside}:{path.name}"
        if path.is_symlink() or not path.is_file():
            raise NotAtSource(f"The torrent's {inside} is no plain file.")
        target = wanted.scratch / f"{wanted.clip.name}{path.suffix.lower()}"
        with os_faults(f"writing {target}"):
            shutil.copyfile(path, target)
        is_own = path.stem == wanted.clip.name
        _answer(wanted.request, wanted.clip, path=str(target), inside=inside, is_own=is_own)

    def _members(self, file: TorrentFile, path: Path) -> dict[str, Path]:
        """Return stem -> unpacked file of a class's archive, unpacked once.

        Raises:
            BadArchive: It is damaged, or breaks the rules.
        """
        if file.index not in self._unpacked:
            folder = temp_path(self.folder / "unpacked", stage="torrent")
            folder.mkdir()
            self._folders.append(folder)
            try:
                members = unpack(path, folder)
            except ArchiveRefused as error:
                raise BadArchive(error.message) from error
            self._unpacked[file.index] = {member.path.stem: member.path for member in members}
        return self._unpacked[file.index]


def _answer(
    request: int, clip: ClipId, error: ClipError | None = None, **found: str | bool
) -> None:
    """Print the answer for one clip."""
    failure = {"reason": error.reason.value, "message": error.message} if error else {}
    _print({"request": request, "clip": clip.name} | failure | found)


def _print(message: dict[str, Any]) -> None:
    """Print one message."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _lines(timeout: float | None, buffer: bytearray, session: TorrentSession | None) -> list[bytes]:
    """Return the requests that arrive before `timeout`, or before the torrent has news.

    Raises:
        EOFError: The parent is gone, or done.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        if session is not None:
            selector.register(session, selectors.EVENT_READ)
        ready = {key.fd for key, _ in selector.select(timeout)}
    if 0 in ready:
        part = os.read(0, 1 << 16)
        if not part:
            raise EOFError
        buffer += part
    *lines, rest = bytes(buffer).split(b"\n")
    buffer[:] = rest
    return lines


def _first_line() -> bytes:
    """Return the configuration, reading nothing beyond it."""
    line = b""
    while not line.endswith(b"\n") and (part := os.read(0, 1)):
        line += part
    return line


def main() -> None:
    """Serve until told to close."""
    die_with_parent(int(sys.argv[1]))
    config = json.loads(_first_line())
    options = config["options"]
    step = _Step(
        TorrentOptions(**options | {"peers": tuple(options["peers"])}),
        Path(config["folder"]),
        patience_seconds=config["patience_seconds"],
        most_bytes=config["most_bytes"],
        seed_ratio=config["seed_ratio"],
        idle_seconds=config["idle_seconds"],
    )
    buffer = bytearray()
    try:
        while True:
            timeout = None if step.session is None else _TURN_SECONDS
            for line in _lines(timeout, buffer, step.session):
                message = json.loads(line)
                if "close" in message:
                    step.give_back(message["close"])
                    step.clear()
                    return
                step.ask(message)
            step.turn()
    except EOFError:
        step.release()
    except KineticsError as error:
        reason = error.reason.value if isinstance(error, EnvironmentFault) else ""
        with suppress(KineticsError):
            step.release()
        _print({"fault": reason, "message": error.message, "remedy": error.remedy})


if __name__ == "__main__":
    main()

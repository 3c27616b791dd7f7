"""The torrent process as seen from a step: started when first asked, killed with the step.

libtorrent reads what strangers send, in C++. It therefore runs in a process of its own, which has
no variables of the environment, and whose crash costs the step one source.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.errors import (
    DiskFailing,
    DiskFull,
    EnvironmentFault,
    NetworkDown,
    PermissionDenied,
    ToolMissing,
)
from kinetics_assets.io.spawn import spawn
from kinetics_assets.sources.torrent_session import TorrentOptions

Answer = dict[str, Any]
_END_SECONDS = 60.0
_MOST_WORDS = 300


class TorrentClient:
    """One torrent process; safe to ask from several threads."""

    def __init__(
        self,
        options: TorrentOptions,
        folder: Path,
        *,
        patience_seconds: float,
        most_bytes: int,
        seed_ratio: float,
        idle_seconds: float,
    ) -> None:
        """Start the process.

        Args:
            options: What to fetch, and how.
            folder: Existing folder that the torrent is fetched into.
            patience_seconds: Longest time without a peer, or without a byte.
            most_bytes: Largest file that is fetched.
            seed_ratio: How much is given for what is taken, when there is time.
            idle_seconds: After this long without anything to fetch other steps have their turn.

        Raises:
            ToolMissing: It cannot be started.
        """
        argv = [sys.executable, "-P", "-m", "kinetics_assets.sources.torrent_child"]
        try:
            self._process = spawn([*argv, str(os.getpid())], env=_environment(), cwd=folder)
        except OSError as error:
            raise ToolMissing(f"The torrent process ({error})", _remedy()) from error
        self._guard = threading.Lock()
        self._numbers = count()
        self._open: dict[int, tuple[Future[dict[str, Answer]], dict[str, Answer], int]] = {}
        self._fault: EnvironmentFault | None = None
        config = {
            "options": asdict(options),
            "folder": str(folder),
            "patience_seconds": patience_seconds,
            "most_bytes": most_bytes,
            "seed_ratio": seed_ratio,
            "idle_seconds": idle_seconds,
        }
        self._send(config)
        self._reader = threading.Thread(target=self._read, name="torrent", daemon=True)
        self._reader.start()

    def ask(
        self, clips: Sequence[ClipId], *, label: str, split: str, scratch: Path
    ) -> dict[str, Answer]:
        """Return clip name -> the process's answer, as soon as all are there.

        Raises:
            EnvironmentFault: There is no swarm, no room, or the process has ended.
        """
        future: Future[dict[str, Answer]] = Future()
        with self._guard:
            if self._fault is not None:
                raise self._fault
            number = next(self._numbers)
            self._open[number] = future, {}, len(clips)
            names = [clip.name for clip in clips]
            request = {"request": number, "clips": names, "label": label, "split": split}
            self._send(request | {"scratch": str(scratch)})
        return future.result()

    def close(self, *, seed_seconds: float) -> None:
        """End the process when it has given back enough, or after `seed_seconds`."""
        with self._guard:
            self._send({"close": seed_seconds})
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seed_seconds + _END_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill the process, if it is there, and reap it."""
        with suppress(ProcessLookupError, PermissionError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if threading.current_thread() is not self._reader:
            self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def _send(self, message: dict[str, Any]) -> None:
        """Send one line; that the process is gone is told by its output."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def _read(self) -> None:
        """Give every answer to who waits for it, until the process ends."""
        fault: EnvironmentFault | None = None
        for line in self._process.stdout or ():
            message = json.loads(line)
            if "fault" in message:
                fault = _fault(message)
                break
            with self._guard:
                future, answers, wanted = self._open[message["request"]]
                answers[message["clip"]] = message
                if len(answers) == wanted:
                    del self._open[message["request"]]
                    future.set_result(answers)
        with self._guard:
            self._fault = fault or self._obituary()
            for future, _, _ in self._open.values():
                future.set_exception(self._fault)
            self._open.clear()

    def _obituary(self) -> EnvironmentFault:
        """Return what to say of a process that ended without a word to us."""
        words = b""
        if self._process.stderr is not None:
            words = self._process.stderr.read() or b""
        last = words.decode(errors="replace").strip().rpartition("\n")[2][:_MOST_WORDS]
        code = self._process.wait()
        return ToolMissing(f"The torrent process (it ended with status {code}: {last})", _remedy())


def _fault(message: dict[str, Any]) -> EnvironmentFault:
    """Return the fault that the process told of."""
    for leaf in (DiskFull, DiskFailing, NetworkDown, PermissionDenied):
        if leaf.reason == message["fault"]:
            return leaf(str(message["message"]), remedy=str(message["remedy"]))
    return ToolMissing(f"The torrent process ({message['message']})", _remedy())


def _remedy() -> str:
    """Return what mends a process that does not work."""
    return "Run `pip install 'kinetics-assets[torrent]'`, or take torrent out of sources.order."


def _environment() -> dict[str, str]:
    """Return the few variables that the process gets."""
    kept = {"LC_ALL": "C.UTF-8", "PATH": os.defpath}
    kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    if "LD_LIBRARY_PATH" in os.environ:
        kept["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return kept

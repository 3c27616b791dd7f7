"""A program that is kept running beside this process and asked many times, in lines of JSON.

It is not trusted to answer: it may crash, hang, or print what it likes on its standard error. When
this process dies, however it dies, the kernel kills it, and until it is dead it keeps the device
that this process leased.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.errors import InternalError, ToolMissing
from kinetics_assets.io import processes
from kinetics_assets.io.confined import clean_text
from kinetics_assets.io.leases import lease_descriptors
from kinetics_assets.io.programs import ProgramEnd
from kinetics_assets.io.spawn import spawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PART_BYTES = 64 * 1024
_MOST_ANSWER_BYTES = 64 * 1024
_MOST_QUESTION_BYTES = 4 * 1024
"""What every pipe takes at once, so that asking never waits."""
_KEPT_BYTES = 8 * 1024
_MOST_PARTS = 64
"""Of what is still unread of its standard error, when it may print without end."""
_REAP_SECONDS = 10.0


class CompanionLostError(Exception):
    """It ended, answered nonsense or did not answer in time; `str` tells, for people."""

    def __init__(self, words: str, *, in_time: bool = True) -> None:
        """Keep what happened, and whether it did before the time was up."""
        super().__init__(words)
        self.in_time = in_time


class Companion:
    """One such program and its pipes; not to be shared between threads.

    It is killed when this object goes away.
    """

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], keep: Sequence[int]) -> None:
        """Start the program.

        Args:
            argv: Absolute path of the program, then its arguments.
            env: Its whole environment.
            keep: Descriptors that it gets besides its standard streams and leases.

        Raises:
            ToolMissing: No process can be started.
        """
        tie = [sys.executable, "-I", "-S", "-B", str(Path(processes.__file__).resolve())]
        try:
            process = spawn(
                [*tie, str(os.getpid()), *argv],
                env=env,
                cwd=Path("/"),
                keep=(*keep, *lease_descriptors()),
            )
        except OSError as error:
            raise ToolMissing(
                f"{argv[0]} ({error})", "Check that this user may start processes (`ulimit -u`)."
            ) from error
        if process.stdin is None or process.stdout is None or process.stderr is None:
            msg = "A program was started without pipes."
            raise InternalError(msg)
        self._process = process
        self._asks, self._answers, self._chats = process.stdin, process.stdout, process.stderr
        os.set_blocking(self._chats.fileno(), False)
        self._heard, self._chatter = b"", b""
        self._end = weakref.finalize(self, _end, process, os.getpid())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, question: Mapping[str, object] | None, *, seconds: float) -> dict[str, Any]:
        """Return its answer to `question`; without one, the next thing that it says.

        Raises:
            CompanionLostError: There is none; it is dead then.
        """
        if not self._end.alive:
            raise CompanionLostError("it was stopped before")
        try:
            if question is not None:
                line = json.dumps(question).encode() + b"\n"
                if len(line) > _MOST_QUESTION_BYTES:
                    msg = f"A question of {len(line)} bytes."
                    raise InternalError(msg)
                with suppress(BrokenPipeError):  # it is dead, as its output will tell
                    os.write(self._asks.fileno(), line)
            answer = json.loads(self._line(time.monotonic() + seconds))
            if isinstance(answer, dict):
                return answer
        except (ValueError, RecursionError):  # the second: too many brackets
            pass
        except BaseException:
            self.end()
            raise
        words = self._last_words()
        self.end()
        raise CompanionLostError(f"it answered nonsense{words}")

    def end(self) -> None:
        """Kill its group and reap it."""
        self._end()

    def _line(self, deadline: float) -> bytes:
        """Return the next line of its output."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            selector.register(self._chats, selectors.EVENT_READ)
            while b"\n" not in self._heard:
                left = deadline - time.monotonic()
                if left <= 0:
                    words = f"it was stopped because its time was up{self._last_words()}"
                    raise CompanionLostError(words, in_time=False)
                for key, _ in selector.select(left):
                    if key.fileobj is self._answers:
                        self._heard += self._read(len(self._heard))
                    elif not self._listen():
                        selector.unregister(self._chats)
        line, _, self._heard = self._heard.partition(b"\n")
        return line

    def _read(self, size_so_far: int) -> bytes:
        """Return the next part of an answer, at least one byte."""
        part = os.read(self._answers.fileno(), _PART_BYTES)
        if not part:
            raise CompanionLostError(self._obituary())
        if size_so_far + len(part) > _MOST_ANSWER_BYTES:
            raise CompanionLostError("it answered with too many bytes")
        return part

    def _listen(self) -> bool:
        """Keep the tail of what it prints; return whether there was something."""
        try:
            part = os.read(self._chats.fileno(), _PART_BYTES)
        except BlockingIOError:
            return False
        self._chatter = (self._chatter + part)[-_KEPT_BYTES:]
        return bool(part)

    def _obituary(self) -> str:
        """Return how it ended; it has closed its output."""
        ended = os.pidfd_open(self._process.pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(ended, selectors.EVENT_READ)
                has_ended = bool(selector.select(_REAP_SECONDS))
        finally:
            os.close(ended)
        words = self._last_words()
        if not has_ended:
            return f"it closed its output{words}"
        self.end()
        return f"it {ProgramEnd(self._process.returncode, '')}{words}"

    def _last_words(self) -> str:
        """Return the last line that it printed, after a colon."""
        for _ in range(_MOST_PARTS):
            if not self._listen():
                break
        lines = self._chatter.decode(errors="replace").strip().splitlines()
        words = clean_text(lines[-1]) if lines else ""
        return f": {words}" if words else ""


def _end(process: subprocess.Popen[bytes], owner_pid: int) -> None:
    """Kill the group of `process`, reap it and close its pipes; a fork of the owner leaves it."""
    if os.getpid() == owner_pid:
        with suppress(ProcessLookupError, PermissionError):
            if process.returncode is None:  # its number is not used anew before it is reaped
                os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # stuck in the driver; init reaps it
            process.wait(_REAP_SECONDS)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()

"""One confined child process: started, asked, watched, killed and reaped."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.errors import (
    DecoderCrashed,
    InternalError,
    OverLimit,
    SandboxUnusable,
)
from kinetics_assets.io import sandbox_child
from kinetics_assets.io.spawn import spawn

if TYPE_CHECKING:
    from kinetics_assets.core.settings import Limits

_START_REMEDY = "Check that this user may start processes (`ulimit -u`, memory), and run again."
_START_SECONDS = 60.0
_REAP_SECONDS = 10.0
_MAX_ANSWER_BYTES = 64 * 1024
_KEPT_CHATTER_BYTES = 8 * 1024
_MAX_MESSAGE_CHARACTERS = 500
_OPEN_FILES = 64
_CPU_CLOCK = 2  # clockid of a process: inverted pid, shifted, plus CPUCLOCK_SCHED
_PACKAGE_FOLDER = str(Path(__file__).resolve().parents[2])


class KilledFromOutsideError(Exception):
    """The child got a SIGKILL that was not ours."""


class ConfinedChild:
    """A running child and its pipes."""

    def __init__(
        self, module: str, limits: Limits, *, writable: tuple[str, ...] | None = None
    ) -> None:
        """Start a child and wait until it has confined itself.

        Raises:
            SandboxUnusable: It does not start.
        """
        self._chatter = b""
        folder = Path(tempfile.mkdtemp(prefix="kinetics-sandbox-"))
        argv = [sys.executable, "-I", "-S", "-B", str(Path(sandbox_child.__file__).resolve())]
        try:
            self._process = spawn(argv, env=_clean_environment(), cwd=folder)
        except OSError as error:
            folder.rmdir()
            raise SandboxUnusable(
                f"The decoding process cannot be started: {error}.",
                remedy=_START_REMEDY,
            ) from error
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        if stdin is None or stdout is None or stderr is None:
            msg = "A child was started without pipes."
            raise InternalError(msg)
        self._stdin, self._stdout, self._stderr = stdin, stdout, stderr
        for pipe in (stdin, stdout, stderr):
            os.set_blocking(pipe.fileno(), False)
        config = {
            "module": module,
            "parent_pid": os.getpid(),
            "sys_path": [*filter(None, sys.path), _PACKAGE_FOLDER],
            "memory_bytes": limits.memory_bytes,
            "file_bytes": limits.max_output_bytes,
            "open_files": _OPEN_FILES,
            "writable": writable,
        }
        try:
            hello = self.ask(json.dumps(config).encode() + b"\n", seconds=_START_SECONDS)
            self.degraded = tuple(clean_text(str(text)) for text in hello["degraded"])
        except BaseException as error:
            self.kill()
            if isinstance(error, Exception):
                raise SandboxUnusable(
                    f"The decoding process does not start: {error}",
                    remedy=_START_REMEDY,
                ) from error
            raise
        finally:
            # the child keeps its folder as long as it lives, but nothing can be made in it
            folder.rmdir()

    @property
    def is_alive(self) -> bool:
        """Whether the child has not ended."""
        return self._process.poll() is None

    def allow_cpu(self, seconds: int) -> None:
        """Let the child use `seconds` of CPU time from now on."""
        pid = self._process.pid
        with contextlib.suppress(OSError):  # it may have died just now; asking it will tell
            used = time.clock_gettime(~pid << 3 | _CPU_CLOCK)
            _, hard = resource.prlimit(pid, resource.RLIMIT_CPU)
            soft = int(used) + 1 + seconds
            if hard != resource.RLIM_INFINITY:
                soft = min(soft, hard)
            resource.prlimit(pid, resource.RLIMIT_CPU, (soft, hard))

    def ask(self, line: bytes, *, seconds: float) -> dict[str, Any]:
        """Return the child's answer to `line`.

        Raises:
            OverLimit: No answer within `seconds`, or the CPU allowance is spent.
            DecoderCrashed: The child died or made no sense.
        """
        answer = self._answer(line, time.monotonic() + seconds)
        if answer is None:
            raise OverLimit(f"No result after {seconds:g} seconds.")
        try:
            parsed = json.loads(answer)
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise DecoderCrashed("The decoding process answered nonsense.")
        return parsed

    def kill(self) -> None:
        """Kill the child's process group and reap it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel; init reaps it
            self._process.wait(_REAP_SECONDS)
        for pipe in (self._stdin, self._stdout, self._stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _answer(self, line: bytes, deadline: float) -> bytes | None:
        """Return the line that answers `line`, None if there is none at `deadline`."""
        unsent, answer = memoryview(line), b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdin, selectors.EVENT_WRITE)
            selector.register(self._stdout, selectors.EVENT_READ)
            selector.register(self._stderr, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                for key, _ in selector.select(left):
                    done = False
                    if key.fileobj is self._stdin:
                        unsent = unsent[self._write(unsent) :]
                        done = not unsent
                    elif key.fileobj is self._stderr:
                        done = not self._listen()
                    else:
                        answer += self._read(len(answer))
                    if done:
                        selector.unregister(key.fileobj)
        if unsent:
            raise DecoderCrashed("The decoding process answered before it was asked.")
        return answer

    def _read(self, size_so_far: int) -> bytes:
        """Return the next part of an answer, at least one byte."""
        part = os.read(self._stdout.fileno(), _MAX_ANSWER_BYTES)
        if not part:
            raise self._obituary()
        if size_so_far + len(part) > _MAX_ANSWER_BYTES:
            raise DecoderCrashed("The decoding process answered with too many bytes.")
        return part

    def _write(self, data: memoryview) -> int:
        """Write what the pipe takes of `data` and return the number of bytes done with."""
        try:
            return os.write(self._stdin.fileno(), data)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            return len(data)  # it is dead, as its output will tell

    def _listen(self) -> bool:
        """Keep the tail of what the child prints; return whether there may be more."""
        try:
            part = os.read(self._stderr.fileno(), _MAX_ANSWER_BYTES)
        except BlockingIOError:
            return True
        self._chatter = (self._chatter + part)[-_KEPT_CHATTER_BYTES:]
        return bool(part)

    def _words(self) -> str:
        """Return the last line that the child printed."""
        while self._chatter_is_waiting() and self._listen():
            pass
        lines = self._chatter.decode(errors="replace").strip().splitlines()
        return clean_text(lines[-1]) if lines else ""

    def _chatter_is_waiting(self) -> bool:
        """Return whether the child's standard error has something to read."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._stderr, selectors.EVENT_READ)
            return bool(selector.select(0))

    def _obituary(self) -> Exception:
        """Return the error that tells how the child died; it has closed its output."""
        try:
            code = self._process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            return DecoderCrashed("The decoding process closed its output.")
        if code == -signal.SIGXCPU:
            return OverLimit("More CPU time than one clip may take.")
        if code == -signal.SIGKILL:
            return KilledFromOutsideError()
        words = self._words()
        said = f": {words}" if words else ""
        if code < 0:
            name = signal.Signals(-code).name
            return DecoderCrashed(f"The decoding process died of {name}{said}")
        return DecoderCrashed(f"The decoding process ended with status {code}{said}")


def clean_text(text: str) -> str:
    """Return `text` of a child as one short printable line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line[:_MAX_MESSAGE_CHARACTERS]


def _clean_environment() -> dict[str, str]:
    """Return the few variables that a child gets; the loader's path is needed to start at all."""
    environment = {
        "LC_ALL": "C.UTF-8",
        "PATH": "/nonexistent",
        "HOME": "/nonexistent",
        # one thread per child, and no thread may be made
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return environment

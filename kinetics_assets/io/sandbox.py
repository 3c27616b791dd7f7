"""A confined child process that works on hostile bytes, reused for many calls.

The parent trusts the child with nothing: it reads one JSON line of limited length per call, watches
the wall clock, raises the CPU allowance call by call, and kills and reaps the whole process group on
any overrun. What the child did wrong comes back as the error of the one clip; what the machine did
wrong (no space, no permission, no tool) as an environment fault. The next call starts a new child.

What a child may not do: open sockets, start programs, processes, tracers or mounts, signal others,
raise its own limits (see `kinetics_assets.io.seccomp`); outlive its parent; fill memory, disk or
time without bound. What it may still do is read and write files as this user.
"""

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
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from kinetics_assets.core.errors import (
    DecoderCrashed,
    InternalError,
    OverLimit,
    SandboxUnusable,
    ToolMissing,
    clip_error,
    environment_fault,
)
from kinetics_assets.core.reasons import Kind, Reason
from kinetics_assets.io import sandbox_child
from kinetics_assets.io.spawn import spawn

if TYPE_CHECKING:
    from types import TracebackType

    from kinetics_assets.core.settings import Limits

_START_SECONDS = 60.0
_REAP_SECONDS = 10.0
_MAX_ANSWER_BYTES = 64 * 1024
_KEPT_CHATTER_BYTES = 8 * 1024
_MAX_MESSAGE_CHARACTERS = 500
_OPEN_FILES = 64
_CPU_CLOCK = 2  # clockid of a process: inverted pid, shifted, plus CPUCLOCK_SCHED
_PACKAGE_FOLDER = str(Path(__file__).resolve().parents[2])


class Sandbox:
    """One confined child at a time; start lazily, close when done (a context manager)."""

    def __init__(self, module: str, *, limits: Limits) -> None:
        """Remember what to run.

        Args:
            module: Module whose ``OPERATIONS`` (name -> function of JSON-able keywords, returning a
                JSON-able dict) the child offers. Never taken from data.
            limits: Caps on each call.
        """
        self._module = module
        self._limits = limits
        self._child: _Child | None = None
        self._degraded: tuple[str, ...] | None = None
        self._lock = threading.Lock()

    @property
    def degraded(self) -> tuple[str, ...]:
        """Protections that could not be had on this machine; starts a child to find out."""
        with self._lock:
            if self._degraded is None:
                self._ready_child()
            return self._degraded or ()

    def call(self, operation: str, /, **arguments: object) -> dict[str, Any]:
        """Return what the child's `operation` returns for `arguments`.

        An operation may be run a second time when something outside killed the child.

        Raises:
            ClipError: The operation's own verdict, or OverLimit or DecoderCrashed.
            EnvironmentFault: The machine is at fault.
            OSError: A file could not be used, for a reason that is not known as the machine's.
            InternalError: The operation is wrong.
        """
        request = {"operation": operation, "arguments": arguments}
        line = json.dumps(request).encode() + b"\n"
        with self._lock:
            try:
                return _judged(self._exchange(line))
            except _KilledFromOutsideError:
                pass
            try:
                return _judged(self._exchange(line))
            except _KilledFromOutsideError as error:
                raise DecoderCrashed(
                    "The decoding process was killed twice, most likely for want of memory."
                ) from error

    def close(self) -> None:
        """Kill the child, if there is one."""
        with self._lock:
            self._drop_child()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _exchange(self, line: bytes) -> dict[str, Any]:
        """Return the child's answer to `line`; drop a child that cannot be used again."""
        child = self._ready_child()
        keep = False
        try:
            child.allow_cpu(self._limits.clip_cpu_seconds)
            answer = child.ask(line, seconds=self._limits.clip_wall_seconds)
            keep = "out_of_memory" not in answer and "bug" not in answer
        finally:
            if not keep:
                self._drop_child()
        return answer

    def _ready_child(self) -> _Child:
        """Return a child that is ready for a request."""
        if self._child is not None and self._child.is_alive:
            return self._child
        self._drop_child()
        self._child = _Child(self._module, self._limits)
        self._degraded = self._child.degraded
        return self._child

    def _drop_child(self) -> None:
        """Kill and reap the child, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()


class _KilledFromOutsideError(Exception):
    """The child got a SIGKILL that was not ours."""


class _Child:
    """A running child and its pipes."""

    def __init__(self, module: str, limits: Limits) -> None:
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
                remedy="`kinetics doctor` says what is missing.",
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
        }
        try:
            hello = self.ask(json.dumps(config).encode() + b"\n", seconds=_START_SECONDS)
            self.degraded = tuple(clean_text(str(text)) for text in hello["degraded"])
        except BaseException as error:
            self.kill()
            if isinstance(error, Exception):
                raise SandboxUnusable(
                    f"The decoding process does not start: {error} {self._words()}".strip(),
                    remedy="`kinetics doctor` says what is missing.",
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
        deadline = time.monotonic() + seconds
        unsent, answer = memoryview(line), b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdin, selectors.EVENT_WRITE)
            selector.register(self._stdout, selectors.EVENT_READ)
            selector.register(self._stderr, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise OverLimit(f"No result after {seconds:g} seconds.")
                for key, _ in selector.select(left):
                    if key.fileobj is self._stdin:
                        unsent = unsent[self._write(unsent) :]
                        if not unsent:
                            selector.unregister(self._stdin)
                    elif key.fileobj is self._stderr:
                        if not self._listen():
                            selector.unregister(self._stderr)
                    else:
                        part = os.read(self._stdout.fileno(), _MAX_ANSWER_BYTES)
                        if not part:
                            raise self._obituary()
                        answer += part
                if len(answer) > _MAX_ANSWER_BYTES:
                    raise DecoderCrashed("The decoding process answered with too many bytes.")
        if unsent:
            raise DecoderCrashed("The decoding process answered before it was asked.")
        try:
            parsed = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise DecoderCrashed("The decoding process answered nonsense.") from error
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
        while self._stderr.closed is False and self._chatter_is_waiting():
            if not self._listen():
                break
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
            return _KilledFromOutsideError()
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


def _judged(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the result in `answer`, or raise what it tells of."""
    message = clean_text(str(answer.get("message", "")))
    match answer:
        case {"result": dict(result)}:
            return result
        case {"clip_error": str(code)} if code in set(Reason):
            if Reason(code).kind in {Kind.PERMANENT, Kind.RETRYABLE}:
                raise clip_error(Reason(code), message)
        case {"out_of_memory": True}:
            raise OverLimit("More memory than one clip may take.")
        case {"missing": str(name)}:
            raise ToolMissing(
                f"The Python package {clean_text(name) or 'that decodes media'} ({message})",
                "Install it again: pip install --force-reinstall av numpy simplejpeg",
            )
        case {"errno": int(number), "path": str(path)}:
            where = clean_text(path)
            error = OSError(number, message, where) if where else OSError(number, message)
            fault = environment_fault(error, doing=f"working on {where or 'a media file'}")
            raise fault or error
        case {"bug": str(text)}:
            raise InternalError(f"An operation on media failed:\n{text}")
    raise DecoderCrashed("The decoding process answered nonsense.")

"""Running a program that is not ours to its end: limited in time, and gone with this process."""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from kinetics_assets.core.errors import InternalError, ToolMissing
from kinetics_assets.io import processes
from kinetics_assets.io.confined import clean_text
from kinetics_assets.io.leases import lease_descriptors
from kinetics_assets.io.spawn import spawn

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

_PART_BYTES = 64 * 1024
_KEPT_BYTES = 4 * 1024
_SHOWN_CHARACTERS = 300
_KEPT_VARIABLES = {"PATH", "HOME", "LD_LIBRARY_PATH"}
_KEPT_PREFIXES = ("CUDA_", "NVIDIA_")


@dataclass(frozen=True, slots=True)
class ProgramEnd:
    """How a program ended."""

    status: int | None
    """Its exit status, the negative number of the signal it died of, or None: time was up."""
    printed: str
    """The last thousands of characters that it printed, standard output before errors."""

    @property
    def words(self) -> str:
        """The end of what it printed, as one short line."""
        return clean_text(self.printed.strip()[-_SHOWN_CHARACTERS:])

    def __str__(self) -> str:
        """Return what happened, for people: "died of SIGSEGV"."""
        if self.status is None:
            return "was stopped because its time was up"
        if self.status < 0:
            names = {number.value: number.name for number in signal.Signals}
            return f"died of {names.get(-self.status, f'signal {-self.status}')}"
        return f"ended with status {self.status}"


def run_program(
    argv: Sequence[str], *, env: Mapping[str, str], folder: Path, seconds: float
) -> ProgramEnd:
    """Return how a program ended, with all processes of its group gone.

    It reads nothing and is its own session. When this process dies, however it dies, the kernel
    kills it; until it is dead it keeps the device that this process leased.

    Args:
        argv: Absolute path of the program, then its arguments.
        env: Its whole environment.
        folder: Where it works.
        seconds: After this long it is killed.

    Raises:
        ToolMissing: No process can be started.
    """
    tie = [sys.executable, "-I", "-S", "-B", str(Path(processes.__file__).resolve())]
    try:
        process = spawn(
            [*tie, str(os.getpid()), *argv], env=env, cwd=folder, keep=lease_descriptors()
        )
    except OSError as error:
        raise ToolMissing(
            f"{argv[0]} ({error})", "Check that this user may start processes (`ulimit -u`)."
        ) from error
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    if stdin is None or stdout is None or stderr is None:
        msg = "A program was started without pipes."
        raise InternalError(msg)
    with stdin, stdout, stderr:
        stdin.close()
        said = {stdout: b"", stderr: b""}
        try:
            in_time = _listen(process, said, deadline=time.monotonic() + seconds)
        finally:
            _end(process)
        for pipe in said:
            while _hear(pipe, said):
                pass
    text = b"".join(said.values()).decode(errors="replace")
    return ProgramEnd(process.returncode if in_time else None, text)


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a foreign program gets of `environment`: how it is loaded, and its device."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }
    return {**kept, "LC_ALL": "C.UTF-8"}


def _listen(
    process: subprocess.Popen[bytes], said: dict[IO[bytes], bytes], *, deadline: float
) -> bool:
    """Collect what `process` says until it ends; return whether it did before `deadline`.

    Its end is asked of the kernel, not of the pipes: a child of it may keep those open.
    """
    ended = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(ended, selectors.EVENT_READ)
            for pipe in said:
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    if key.fileobj == ended:
                        return True
                    for pipe in said:
                        if key.fileobj is pipe and not _hear(pipe, said):
                            selector.unregister(pipe)
    finally:
        os.close(ended)
    return False


def _hear(pipe: IO[bytes], said: dict[IO[bytes], bytes]) -> bool:
    """Take the next part of what was printed; return whether there was one."""
    try:
        part = os.read(pipe.fileno(), _PART_BYTES)
    except BlockingIOError:
        return False
    said[pipe] = (said[pipe] + part)[-_KEPT_BYTES:]
    return bool(part)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the group of `process` and reap it; its number is not used anew before that."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

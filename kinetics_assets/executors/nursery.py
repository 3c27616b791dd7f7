"""A process that has imported everything once and forks children that are born ready.

Importing Dagster takes longer than most steps take to work. So a run worker starts one nursery,
the nursery imports, and each step is a fork of it: a process of its own, in a session of its own.

What happens when a process dies::

    parent killed   -> the channel ends, the nursery leaves, the kernel kills its children
    nursery killed  -> the kernel kills its children; the parent sees them as lost
    child killed    -> the nursery tells the parent the exit status

The nursery has one thread and opens nothing that a fork could share by accident.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.errors import InternalError
from kinetics_assets.io.processes import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LOST = -signal.SIGKILL
"""Exit status of children whose nursery is gone: the kernel has killed them."""
_CHUNK_BYTES = 1 << 16
_STOP_SECONDS = 5
_NO_THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
_born_with: list[Nursery] = []
"""The nursery this process was born with, until it takes it."""


@dataclass(frozen=True, slots=True)
class Birth:
    """What a child shall be."""

    module: str
    """Module that is run as ``__main__``."""
    argv: tuple[str, ...]
    """Its arguments, without a program name."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables on top of the nursery's own."""
    log_path: str | None = None
    """File for stdout and stderr; None leaves them where the nursery's go."""
    has_nursery: bool = False
    """Whether the child gets a nursery of its own, which it takes with `Nursery.mine`."""


class Nursery:
    """Handle on a nursery process; children are known by their process id.

    To be made in the main thread: the nursery dies with the thread that made it.
    """

    def __init__(self, channel: socket.socket, pid: int) -> None:
        """Keep the process `pid` and the channel to it; use `start` or `mine`."""
        self._channel = channel
        self._pid = pid
        self._pending = b""
        self._statuses: dict[int, int] = {}
        self._alive: set[int] = set()

    @classmethod
    def start(
        cls, preload: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> Nursery:
        """Return a new nursery that imports the modules `preload` before its first child.

        Args:
            preload: Modules; one that cannot be imported is left to the child that needs it.
            environment: Variables on top of this process's own.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            os.set_inheritable(theirs.fileno(), True)
            tie = [str(os.getpid()), str(theirs.fileno())]
            command = [sys.executable, "-m", __name__, *tie, *preload]
            pid = os.posix_spawn(sys.executable, command, {**os.environ, **(environment or {})})
        return cls(ours, pid)

    @classmethod
    def mine(cls) -> Nursery | None:
        """Return the nursery this process was born with; None if it has none or has taken it."""
        return _born_with.pop() if _born_with else None

    def fork(self, birth: Birth) -> int:
        """Return the process id of a new child.

        Raises:
            InternalError: The nursery itself is gone.
        """
        try:
            self._send({"fork": asdict(birth)})
            while "pid" not in (answer := self._receive(block=True)):
                self._note(answer)
        except (OSError, EOFError):
            raise InternalError(
                "The process that starts steps has died.", remedy="Run the class again."
            ) from None
        self._alive.add(answer["pid"])
        return int(answer["pid"])

    def poll(self, pid: int) -> int | None:
        """Return the exit status of a child, negative for a signal, None while it runs."""
        try:
            while answer := self._receive(block=False):
                self._note(answer)
        except (OSError, EOFError):
            self._statuses.update(dict.fromkeys(self._alive, _LOST))
            self._alive.clear()
        return self._statuses.get(pid)

    def kill(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a child; nothing happens if it has ended, even if its id was reused."""
        if self.poll(pid) is None:
            self._send({"kill": pid, "signal": int(number)})

    def wait(self, pid: int, *, seconds: float) -> int | None:
        """Return the exit status of a child, None if it still runs after `seconds`."""
        deadline = time.monotonic() + seconds
        while (status := self.poll(pid)) is None and (left := deadline - time.monotonic()) > 0:
            select.select([self._channel], [], [], left)
        return status

    def close(self) -> None:
        """End the nursery; the kernel kills what it has forked."""
        self._channel.close()
        descriptor = os.pidfd_open(self._pid)
        if not select.select([descriptor], [], [], _STOP_SECONDS)[0]:
            os.kill(self._pid, signal.SIGKILL)
        os.close(descriptor)
        os.waitpid(self._pid, 0)

    def _note(self, answer: dict[str, Any]) -> None:
        self._statuses[answer["ended"]] = answer["status"]
        self._alive.discard(answer["ended"])

    def _send(self, message: dict[str, Any]) -> None:
        self._channel.sendall(json.dumps(message).encode() + b"\n")

    def _receive(self, *, block: bool) -> dict[str, Any]:
        """Return the next message, an empty one when there is none and `block` is false."""
        while b"\n" not in self._pending:
            if not block and not select.select([self._channel], [], [], 0)[0]:
                return {}
            chunk = self._channel.recv(_CHUNK_BYTES)
            if not chunk:
                raise EOFError
            self._pending += chunk
        line, self._pending = self._pending.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message


def serve(channel: socket.socket) -> Birth:
    """Fork children as `channel` asks; return in each child what it shall be, and nowhere else."""
    poller = select.poll()
    poller.register(channel, select.POLLIN)
    children: dict[int, int] = {}
    pending = b""
    while True:
        for descriptor, _ in poller.poll():
            if descriptor != channel.fileno():
                poller.unregister(descriptor)
                _report_end(channel, children.pop(descriptor))
                os.close(descriptor)
                continue
            *lines, pending = (pending + _read(channel)).split(b"\n")
            for message in map(json.loads, lines):
                if "kill" in message:
                    if message["kill"] in children.values():
                        _signal(message["kill"], signal.Signals(message["signal"]))
                    continue
                nursery_pid = os.getpid()
                if (pid := os.fork()) == 0:
                    for inherited in (*children, channel.detach()):
                        os.close(inherited)
                    return _settle_in(Birth(**message["fork"]), nursery_pid)
                watch = os.pidfd_open(pid)
                children[watch] = pid
                poller.register(watch, select.POLLIN)
                channel.sendall(json.dumps({"pid": pid}).encode() + b"\n")


def _read(channel: socket.socket) -> bytes:
    """Return what the parent has sent; end this process when the parent is gone."""
    try:
        chunk = channel.recv(_CHUNK_BYTES)
    except ConnectionResetError:  # it left without reading our last word
        chunk = b""
    return chunk or os._exit(0)


def _signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child that was not reaped yet; SIGKILL goes to all of its group."""
    if number is signal.SIGKILL:
        with contextlib.suppress(ProcessLookupError):  # a child of a moment ago leads no group yet
            os.killpg(pid, number)
    os.kill(pid, number)


def _report_end(channel: socket.socket, pid: int) -> None:
    """Reap the child `pid` and tell its exit status."""
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    channel.sendall(json.dumps({"ended": pid, "status": status}).encode() + b"\n")


def _settle_in(birth: Birth, nursery_pid: int) -> Birth:
    """Make the fresh fork a process of its own right and return `birth`."""
    die_with_parent(nursery_pid)
    os.setsid()
    os.environ.update(birth.environment)
    if birth.log_path is not None:
        log = os.open(birth.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
    return birth


def _beget(birth: Birth) -> Birth:
    """Return `birth` after giving this process a nursery; in the nursery's forks, theirs."""
    ours, theirs = socket.socketpair()
    own_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        die_with_parent(own_pid)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return serve(theirs)
    theirs.close()
    _born_with.append(Nursery(ours, pid))
    return birth


def _import_alone(modules: Sequence[str]) -> None:
    """Import `modules` while their libraries are told to start no threads, which no fork has."""
    before = {name: os.environ.get(name) for name in _NO_THREADS}
    os.environ.update(_NO_THREADS)
    for module in modules:
        with contextlib.suppress(Exception):  # the child that needs it will say what is wrong
            importlib.import_module(module)
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def main() -> None:
    """Import what the command line names, serve, and in a child run its module."""
    parent_pid, descriptor, *preload = sys.argv[1:]
    die_with_parent(int(parent_pid))
    channel = socket.socket(fileno=int(descriptor))
    os.set_inheritable(channel.fileno(), False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _import_alone(preload)
    gc.freeze()  # what was imported is no garbage: children neither search nor copy it
    birth = serve(channel)
    if birth.has_nursery:
        birth = _beget(birth)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [birth.module, *birth.argv]
    runpy.run_module(birth.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    # the imported copy of this module, which children will see, not the one called __main__
    importlib.import_module("kinetics_assets.executors.nursery").main()

"""Dagster's web server and daemon as children of a verb: started, watched and ended together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kinetics_assets.commands.choices import environment
from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.demo.clips import DATASET as DEMO
from kinetics_assets.demo.mirror import MIRROR_VARIABLE, Mirror, cache_folder

_STOP_SECONDS = 15.0
_LOG_LINES = 15
_LOGS = "service_logs"
"""Below the home; Dagster deletes what it finds in `logs` when it starts."""
_DEFINITIONS = "kinetics_assets.definitions"
DAEMON = ("dagster._daemon", "run", "-m", _DEFINITIONS)
"""Arguments of the daemon."""


def web_server(host: str, port: int) -> tuple[str, ...]:
    """Return the arguments of the web server."""
    return ("dagster_webserver", "-h", host, "-p", str(port), "-m", _DEFINITIONS)


class Service:
    """A Python module running as a child, in a process group of its own."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        """Start it; what it prints goes to `log`."""
        from kinetics_assets.io.processes import die_with_parent

        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        parent = os.getpid()
        with log.open("wb") as sink:
            self._child = subprocess.Popen(  # noqa: S603 - argv is put together here
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                process_group=0,
                # No other thread runs yet (the mirror starts after this), so this is safe.
                preexec_fn=lambda: die_with_parent(parent),  # noqa: PLW1509
            )

    def check(self) -> None:
        """Raise `ToolMissing` if it has ended."""
        code = self._child.poll()
        if code is not None:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            shown = "\n".join(lines[-_LOG_LINES:])
            raise ToolMissing(
                f"Dagster's {self.name} (ended with exit code {code})",
                f"The whole log is {self.log}; its last lines:\n{shown}",
            )

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the child, which passes it on to its own children."""
        if self._child.poll() is None:
            self._child.send_signal(number)

    def end(self, deadline: float) -> None:
        """Wait until it has ended, and kill what is left of its group then."""
        try:
            self._child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


@contextmanager
def running(home: Path, arguments: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Service]]:
    """Start services by name; stop all of them at the end, whatever happens."""
    services: dict[str, Service] = {}
    try:
        for name, argv in arguments.items():
            services[name] = Service(name, argv, home / _LOGS / f"{argv[0]}.log")
        yield services
    finally:
        for service in services.values():
            service.tell(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for service in services.values():
            service.end(deadline)


@contextmanager
def surroundings(root: Path, home: Path) -> Iterator[Mirror | None]:
    """Set what services of a root need to know; yield the demo's mirror, not answering yet.

    The mirror is None unless the demo was made under `root`; it starts as a context manager, after
    the services, because they are forked.
    """
    folder = cache_folder(root)
    mirror = Mirror(folder) if folder.is_dir() and (root / DEMO).is_dir() else None
    variables = {"KINETICS_ROOT": str(root), "DAGSTER_HOME": str(home)}
    if mirror is not None:
        variables[MIRROR_VARIABLE] = mirror.address
    with environment(variables):
        yield mirror


@contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, and obey SIGINT although a script that put us aside ignores it."""

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = {n: signal.signal(n, interrupt) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""`kinetics up`: the Dagster UI and its daemon, as children of this process."""

from __future__ import annotations

import errno
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from kinetics_assets.commands.choices import environment, existing_root, root_option
from kinetics_assets.core.errors import InputError, PortInUse, ToolMissing, environment_fault
from kinetics_assets.demo.clips import DATASET as DEMO
from kinetics_assets.demo.mirror import MIRROR_VARIABLE, Mirror, cache_folder

_START_SECONDS = 120.0
_STOP_SECONDS = 15.0
_LOOK_SECONDS = 0.5
_LOG_LINES = 15
_DEFINITIONS = "kinetics_assets.definitions"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port; 0 chooses a free one.")
@click.option(
    "--allow-remote",
    is_flag=True,
    help="Allow a --host that other machines reach. The UI has no login: who reaches it can run"
    " code as you.",
)
@root_option
def up(host: str, port: int, root: Path | None, *, allow_remote: bool) -> None:
    """Serve the Dagster UI and its daemon on this machine until Ctrl-C."""
    _check_host(host, allow_remote=allow_remote)
    folder = existing_root(root)
    port = _free_port(host, port)
    with ExitStack() as stack:
        variables = {"KINETICS_ROOT": str(folder)}
        mirror = _demo_mirror(folder)
        if mirror is not None:
            variables[MIRROR_VARIABLE] = mirror.address
        stack.enter_context(environment(variables))
        home = _prepare_home(folder)
        stack.enter_context(environment({"DAGSTER_HOME": str(home)}))
        stack.enter_context(_signals_as_interrupt())
        services = stack.enter_context(_services(host, port, home))
        if mirror is not None:
            stack.enter_context(mirror)
        try:
            _await_health(host, port, services)
            click.echo(f"The Dagster UI is at http://{_in_url(host)}:{port} (root {folder}).")
            click.echo("Ctrl-C ends it.")
            _watch(services)
        except KeyboardInterrupt:
            click.echo("Stopping.")


def _check_host(host: str, *, allow_remote: bool) -> None:
    """Raise `InputError` for an address that other machines may reach, unless that is allowed."""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback and not allow_remote:
        raise InputError(
            f"{host} may be reached by other machines, and the UI has no login.",
            remedy="Use 127.0.0.1 and an ssh tunnel, or add --allow-remote if you mean it.",
        )


def _free_port(host: str, port: int) -> int:
    """Return a port that can be listened on; `port` itself unless it is 0.

    Raises:
        PortInUse: Another program has it.
        PermissionDenied: This user may not have it.
        InputError: The address is not one of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from error
        fault = environment_fault(error, doing=f"listening on {host}:{port}")
        if fault is not None:
            raise fault from error
        raise InputError(
            f"Cannot listen on {host}:{port} ({error.strerror or error}).",
            remedy="Give an address of this machine.",
        ) from error


def _demo_mirror(root: Path) -> Mirror | None:
    """Return the demo's mirror, not yet answering, if the demo was made under `root`."""
    folder = cache_folder(root)
    return Mirror(folder) if folder.is_dir() and (root / DEMO).is_dir() else None


def _prepare_home(root: Path) -> Path:
    """Return DAGSTER_HOME with its database ready and runs of dead processes marked failed."""
    from kinetics_assets.runs import dagster_home, open_instance, reap_dead_runs

    home = dagster_home(root)
    with open_instance(home) as instance:
        reap_dead_runs(instance)
    return home


@contextmanager
def _services(host: str, port: int, home: Path) -> Iterator[Mapping[str, _Service]]:
    """Start the web server and the daemon; stop both at the end, whatever happens."""
    web = ["dagster_webserver", "-h", host, "-p", str(port), "-m", _DEFINITIONS]
    daemon = ["dagster._daemon", "run", "-m", _DEFINITIONS]
    services: dict[str, _Service] = {}
    try:
        for name, arguments in {"web server": web, "daemon": daemon}.items():
            services[name] = _Service(name, arguments, home / "logs" / f"{arguments[0]}.log")
        yield services
    finally:
        for service in services.values():
            service.tell(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for service in services.values():
            service.end(deadline)


class _Service:
    """A Python module running as a child, in a process group of its own."""

    def __init__(self, name: str, arguments: list[str], log: Path) -> None:
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
        """Raise `ToolMissing` if it has."""
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


def _await_health(host: str, port: int, services: Mapping[str, _Service]) -> None:
    """Wait until the web server answers.

    Raises:
        ToolMissing: One of the two has ended, or there is no answer in time.
    """
    deadline = time.monotonic() + _START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by way of a proxy
    while time.monotonic() < deadline:
        for service in services.values():
            service.check()
        try:
            with opener.open(f"http://{_in_url(host)}:{port}/server_info", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(_LOOK_SECONDS)
    raise ToolMissing(
        f"Dagster's web server (no answer within {_START_SECONDS:.0f} s)",
        f"See {services['web server'].log}.",
    )


def _watch(services: Mapping[str, _Service]) -> None:
    """Return never; raise `ToolMissing` as soon as one service has ended."""
    while True:
        for service in services.values():
            service.check()
        time.sleep(_LOOK_SECONDS)


@contextmanager
def _signals_as_interrupt() -> Iterator[None]:
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


def _in_url(host: str) -> str:
    """Return a host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host

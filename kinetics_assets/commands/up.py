"""`kinetics up`: the Dagster UI and its daemon, as children of this process."""

from __future__ import annotations

import errno
import ipaddress
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import click

from kinetics_assets.commands.choices import existing_root, root_option
from kinetics_assets.commands.services import (
    DAEMON,
    Service,
    running,
    signals_as_interrupt,
    surroundings,
    web_server,
)
from kinetics_assets.core.errors import InputError, PortInUse, ToolMissing, environment_fault

_START_SECONDS = 120.0
_LOOK_SECONDS = 0.5


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
    home = _prepare_home(folder)
    with ExitStack() as stack:
        mirror = stack.enter_context(surroundings(folder, home))
        stack.enter_context(signals_as_interrupt())
        services = stack.enter_context(
            running(home, {"web server": web_server(host, port), "daemon": DAEMON})
        )
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


def _prepare_home(root: Path) -> Path:
    """Return DAGSTER_HOME with its database ready and runs of dead processes marked failed."""
    from kinetics_assets.runs import dagster_home, open_instance, reap_dead_runs

    home = dagster_home(root)
    with open_instance(home) as instance:
        reap_dead_runs(instance)
    return home


def _await_health(host: str, port: int, services: Mapping[str, Service]) -> None:
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


def _watch(services: Mapping[str, Service]) -> None:
    """Return never; raise `ToolMissing` as soon as one service has ended."""
    while True:
        for service in services.values():
            service.check()
        time.sleep(_LOOK_SECONDS)


def _in_url(host: str) -> str:
    """Return a host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host

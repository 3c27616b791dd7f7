"""Which addresses may be reached: an allow-list, checked at every hop and at every connection.

A host is checked twice: by name before it is asked, and by the address it resolves to when the
connection is made. The connection then goes to the very address that was checked, so a name that
resolves to something else a moment later gains nothing. No proxy is used.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit, urlunsplit

from kinetics_assets.core.errors import AddressRefused, NetworkDown

ANY_HOST = "*"
"""In an allow-list: every public host."""
MAX_REDIRECTS = 5
_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"""[a-z][a-z0-9+.-]{0,15}://[^\s'"<>)\]]+""", re.IGNORECASE)
_CREDENTIAL = re.compile(
    r"\b((?:set-)?cookie|(?:proxy-)?authorization)\s*[:=]\s*[^\r\n]+", re.IGNORECASE
)

_SECRET_SEGMENT = re.compile(r"(/(?:l?sig|signature|s?pot|n|token|key|passkey|ip)/)[^/]+")


@dataclass(frozen=True, slots=True)
class Egress:
    """The hosts one source may be asked at."""

    hosts: tuple[str, ...]
    """Public hosts, by https on port 443: exact names, ``.example.org`` for all names below
    example.org, or `ANY_HOST`."""
    loopback_hosts: tuple[str, ...] = ()
    """``host:port`` on this machine, by http or https."""

    def allows(self, host: str) -> bool:
        """Return whether the public `host` is in the allow-list."""
        if host == "localhost" or host.endswith(".localhost"):
            return False
        return any(
            entry in {ANY_HOST, host} or (entry.startswith(".") and host.endswith(entry))
            for entry in self.hosts
        )

    def check(self, url: str) -> SplitResult:
        """Return the parts of `url` if it may be asked for.

        Raises:
            AddressRefused: Its scheme, host or port is not in the allow-list.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            raise AddressRefused(f"{redact_url(url)} is no address.") from None
        if parts.scheme in _PORTS and _host_port(host, port) in self.loopback_hosts:
            return parts
        if parts.scheme != "https" or port != _PORTS["https"] or not self.allows(host):
            raise AddressRefused(
                f"{redact_url(url)} may not be asked: only https to {self._shown()} is allowed.",
                remedy="An address on this machine must be in sources.loopback_hosts.",
            )
        return parts

    def connect(self, host: str, port: int, *, timeout_seconds: float) -> socket.socket:
        """Return a connection to `host`, to an address that was checked.

        Raises:
            AddressRefused: The name stands for a private, link-local or loopback address.
            NetworkDown: The name cannot be resolved, or nothing listens there.
            TimeoutError: No answer within `timeout_seconds`.
        """
        may_be_local = _host_port(host, port) in self.loopback_hosts
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NetworkDown(
                f"The host {host} cannot be found ({error}).",
                remedy="Check the network connection.",
            ) from error
        failure: OSError | None = None
        for family, kind, protocol, _, address in found:
            _check_address(str(address[0]), host=host, may_be_local=may_be_local)
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(timeout_seconds)
                connection.connect(address)
            except OSError as error:
                connection.close()
                failure = error
            else:
                return connection
        if isinstance(failure, TimeoutError):
            raise failure
        raise NetworkDown(
            f"{host}:{port} does not answer ({failure}).",
            remedy="Check the network connection, or whether the server is running.",
        ) from failure

    def _shown(self) -> str:
        """Return the allow-list for a message."""
        return ", ".join("any public host" if h == ANY_HOST else h for h in self.hosts) or "no host"


def redact_url(url: str) -> str:
    """Return `url` without what may be secret: user, password, query values and fragment.

    Names of query parameters stay; of their values only a YouTube id (``v=``) does. Of a path that
    holds parameters, as addresses of streams do, signatures and tokens are taken out.
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an unreadable address"
    host = parts.hostname or ""
    netloc = f"[{host}]{port}" if ":" in host else f"{host}{port}"
    query = "&".join(
        item if re.fullmatch(r"v=[\w-]{11}", item) else f"{item.partition('=')[0]}=..."
        for item in parts.query.split("&")
        if item
    )
    path = _SECRET_SEGMENT.sub(r"\1...", parts.path)
    return urlunsplit((parts.scheme, netloc, path, query, ""))


def redact(text: str) -> str:
    """Return `text` with every URL in it redacted and every cookie or authorization taken out."""
    text = _URL.sub(lambda match: redact_url(match[0]), text)
    return _CREDENTIAL.sub(r"\1: ...", text)


def _host_port(host: str, port: int) -> str:
    """Return ``host:port`` as `loopback_hosts` spells it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check_address(address: str, *, host: str, may_be_local: bool) -> None:
    """Raise `AddressRefused` if `address` is not one that the name `host` may stand for."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    if may_be_local:
        if ip.is_loopback:
            return
        what = "an address that is not on this machine"
    elif ip.is_global and not ip.is_multicast:
        return
    else:
        what = "a private, link-local or loopback address"
    raise AddressRefused(f"The host {host} stands for {address}, {what}; it is not asked.")

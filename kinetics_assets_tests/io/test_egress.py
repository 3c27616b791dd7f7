"""Which addresses may be asked, and what is said of those that may not."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from kinetics_assets.core.errors import AddressRefused, NetworkDown
from kinetics_assets.io.egress import ANY_HOST, Egress, redact, redact_url

SITE = Egress(("example.org", ".video.example"), ("127.0.0.1:8000", "[::1]:8000"))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a?b=c",
        "https://example.org:443/",
        "https://r1.cdn.video.example/x",
        "http://127.0.0.1:8000/x",
        "http://[::1]:8000/x",
    ],
)
def test_what_is_listed_may_be_asked(url: str) -> None:
    """Listed are hosts by https, names below a domain, and loopback ports by http."""
    assert SITE.check(url).geturl() == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "https://example.org:8443/",
        "https://example.com/",
        "https://notexample.org/",
        "https://evilvideo.example/",
        "https://example.org.evil.example/",
        "https://example.org@evil.example/",
        "http://127.0.0.1:8001/",
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "ftp://example.org/",
        "data:text/plain,x",
        "//example.org/",
        "https://[::1",
        "https://example.org:notaport/",
        "",
    ],
)
def test_what_is_not_listed_is_refused(url: str) -> None:
    """Another scheme, host or port is refused before anything is connected."""
    with pytest.raises(AddressRefused):
        SITE.check(url)


def test_any_host_still_means_public_and_https() -> None:
    """The open list takes any public host, and no name of this machine."""
    anywhere = Egress((ANY_HOST,))
    anywhere.check("https://example.net/")
    for url in ("https://localhost/", "http://example.net/", "https://a.localhost/"):
        with pytest.raises(AddressRefused):
            anywhere.check(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "10.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_a_name_of_a_private_address_is_not_connected(host: str) -> None:
    """The check is on the address that a name resolves to, so a renamed loopback gains nothing."""
    with pytest.raises(AddressRefused, match="private, link-local or loopback"):
        Egress((ANY_HOST,)).connect(host, 443, timeout_seconds=1)


def test_a_closed_port_is_the_networks_fault() -> None:
    """Nothing listening is an environment fault with a remedy, never a clip's."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        egress = Egress((), (f"127.0.0.1:{port}",))
        with pytest.raises(NetworkDown) as caught:
            egress.connect("127.0.0.1", port, timeout_seconds=1)
    assert caught.value.remedy


def test_an_unknown_name_is_the_networks_fault() -> None:
    """A name that cannot be resolved is an environment fault."""
    with pytest.raises(NetworkDown, match="cannot be found"):
        Egress((ANY_HOST,)).connect("nowhere.invalid", 443, timeout_seconds=1)


def test_secrets_are_taken_out_of_addresses() -> None:
    """User, password, fragment and query values go; host, path and the video's id stay."""
    url = "https://me:hunter2@cdn.example:444/v.mp4?sig=hunter2&v=0wR5jVB-WPk&e#hunter2"
    assert redact_url(url) == "https://cdn.example:444/v.mp4?sig=...&v=0wR5jVB-WPk&e=..."
    text = f"failed: '{url}' with Cookie: sid=hunter2; b=hunter2\nAuthorization: Bearer hunter2"
    assert "hunter2" not in redact(text)
    assert "cdn.example" in redact(text)


def test_a_signature_in_a_path_is_taken_out() -> None:
    """Addresses of streams keep their parameters in the path; what gives access does not stay."""
    url = "https://r1.googlevideo.com/videoplayback/id/abc/sig/SECRET1/itag/18/pot/SECRET2"
    assert redact_url(url) == (
        "https://r1.googlevideo.com/videoplayback/id/abc/sig/.../itag/18/pot/..."
    )
    assert "SECRET" not in redact(f"ERROR: {url}/n/SECRET3 is refused")


def test_long_texts_are_redacted_in_no_time() -> None:
    """A megabyte without an address comes back as it is.

    Regression: the search for addresses was quadratic in the length of the text.
    """
    text = "x" * 1_000_000
    assert redact(text) == text

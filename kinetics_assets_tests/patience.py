"""Short timeouts for what never answers, and long ones for what comes after it.

A client has one timeout for all it asks. A test in which a silent server is left and then asked
again would fail on a slow machine if the good answer had to come within the short time too.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

import pytest

from kinetics_assets.io.egress import Egress

LONG_SECONDS = 120.0
"""Longer than any answer on this machine takes, however slow it is; it only bounds a hang."""


def be_patient(monkeypatch: pytest.MonkeyPatch, *, but: Iterable[float] = ()) -> None:
    """Let connections time out late, whatever the settings say.

    Args:
        monkeypatch: Of the test.
        but: Timeouts of the first connections, in seconds.
    """
    left = iter(but)
    connect = Egress.connect

    def patient(self: Egress, host: str, port: int, *, timeout_seconds: float) -> socket.socket:
        del timeout_seconds
        return connect(self, host, port, timeout_seconds=next(left, LONG_SECONDS))

    monkeypatch.setattr(Egress, "connect", patient)

"""Deadlines that hold however little arrives at a time.

The timeout of a socket is that of one silence: a byte before each of them goes on for ever. Bodies
are read in pieces that arrive, with a look at the clock in between; status line and headers are
read by the standard library, which looks at none.
"""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Callable
from typing import Any

Check = Callable[[], None]
"""Raises when the time is over."""


def timely_answer(check: Check) -> type[http.client.HTTPResponse]:
    """Return a class of answers that ask `check` before every piece that they receive."""
    return type("TimelyAnswer", (_Answer,), {"check": staticmethod(check)})


def checked(file: io.BufferedReader, check: Check) -> io.BufferedReader:
    """Return `file`, which is used up, as one that asks `check` before every read of its source."""
    return io.BufferedReader(_Checked(file.detach(), check))


class _Answer(http.client.HTTPResponse):
    """An answer whose status line and headers are under the deadline too."""

    check: Check

    def __init__(self, sock: socket.socket, *args: Any, **named: Any) -> None:  # noqa: ANN401 - as its base
        """Read from `sock`."""
        super().__init__(sock, *args, **named)
        self.fp = checked(self.fp, self.check)


class _Checked(io.RawIOBase):
    """Reads from a source after asking whether there is time."""

    def __init__(self, source: io.RawIOBase, check: Check) -> None:
        """Read from `source`, which is closed with this."""
        super().__init__()
        self._source = source
        self._check = check

    def readable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the source."""
        return self._source.fileno()

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401 - the base's type
        """Read what has arrived; return how much."""
        self._check()
        return self._source.readinto(buffer)

    def close(self) -> None:
        """Close the source."""
        self._source.close()
        super().close()

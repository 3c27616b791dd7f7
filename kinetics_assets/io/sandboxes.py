"""Several confined child processes, lent call by call to whichever thread asks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from kinetics_assets.io.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable


class Sandboxes:
    """At most so many children as may be; each starts when all the others are at work.

    A child that was used last is lent first, so that calls which seldom meet share one.
    """

    def __init__(self, make: Callable[[], Sandbox], *, most: int) -> None:
        """Lend what `make` returns, `most` of it at a time.

        Raises:
            ValueError: `most` is below 1.
        """
        if most < 1:
            raise ValueError(f"{most} children cannot be asked anything.")
        self._make = make
        self._places = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._all: list[Sandbox] = []
        self._idle: list[Sandbox] = []

    @property
    def degraded(self) -> tuple[str, ...]:
        """Protections that could not be had on this machine; starts a child to find out."""
        with self._lock:
            if not self._all:
                self._all.append(self._make())
                self._idle.append(self._all[0])
            known = list(self._all)
        return tuple(sorted({text for sandbox in known for text in sandbox.degraded}))

    def call(self, operation: str, /, **arguments: object) -> dict[str, Any]:
        """Return what an idle child's `operation` returns, as `Sandbox.call`; wait for one."""
        with self._places:
            with self._lock:
                if not self._idle:
                    self._idle.append(self._make())
                    self._all.append(self._idle[-1])
                sandbox = self._idle.pop()
            try:
                return sandbox.call(operation, **arguments)
            finally:
                with self._lock:
                    self._idle.append(sandbox)

    def close(self) -> None:
        """Kill all children."""
        with self._lock:
            known = list(self._all)
        for sandbox in known:
            sandbox.close()

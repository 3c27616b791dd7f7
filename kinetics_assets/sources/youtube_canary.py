"""The canary: videos known to be there, asked for when clips fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kinetics_assets.core.errors import EnvironmentFault, KineticsError
from kinetics_assets.io.host_pace import HostPace

FRESH_SECONDS = 600.0
"""How long an answer counts."""


@dataclass
class Canary:
    """Tells whether a source works, without asking more often than it has to.

    Safe to use from several threads: while one asks, the others wait for its answer.
    """

    pace: HostPace
    """Of the host; tells when a canary was last seen, by any process on this machine. That a clip
    could be had is no proof: of a mass failure some are left out."""
    ids: Sequence[str]
    """Videos that are known to be there."""
    ask: Callable[[str], KineticsError | None]
    """Asks for a video's description; returns the failure, None if there was none."""
    clock: Callable[[], float] = time.monotonic
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _asked_at: float | None = None
    """When all of them failed, on `clock`."""

    def is_alive(self) -> bool | None:
        """Return whether the source works; None if nothing is known of it.

        Raises:
            EnvironmentFault: The network, the machine, or a bot check is in the way.
        """
        with self._guard:
            if not self.ids:
                return None
            if self.pace.worked_within(FRESH_SECONDS):
                return True
            if self._asked_at is not None and self.clock() - self._asked_at < FRESH_SECONDS:
                return False
            for youtube_id in self.ids:
                self.pace.take_turn()
                failure = self.ask(youtube_id)
                if failure is None:
                    self.pace.note_success()
                    return True
                if isinstance(failure, EnvironmentFault):
                    raise failure
            self._asked_at = self.clock()
            return False

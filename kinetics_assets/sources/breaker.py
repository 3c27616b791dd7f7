"""The circuit breaker: stops a source when it is the source that fails, not the clips.

It opens on a bot check, on a rate limit that is too long to sit out, and when nearly everything
that a step asks for fails while no canary works. What is open stays open for the other steps on
this machine, for a stated time. No clip is blamed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import (
    BotCheck,
    ClipError,
    EnvironmentFault,
    ExtractorBroken,
    MassFailure,
    NetworkDown,
    NetworkMisconfigured,
    NotAtSource,
    RateLimited,
    SourcePaused,
    ToolMissing,
)
from kinetics_assets.io.host_pace import HostPace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kinetics_assets.core.settings import SourceSettings
    from kinetics_assets.sources.base import Source

SOURCE_FAULTS = (
    BotCheck,
    ExtractorBroken,
    MassFailure,
    NetworkDown,
    NetworkMisconfigured,
    RateLimited,
    SourcePaused,
    ToolMissing,
)
"""Faults that stop one source for the rest of the step; others (a full disk) stop the step."""
_PAUSING = (BotCheck, RateLimited, MassFailure)
"""Faults that would be met again at once by the next step, and made worse by it."""


def end_pauses(sources: Iterable[Source]) -> list[str]:
    """End what keeps the hosts of `sources` from being asked; return the hosts that paused."""
    ended = []
    for host in sorted({source.host for source in sources if source.host}):
        pace = HostPace(host)
        if pace.paused():
            pace.resume()
            ended.append(host)
    return ended


class Breaker:
    """Watches one source during one step; safe to use from several threads."""

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        """Watch `source` under the thresholds of `settings`."""
        self._source = source
        self._settings = settings
        self._guard = threading.Lock()
        self._asked = 0
        self._failed = 0
        self._fault: EnvironmentFault | None = None

    @property
    def fault(self) -> EnvironmentFault | None:
        """What opened the breaker, None while it is closed."""
        return self._fault

    def trip(self, fault: EnvironmentFault) -> None:
        """Open the breaker; leave the host alone if asking again would make it worse."""
        with self._guard:
            self._fault = self._fault or fault
        if self._source.host and isinstance(fault, _PAUSING):
            asked_for = getattr(fault, "retry_after_seconds", None)
            seconds = max(asked_for or 0.0, self._settings.pause_minutes * 60)
            HostPace(self._source.host).pause(seconds, cause=fault.message)

    def succeeded(self) -> None:
        """Count a clip that the source gave."""
        with self._guard:
            self._asked += 1

    def failed(self, error: ClipError) -> None:
        """Count a clip that the source did not give; open when there are too many of them.

        That a source does not have a clip says nothing against it. Nor does a failure during which
        the source was seen to work. What many clips of one archive failed with counts once.
        """
        says_nothing = error.counted_before or isinstance(error, NotAtSource)
        if says_nothing or not self._source.may_heal:
            return
        with self._guard:
            self._asked += 1
            self._failed += not error.source_works
            asked, failed = self._asked, self._failed
            least, share = self._settings.mass_failure_least, self._settings.mass_failure_share
            if self._fault or asked < least or failed < share * asked:
                return
            self._asked = self._failed = 0  # others count anew while the canary is asked
        if self._source.host:
            HostPace(self._source.host).forget_success()  # what the canary said before is no proof
        try:
            if self._source.is_alive():
                return
        except SOURCE_FAULTS as fault:
            self.trip(fault)
            return
        self.trip(
            MassFailure(
                f"{failed} of {asked} clips asked of {self._source.name} failed"
                f" (the last one: {error.message}), so it is not asked any more.",
                remedy="No clip was marked as lost. Look at the network, the cookies and the"
                " address of the source; `kinetics status` shows the failures.",
            )
        )

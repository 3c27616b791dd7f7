"""Sources that are left alone at present, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kinetics_assets.core.clips import Split
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.host_pace import HostPace, pace_folder
from kinetics_assets.sources.registry import sources_of


@dataclass(frozen=True, slots=True)
class PausedSource:
    """A source whose breaker is open on this machine."""

    name: str
    host: str
    until: datetime
    """UTC."""
    cause: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "source": self.name,
            "host": self.host,
            "until": self.until.isoformat(),
            "cause": self.cause,
        }


def paused_sources(
    settings: Settings, splits: Iterable[Split], *, folder: Path | None = None
) -> list[PausedSource]:
    """Return the sources of `splits` that are left alone now, each once.

    Args:
        settings: Which sources there are.
        splits: Each has its own sources.
        folder: Where the hosts' states are; None for this user's.

    Raises:
        SettingsError: A source is set up wrongly.
    """
    found = {}
    for split in splits:
        for source in sources_of(settings, split):
            if not source.host:
                continue
            pause = HostPace(source.host, folder=folder or pace_folder()).paused()
            if pause is not None:
                found[source.name] = PausedSource(
                    source.name, source.host, pause.until, pause.cause
                )
    return list(found.values())

"""The pace at which one host is asked, and its pauses, shared by all processes on this machine.

The state of a host is one small file under a lock: when it may be asked next, until when it is left
alone and why, and when it was last seen to work. Whoever wants to ask takes the next free moment
and pushes it back for the others, so that ten steps together keep the pace of one.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kinetics_assets.core.errors import SourcePaused
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.io.locks import exclusive
from kinetics_assets.io.machine import machine_folder

_JITTER = 0.25
"""Pauses are this share shorter or longer, at random: a machine-like beat invites a bot check."""


_WORKED_STEP_SECONDS = 60.0
_LONGEST_AHEAD_SECONDS = 2 * 86400.0


@dataclass(frozen=True, slots=True)
class Pause:
    """A host is left alone."""

    until: datetime
    """UTC."""
    cause: str


@dataclass(frozen=True, slots=True)
class _State:
    """What all processes know of a host; times are seconds since 1970."""

    next_at: float = 0.0
    held_until: float = 0.0
    paused_until: float = 0.0
    cause: str = ""
    worked_at: float = 0.0


def pace_folder() -> Path:
    """Return the folder of the hosts' states on this machine."""
    return machine_folder() / "pace"


@dataclass(frozen=True, slots=True)
class HostPace:
    """Pace and pauses of one host."""

    host: str
    """As in an address; with a port if it has one."""
    interval_seconds: float = 0.0
    """Mean time between two turns, of all processes together; 0 for no pace."""
    folder: Path = field(default_factory=pace_folder)
    """Where the state is; the same for all that share the pace."""
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time

    def take_turn(self) -> None:
        """Wait until the host may be asked.

        Raises:
            SourcePaused: The host is left alone for longer; not waited for.
            EnvironmentFault: The state cannot be written.
        """
        is_held = True
        while is_held:
            turn = self._reserve() if self.interval_seconds else self._looked_up()
            while (left := turn - self.clock()) > 0:
                self.sleep(min(left, 1.0))
                # a bot check that another process met meanwhile ends the queue
                _raise_if_paused(self.host, self._read(), self.clock())
            # as a hold makes everybody queue again, after it
            is_held = self._read().held_until > self.clock()

    def hold(self, seconds: float) -> None:
        """Let nobody ask the host for `seconds`; who waits for a turn waits longer."""
        with self._locked() as (state, write):
            until = max(state.held_until, self.clock() + seconds)
            write(replace(state, held_until=until, next_at=until))

    def pause(self, seconds: float, *, cause: str) -> None:
        """Leave the host alone for `seconds`: turns are refused until then."""
        with self._locked() as (state, write):
            until = self.clock() + seconds
            if until > state.paused_until:
                write(replace(state, paused_until=until, cause=cause))

    def resume(self) -> None:
        """End a pause and a hold."""
        with self._locked() as (state, write):
            write(_State(worked_at=state.worked_at))

    def paused(self) -> Pause | None:
        """Return the pause that is under way, None if there is none."""
        state = self._read()
        if state.paused_until <= self.clock():
            return None
        return Pause(datetime.fromtimestamp(state.paused_until, UTC), state.cause)

    def note_success(self) -> None:
        """Remember that the host was seen to work just now, to the minute."""
        if self.worked_within(_WORKED_STEP_SECONDS):
            return
        with self._locked() as (state, write):
            write(replace(state, worked_at=self.clock()))

    def forget_success(self) -> None:
        """Make what `note_success` remembers count no more."""
        with self._locked() as (state, write):
            write(replace(state, worked_at=0.0))

    def worked_within(self, seconds: float) -> bool:
        """Return whether the host was seen to work within the last `seconds`."""
        return 0 <= self.clock() - self._read().worked_at <= seconds

    def _reserve(self) -> float:
        """Return the next free moment, which is now ours."""
        with self._locked() as (state, write):
            now = self.clock()
            _raise_if_paused(self.host, state, now)
            turn = max(now, state.next_at)
            pause = self.interval_seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
            write(replace(state, next_at=turn + pause))
            return turn

    def _looked_up(self) -> float:
        """Return when a host without a pace may be asked: now, or when a hold is over."""
        state = self._read()
        _raise_if_paused(self.host, state, self.clock())
        return state.held_until

    @property
    def _path(self) -> Path:
        digest = hashlib.sha256(self.host.encode()).hexdigest()[:8]
        plain = "".join(c if c.isalnum() or c in ".-" else "_" for c in self.host)[:80]
        return self.folder / f"{plain}-{digest}.json"

    @contextmanager
    def _locked(self) -> Iterator[tuple[_State, Callable[[_State], None]]]:
        """Yield the state and what writes a new one, while nobody else does."""
        path = self._path
        with os_faults(f"keeping the pace of {self.host}"):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with exclusive(path.with_suffix(".lock"), wait=True, what=f"the pace of {self.host}"):

            def write(state: _State) -> None:
                # Not synced: after a power cut a pace begins anew. Renamed: readers take no lock.
                temp = path.with_suffix(f".{os.getpid()}.tmp")
                with os_faults(f"keeping the pace of {self.host}"):
                    temp.write_text(json.dumps(asdict(state)))
                    temp.replace(path)

            yield self._read(), write

    def _read(self) -> _State:
        """Return the state; a fresh one if there is none, or if it is damaged."""
        try:
            record: Any = json.loads(self._path.read_text())
            state = _State(**record)
            longest = self.clock() + _LONGEST_AHEAD_SECONDS
            # a clock that was set back must not stop the host for years
            return replace(
                state,
                next_at=min(float(state.next_at), longest),
                held_until=min(float(state.held_until), longest),
                paused_until=min(float(state.paused_until), longest),
            )
        except (OSError, ValueError, TypeError):
            return _State()


def _raise_if_paused(host: str, state: _State, now: float) -> None:
    """Raise `SourcePaused` while the host is left alone."""
    if state.paused_until > now:
        until = datetime.fromtimestamp(state.paused_until, UTC)
        raise SourcePaused(
            f"{host} is left alone until {until:%Y-%m-%d %H:%M} UTC ({state.cause}).",
            remedy="Run again then; --retry-now asks it at once.",
        )

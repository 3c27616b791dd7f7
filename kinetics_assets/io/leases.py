"""Leases of GPUs: which process works on which device of this machine.

A device has one or more slots; a slot is a lock file, and holding its lock is holding the slot. The
kernel keeps the lock for as long as any process has the open file: the one that took it, its forks,
and the programs it was handed to (`lease_descriptors`). When the last of them dies, however it
dies, the slot is free: there is no daemon, no time-out and no stale lease. What is written in the
file is for people only.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import Locked
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.io.machine import machine_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_SLOT_FILE = re.compile(r"(?P<device>.+)\.slot(?P<slot>[0-9]+)")
_held: list[Lease] = []
"""What this process has taken."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One slot of one device, held until the last process that has it ends."""

    device: str
    """Name of the device for CUDA_VISIBLE_DEVICES."""
    slot: int
    """Number of the slot, from 0."""
    descriptor: int
    """The open lock file; closed when another program is executed, unless it is passed on."""

    def release(self) -> None:
        """Let go of the slot; it is free when no child has it either."""
        _held.remove(self)
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class SlotState:
    """One slot as `slot_states` saw it."""

    device: str
    """Name of the device, as far as it can be in a file name."""
    slot: int
    is_held: bool
    holder: str = ""
    """What the holder said of itself, empty for a free slot."""
    pids: tuple[int, ...] = ()
    """Processes that keep it, as far as this user may see them."""


def hold_device(
    devices: Sequence[str],
    *,
    slots: int,
    holder: str,
    folder: Path | None = None,
    deadline_seconds: float | None = None,
) -> Lease:
    """Return a lease on the device with the most free slots, waiting for one if need be.

    Args:
        devices: Names to choose from, at least one.
        slots: Slots of each device, at least 1.
        holder: Who takes it and for what, for people.
        folder: Where the lock files are, by default this machine's; they are never deleted.
        deadline_seconds: Longest wait; None waits for as long as it takes.

    Raises:
        Locked: No slot became free in time; names who holds them.
        EnvironmentFault: The folder cannot be written.
        ValueError: No device, or no slot.
    """
    if not devices or slots < 1:
        raise ValueError(f"{len(devices)} devices with {slots} slots each cannot be leased")
    folder = folder or leases_folder()
    with os_faults(f"leasing a GPU in {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        started, pause = time.monotonic(), _FIRST_PAUSE_SECONDS
        while (lease := _take_any(folder, devices, slots=slots)) is None:
            waited = time.monotonic() - started
            if deadline_seconds is not None and waited >= deadline_seconds:
                raise _all_taken(folder, waited)
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads looks, no secret
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        words = {"pid": os.getpid(), "holder": holder, "since": time.strftime("%FT%T%z")}
        os.ftruncate(lease.descriptor, 0)
        os.pwrite(lease.descriptor, json.dumps(words).encode(), 0)
    _held.append(lease)
    return lease


def held_lease() -> Lease | None:
    """Return the lease that this process took, or the process it was forked from."""
    return _held[-1] if _held else None


def lease_descriptors() -> tuple[int, ...]:
    """Return what a child must be given (``pass_fds``) so that it keeps the device if we die."""
    return tuple(lease.descriptor for lease in _held)


def slot_states(folder: Path | None = None) -> list[SlotState]:
    """Return every slot that was ever leased on this machine, and who holds it now."""
    folder = folder or leases_folder()
    states = []
    with os_faults(f"reading {folder}"):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            name = _SLOT_FILE.fullmatch(path.name)
            if name is None:
                continue
            device, slot = name["device"], int(name["slot"])
            if _is_free(path):
                states.append(SlotState(device, slot, is_held=False))
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            states.append(SlotState(device, slot, True, text, _processes_with(path)))
    return states


def leases_folder() -> Path:
    """Return the folder of this machine's leases."""
    return machine_folder() / "gpu"


def _take_any(folder: Path, devices: Sequence[str], *, slots: int) -> Lease | None:
    """Return a lease on a free slot, None if there is none at the moment."""
    order = list(devices)
    if slots > 1:  # work spreads over the devices before two steps share one
        random.shuffle(order)
        order.sort(key=lambda device: _busy(folder, device, slots=slots))
    for device in order:
        for slot in range(slots):
            descriptor = _lock(_slot_path(folder, device, slot), fcntl.LOCK_EX)
            if descriptor is not None:
                return Lease(device, slot, descriptor)
    return None


def _busy(folder: Path, device: str, *, slots: int) -> int:
    """Return how many slots of a device are held."""
    return sum(not _is_free(_slot_path(folder, device, slot)) for slot in range(slots))


def _is_free(path: Path) -> bool:
    """Return whether nobody holds a slot. Who tries to take it meanwhile has to try again."""
    descriptor = _lock(path, fcntl.LOCK_SH)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is not None


def _lock(path: Path, kind: int) -> int | None:
    """Return the descriptor of the locked file, None if another process has a lock on it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _slot_path(folder: Path, device: str, slot: int) -> Path:
    """Return the lock file of a slot; older names of MIG instances have slashes."""
    return folder / f"{_UNSAFE.sub('_', device)}.slot{slot}"


def _all_taken(folder: Path, waited_seconds: float) -> Locked:
    """Return the error that names who holds the slots."""
    states = [state for state in slot_states(folder) if state.is_held]
    holders = "; ".join(f"{s.device} slot {s.slot}: {s.holder} {list(s.pids)}" for s in states)
    return Locked(
        f"No GPU became free within {waited_seconds:.0f} s. {holders}",
        remedy="Wait for one of these processes to end, or raise limits.gpu_slots.",
    )


def _processes_with(path: Path) -> tuple[int, ...]:
    """Return the processes that have a file open, as far as this user may look."""
    wanted, found = str(path.resolve()), []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            names = {str(entry.readlink()) for entry in (folder / "fd").iterdir()}
        except OSError:
            continue  # it ended, or is another user's
        if wanted in names:
            found.append(int(folder.name))
    return tuple(sorted(found))

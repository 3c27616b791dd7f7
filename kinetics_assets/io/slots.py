"""CPU slots that all steps on this machine share.

A slot is a lock file; holding its lock is holding the slot. The kernel frees it when the holder
dies, so there is no daemon, no time-out and no stale lease. Like every lock of this kind it counts
per machine: a folder on a network file system is no good place for slots.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import Locked
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.io.machine import machine_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PAUSE_SECONDS = 0.2


@contextmanager
def lease_slots(folder: Path, *, total: int, want: int, wait: bool = True) -> Iterator[int]:
    """Yield how many slots are held, 1 to `want`, for the length of the block.

    One slot is waited for; further ones are taken if they are free at that moment. A step that
    waited for all of them could wait for another that does the same.

    Args:
        folder: Where the slot files are; created if missing, the files are never deleted.
        total: Slots of this machine, at least 1.
        want: Most slots to take, at least 1.
        wait: Whether to wait for the first one, or to fail at once.

    Raises:
        Locked: no slot is free and `wait` is False.
        EnvironmentFault: the folder cannot be written.
        ValueError: `total` or `want` is below 1.
    """
    if total < 1 or want < 1:
        raise ValueError(f"total ({total}) and want ({want}) must be at least 1")
    held: list[int] = []
    try:
        _take(folder, total=total, want=want, held=held)
        while not held:
            if not wait:
                raise Locked(
                    f"All {total} CPU slots of this machine are taken.",
                    remedy="Wait for a step to end, or raise limits.workers.",
                )
            time.sleep(_PAUSE_SECONDS)
            _take(folder, total=total, want=want, held=held)
        yield len(held)
    finally:
        for fd in held:
            os.close(fd)


def _take(folder: Path, *, total: int, want: int, held: list[int]) -> None:
    """Add the descriptors of free slots to `held`, up to `want`.

    The list is the caller's, so that what is held is closed even if the next slot raises.
    """
    with os_faults(f"taking CPU slots in {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(total):
            if len(held) == want:
                return
            path = folder / f"cpu.slot{number}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
            except BaseException:
                os.close(fd)
                raise
            else:
                held.append(fd)


def slots_folder() -> Path:
    """Return the folder of this machine's slots."""
    return machine_folder() / "slots"

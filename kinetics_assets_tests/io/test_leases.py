"""Leases of devices: never more than the slots, free when the last holder is dead."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from kinetics_assets.core.errors import Locked
from kinetics_assets.io.leases import Lease, hold_device, lease_descriptors, slot_states
from kinetics_assets_tests.io.children import child, said

HOLD = """
import sys, subprocess
from kinetics_assets.io.leases import hold_device, lease_descriptors
lease = hold_device(sys.argv[1].split(","), slots=int(sys.argv[2]), holder="a test")
kept = lease_descriptors() if "keep" in sys.argv[3:] else ()
helper = subprocess.Popen(["sleep", "1000"], pass_fds=kept, start_new_session=True)
print(lease.device, lease.slot, helper.pid, flush=True)
sys.stdin.read()
"""


def _try(*devices: str, slots: int = 1) -> Lease | None:
    """Return a lease if one is to be had at once."""
    try:
        return hold_device(devices, slots=slots, holder="try", deadline_seconds=0)
    except Locked:
        return None


def test_there_are_as_many_leases_as_slots_and_work_spreads_first() -> None:
    """Two devices with two slots give four leases; both devices get one before either has two."""
    taken = [hold_device(["a", "b"], slots=2, holder=str(n)) for n in range(4)]
    assert {lease.device for lease in taken[:2]} == {"a", "b"}
    assert sorted((lease.device, lease.slot) for lease in taken) == [
        *(("a", 0), ("a", 1), ("b", 0), ("b", 1))
    ]
    assert _try("a", "b", slots=2) is None
    first = taken.pop(0)
    first.release()
    again = _try("a", "b", slots=2)
    assert again is not None
    assert (again.device, again.slot) == (first.device, first.slot)
    for lease in (again, *taken):
        lease.release()
    assert lease_descriptors() == ()


def test_who_waits_in_vain_is_told_who_holds_the_device() -> None:
    """The message of a wait that was limited has the process and what it does."""
    with child(HOLD, "a", 1) as holder:
        said(holder)
        with pytest.raises(Locked, match=rf"a slot 0.*a test.*\[{holder.pid}\]"):
            hold_device(["a"], slots=1, holder="late", deadline_seconds=0.2)


def test_a_killed_holder_leaves_a_free_device_and_its_helper_does_not_matter() -> None:
    """The moment it is dead the slot is free; a helper that was handed nothing holds nothing."""
    with child(HOLD, "a", 1) as holder:
        helper = int(said(holder).split()[2])
        assert _try("a") is None
        holder.kill()
        holder.wait()
        try:
            lease = _try("a")
            assert lease is not None
            lease.release()
        finally:
            os.kill(helper, 9)


def test_a_helper_that_was_handed_the_lease_keeps_it_until_it_ends() -> None:
    """A program on the device outlives its step: nobody else gets the device meanwhile."""
    with child(HOLD, "a", 1, "keep") as holder:
        helper = int(said(holder).split()[2])
        watch = os.pidfd_open(helper)
        holder.kill()
        holder.wait()
        assert _try("a") is None
        (state,) = slot_states()
        assert (state.is_held, state.pids) == (True, (helper,))
        os.kill(helper, 9)
        lease = hold_device(["a"], slots=1, holder="next", deadline_seconds=60)
        lease.release()
        os.close(watch)


def test_the_states_tell_every_slot() -> None:
    """Free ones have no holder; held ones say who, since when and as which process."""
    with child(HOLD, "MIG-GPU-1/2/3", 1) as holder:
        said(holder)
        lease = hold_device(["b"], slots=1, holder="for a moment")
        lease.release()
        held, free = slot_states()
        assert (held.device, held.slot, held.pids) == ("MIG-GPU-1_2_3", 0, (holder.pid,))
        assert str(holder.pid) in held.holder
        assert "a test" in held.holder
        assert (free.device, free.is_held, free.holder) == ("b", False, "")
    assert slot_states(Path("/nonexistent")) == []


def test_a_lease_is_not_left_to_programs_that_are_executed() -> None:
    """Only who is handed the descriptor has it; regression guard against inherited locks."""
    lease = hold_device(["a"], slots=1, holder="me")
    code = f"import os; os.fstat({lease.descriptor})"
    python = ["python3", "-c", code]
    without = subprocess.run(python, capture_output=True, text=True, close_fds=False, check=False)
    assert os.strerror(errno.EBADF) in without.stderr
    handed = subprocess.run(python, pass_fds=lease_descriptors(), check=False)
    assert handed.returncode == 0
    lease.release()


def test_impossible_orders_are_refused() -> None:
    """No device or no slot is a bug of the caller."""
    for devices, slots in ((), 1), (("a",), 0):
        with pytest.raises(ValueError, match="cannot be leased"):
            hold_device(devices, slots=slots, holder="nobody")


def test_a_lock_that_the_disk_refuses_leaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error other than 'held' is passed on, and the file is closed."""

    def broken(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr("fcntl.flock", broken)
    with pytest.raises(OSError, match="no locks"):
        hold_device(["a"], slots=1, holder="me", folder=tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before

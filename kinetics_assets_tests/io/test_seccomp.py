"""The filter's verdicts, read off the program by a small interpreter, for both machines."""

from __future__ import annotations

import struct

import pytest

from kinetics_assets.io import seccomp

ALLOW, KILL, REFUSE, NO_SUCH_CALL = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PID = 4242


def verdict(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """Return what the filter for `machine` answers to a call."""
    program = seccomp.filter_program(machine, own_pid=PID)
    words = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, AUDIT[machine] if audit is None else audit, 0, *words)
    steps = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at, loaded = 0, 0
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        match code:
            case 0x20:
                loaded = struct.unpack_from("<I", data, value)[0]
            case 0x15:
                at += if_true if loaded == value else if_false
            case 0x45:
                at += if_true if loaded & value else if_false
            case 0x06:
                return value
            case _:
                pytest.fail(f"unknown instruction {code:#x}")


# number of each call on the two machines
CALLS = {
    "socket": (41, 198), "connect": (42, 203), "execve": (59, 221), "execveat": (322, 281),
    "ptrace": (101, 117), "io_uring_setup": (425, 425), "setns": (308, 268),
    "process_vm_writev": (311, 271), "bpf": (321, 280), "mount": (165, 40), "setsid": (112, 157),
    "tkill": (200, 130), "sendto": (44, 206), "socketpair": (53, 199),
}  # fmt: skip


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("call", CALLS)
def test_dangerous_calls_are_refused(machine: str, call: str) -> None:
    """Network, programs, tracing, other processes' memory, mounts: EPERM."""
    assert verdict(machine, CALLS[call][machine == "aarch64"]) == REFUSE


@pytest.mark.parametrize("number", [57, 58])
def test_the_old_forks_are_refused(number: int) -> None:
    """The calls fork and vfork exist on x86-64 only."""
    assert verdict("x86_64", number) == REFUSE


@pytest.mark.parametrize(("machine", "read", "openat"), [("x86_64", 0, 257), ("aarch64", 63, 56)])
def test_reading_and_opening_files_is_allowed(machine: str, read: int, openat: int) -> None:
    """What decoding needs passes."""
    assert verdict(machine, read) == verdict(machine, openat) == ALLOW


@pytest.mark.parametrize(("machine", "clone"), [("x86_64", 56), ("aarch64", 220)])
def test_only_threads_may_be_cloned(machine: str, clone: int) -> None:
    """The call clone passes with CLONE_THREAD only; clone3 hides its flags and does not exist."""
    assert verdict(machine, clone, 0x003D0F00) == ALLOW
    assert verdict(machine, clone, 0x01200011) == REFUSE
    assert verdict(machine, 435) == NO_SUCH_CALL


@pytest.mark.parametrize(
    ("machine", "kill", "tgkill"), [("x86_64", 62, 234), ("aarch64", 129, 131)]
)
def test_signals_reach_the_process_itself_only(machine: str, kill: int, tgkill: int) -> None:
    """abort() works, killing the parent or a group does not."""
    for number in (kill, tgkill):
        assert verdict(machine, number, PID) == ALLOW
        assert verdict(machine, number, PID + 1) == REFUSE
        assert verdict(machine, number, 0) == REFUSE
        assert verdict(machine, number, 2**32 - PID) == REFUSE


@pytest.mark.parametrize(("machine", "prlimit"), [("x86_64", 302), ("aarch64", 261)])
def test_limits_can_be_read_but_not_set(machine: str, prlimit: int) -> None:
    """The call prlimit with a new value is refused, whichever half of the pointer has bits."""
    assert verdict(machine, prlimit, 0, 7, 0, 0x7FFF_0000_1000) == ALLOW
    assert verdict(machine, prlimit, 0, 7, 0x1000) == REFUSE
    assert verdict(machine, prlimit, 0, 7, 0x7FFF_0000_0000) == REFUSE


def test_other_instruction_sets_are_no_way_around() -> None:
    """32-bit x86 ends the process; the x32 numbering does not exist."""
    assert verdict("x86_64", 3, audit=0x40000003) == KILL
    assert verdict("x86_64", 0x40000000 | 41) == NO_SUCH_CALL


def test_an_unknown_machine_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a table there is no filter, and that is said."""
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert "riscv64" in seccomp.install()

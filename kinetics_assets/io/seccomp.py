"""A system-call filter for a process that reads hostile bytes: no network, no programs, no kin.

The filter is classic BPF, put together here and installed through `prctl` by the process itself,
for good. Refused calls fail with EPERM, so that a library which merely tries (a resolver, a thread
pool) gets an error instead of a signal. What cannot be judged is refused: a foreign architecture
and the 32-bit numbering on x86-64 end the process or fail.

The tables name what is refused rather than what is allowed: codecs, allocators and C libraries
change their mix of harmless calls with every release, the dangerous ones are a closed set.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_MODE_FILTER = 2

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_BITS = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_ERRNO = 0x00050000
_REFUSE = _ERRNO | errno.EPERM
_NO_SUCH_CALL = _ERRNO | errno.ENOSYS

# offsets in struct seccomp_data; both machines are little-endian
_NUMBER = 0
_ARCHITECTURE = 4
_ARGUMENTS = 16

_CLONE_THREAD = 0x00010000
_X32_BIT = 0x40000000


@dataclass(frozen=True, slots=True)
class _Machine:
    """System-call numbers of one architecture."""

    audit: int
    """AUDIT_ARCH value that the kernel reports."""
    refused: dict[str, int]
    """Calls that always fail."""
    clone: int
    signals: tuple[int, ...]
    """kill and tgkill: allowed on the process itself only (abort, raise)."""
    prlimit: int
    """Reading limits is allowed, setting them is not."""
    has_x32: bool = False


_COMMON = {
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "pidfd_open": 434,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
}
_CLONE3 = 435
"""Its flags lie behind a pointer that a filter cannot follow; ENOSYS makes libc fall back."""

_MACHINES = {
    "x86_64": _Machine(
        audit=0xC000003E,
        has_x32=True,
        clone=56,
        signals=(62, 234),
        prlimit=302,
        refused=_COMMON
        | {
            "socket": 41,
            "connect": 42,
            "accept": 43,
            "sendto": 44,
            "sendmsg": 46,
            "bind": 49,
            "listen": 50,
            "socketpair": 53,
            "fork": 57,
            "vfork": 58,
            "execve": 59,
            "ptrace": 101,
            "setpgid": 109,
            "setsid": 112,
            "rt_sigqueueinfo": 129,
            "personality": 135,
            "pivot_root": 155,
            "setrlimit": 160,
            "chroot": 161,
            "mount": 165,
            "umount2": 166,
            "swapon": 167,
            "reboot": 169,
            "init_module": 175,
            "delete_module": 176,
            "tkill": 200,
            "kexec_load": 246,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "unshare": 272,
            "accept4": 288,
            "rt_tgsigqueueinfo": 297,
            "perf_event_open": 298,
            "name_to_handle_at": 303,
            "open_by_handle_at": 304,
            "sendmmsg": 307,
            "setns": 308,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "kcmp": 312,
            "finit_module": 313,
            "kexec_file_load": 320,
            "bpf": 321,
            "execveat": 322,
            "userfaultfd": 323,
        },
    ),
    "aarch64": _Machine(
        audit=0xC00000B7,
        clone=220,
        signals=(129, 131),
        prlimit=261,
        refused=_COMMON
        | {
            "umount2": 39,
            "mount": 40,
            "pivot_root": 41,
            "chroot": 51,
            "personality": 92,
            "unshare": 97,
            "kexec_load": 104,
            "init_module": 105,
            "delete_module": 106,
            "ptrace": 117,
            "tkill": 130,
            "rt_sigqueueinfo": 138,
            "reboot": 142,
            "setpgid": 154,
            "setsid": 157,
            "setrlimit": 164,
            "socket": 198,
            "socketpair": 199,
            "bind": 200,
            "listen": 201,
            "accept": 202,
            "connect": 203,
            "sendto": 206,
            "sendmsg": 211,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "execve": 221,
            "swapon": 224,
            "rt_tgsigqueueinfo": 240,
            "perf_event_open": 241,
            "accept4": 242,
            "name_to_handle_at": 264,
            "open_by_handle_at": 265,
            "setns": 268,
            "sendmmsg": 269,
            "process_vm_readv": 270,
            "process_vm_writev": 271,
            "kcmp": 272,
            "finit_module": 273,
            "bpf": 280,
            "execveat": 281,
            "userfaultfd": 282,
            "kexec_file_load": 294,
        },
    ),
}


def install() -> str:  # pragma: no cover - its caller can write no report
    """Install the filter for the calling process and return "", or why it could not be had.

    Call it while the process has one thread; threads made later inherit the filter.
    """
    machine = platform.machine()
    if machine not in _MACHINES:
        return f"no system-call filter for {machine or 'an unknown machine'}"
    program = filter_program(machine, own_pid=os.getpid())
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return f"no_new_privs refused: {os.strerror(ctypes.get_errno())}"
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a 16-bit count, then an aligned pointer
    header = struct.pack("H6xQ", len(program) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.create_string_buffer(header), 0, 0):
        return f"system-call filter refused: {os.strerror(ctypes.get_errno())}"
    return ""


def filter_program(machine: str, *, own_pid: int) -> bytes:
    """Return the filter for `machine` as an array of struct sock_filter (8 bytes each).

    Args:
        machine: A key of the tables: "x86_64" or "aarch64".
        own_pid: The one process that may be sent a signal.
    """
    table = _MACHINES[machine]
    code = [_load(_ARCHITECTURE), _unless_equal(table.audit, _KILL), _load(_NUMBER)]
    if table.has_x32:
        code.append(_if_bits(_X32_BIT, _NO_SUCH_CALL))
    code.append(_if_equal(_CLONE3, _NO_SUCH_CALL))
    code += [_if_equal(number, _REFUSE) for number in sorted(table.refused.values())]
    code.append(_when(table.clone, _load(_ARGUMENTS) + _unless_bits(_CLONE_THREAD, _REFUSE)))
    own = _load(_ARGUMENTS) + _unless_equal(own_pid, _REFUSE)
    code += [_when(number, own) for number in table.signals]
    # prlimit64(pid, which, new, old): refuse unless both halves of `new` are zero
    new = _ARGUMENTS + 2 * 8
    halves = b"".join(_load(offset) + _unless_equal(0, _REFUSE) for offset in (new, new + 4))
    code += [_when(table.prlimit, halves), _step(_RETURN, _ALLOW)]
    return b"".join(code)


def _step(code: int, value: int, *, skip_if: int = 0, skip_unless: int = 0) -> bytes:
    """Return one instruction; the skips count instructions."""
    return struct.pack("HBBI", code, skip_if, skip_unless, value)


def _load(offset: int) -> bytes:
    """Return: load the 32-bit word at `offset` of the call's description."""
    return _step(_LOAD, offset)


def _if_equal(value: int, action: int) -> bytes:
    """Return: end with `action` if the loaded word is `value`."""
    return _step(_JUMP_EQUAL, value, skip_unless=1) + _step(_RETURN, action)


def _unless_equal(value: int, action: int) -> bytes:
    """Return: end with `action` unless the loaded word is `value`."""
    return _step(_JUMP_EQUAL, value, skip_if=1) + _step(_RETURN, action)


def _if_bits(mask: int, action: int) -> bytes:
    """Return: end with `action` if the loaded word has a bit of `mask`."""
    return _step(_JUMP_BITS, mask, skip_unless=1) + _step(_RETURN, action)


def _unless_bits(mask: int, action: int) -> bytes:
    """Return: end with `action` if the loaded word has no bit of `mask`."""
    return _step(_JUMP_BITS, mask, skip_if=1) + _step(_RETURN, action)


def _when(number: int, checks: bytes) -> bytes:
    """Return: for the call `number` run `checks`, which load other words, then allow it."""
    body = checks + _step(_RETURN, _ALLOW)
    return _step(_JUMP_EQUAL, number, skip_unless=len(body) // 8) + body

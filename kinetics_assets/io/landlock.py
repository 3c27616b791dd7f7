"""Confining the writes of a process to some folders, for good, without privileges (Landlock).

Below the folders files may be made and written, not removed or renamed; elsewhere nothing may be
changed. Reading stays as it was: libraries and sources lie anywhere, and what a process without
network has read it can only write into its own results.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# the same numbers on every architecture
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_BENEATH_PATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
_MAKE_REGULAR = 1 << 8
_REFER = 1 << 13  # from version 2
_TRUNCATE = 1 << 14  # from version 3


def confine_writes(folders: Sequence[str]) -> str:  # pragma: no cover - as `seccomp.install`
    """Let this process write below `folders` only and return "", or why that could not be had.

    Raises:
        OSError: One of the folders cannot be opened.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < 1:
        return f"no Landlock, writes are not confined: {os.strerror(ctypes.get_errno())}"
    handled = _EXECUTE | _WRITE_FILE | _REMOVE_AND_MAKE
    handled |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    allowed = (_WRITE_FILE | _MAKE_REGULAR | _TRUNCATE) & handled
    attributes = struct.pack("Q", handled)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return f"Landlock refused: {os.strerror(ctypes.get_errno())}"
    try:
        for folder in folders:
            opened = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                rule = struct.pack("=Qi", allowed, opened)
                if libc.syscall(_ADD_RULE, ruleset, _BENEATH_PATH, rule, 0):
                    return f"Landlock refused {folder}: {os.strerror(ctypes.get_errno())}"
            finally:
                os.close(opened)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(_RESTRICT_SELF, ruleset, 0):
            return f"Landlock refused: {os.strerror(ctypes.get_errno())}"
    finally:
        os.close(ruleset)
    return ""

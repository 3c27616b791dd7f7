"""A confined child process that works on hostile bytes, reused for many calls.

The parent trusts the child with nothing: it reads one JSON line of limited length per call, watches
the wall clock, raises the CPU allowance call by call, and kills and reaps the whole process group
on any overrun. What the child did wrong comes back as the error of the one clip; what the machine
did wrong (no space, no permission, no tool) as an environment fault. The next call starts a new
child.

What a child may not do: open sockets, start programs, processes, tracers or mounts, signal others,
raise its own limits (see `kinetics_assets.io.seccomp`); write or remove files outside the folders
it is given (see `kinetics_assets.io.landlock`); outlive its parent; fill memory, disk or time
without bound. What it may still do is read files as this user, and write below those folders.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Self

from kinetics_assets.core.errors import (
    DecoderCrashed,
    InternalError,
    OverLimit,
    SandboxUnusable,
    ToolMissing,
    clip_error,
    environment_fault,
)
from kinetics_assets.core.reasons import Kind, Reason
from kinetics_assets.io.confined import ConfinedChild, KilledFromOutsideError, clean_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from kinetics_assets.core.settings import Limits

_KILLED_REMEDY = (
    "Free memory, run fewer steps at a time or lower `limits.memory_bytes`, and run again."
)


class Sandbox:
    """One confined child at a time; start lazily, close when done (a context manager)."""

    def __init__(
        self, module: str, *, limits: Limits, writable: Sequence[Path] | None = None
    ) -> None:
        """Remember what to run.

        Args:
            module: Module whose ``OPERATIONS`` (name -> function of JSON-able keywords, returning a
                JSON-able dict) the child offers. Never taken from data.
            limits: Caps on each call.
            writable: Existing folders below which the child may write; None means anywhere.
        """
        self._module = module
        self._limits = limits
        self._writable = (
            None if writable is None else tuple(str(folder.resolve()) for folder in writable)
        )
        self._child: ConfinedChild | None = None
        self._degraded: tuple[str, ...] | None = None
        self._lock = threading.Lock()

    @property
    def degraded(self) -> tuple[str, ...]:
        """Protections that could not be had on this machine; starts a child to find out."""
        with self._lock:
            if self._degraded is None:
                self._ready_child()
            return self._degraded or ()

    def call(self, operation: str, /, **arguments: object) -> dict[str, Any]:
        """Return what the child's `operation` returns for `arguments`.

        An operation may be run a second time when something outside killed the child.

        Raises:
            ClipError: The operation's own verdict, or OverLimit or DecoderCrashed.
            EnvironmentFault: The machine is at fault.
            OSError: A file could not be used, for a reason that is not known as the machine's.
            InternalError: The operation is wrong.
        """
        request = {"operation": operation, "arguments": arguments}
        line = json.dumps(request).encode() + b"\n"
        with self._lock:
            try:
                return _judged(self._exchange(line))
            except KilledFromOutsideError:
                pass
            try:
                return _judged(self._exchange(line))
            except KilledFromOutsideError as error:
                # it has a limit of its own and may signal nobody: this was not the clip
                raise SandboxUnusable(
                    "The decoding process was killed twice, most likely for want of memory.",
                    remedy=_KILLED_REMEDY,
                ) from error

    def close(self) -> None:
        """Kill the child, if there is one."""
        with self._lock:
            self._drop_child()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _exchange(self, line: bytes) -> dict[str, Any]:
        """Return the child's answer to `line`; drop a child that cannot be used again."""
        child = self._ready_child()
        keep = False
        try:
            child.allow_cpu(self._limits.clip_cpu_seconds)
            answer = child.ask(line, seconds=self._limits.clip_wall_seconds)
            keep = "out_of_memory" not in answer and "bug" not in answer
        finally:
            if not keep:
                self._drop_child()
        return answer

    def _ready_child(self) -> ConfinedChild:
        """Return a child that is ready for a request."""
        if self._child is not None and self._child.is_alive:
            return self._child
        self._drop_child()
        self._child = ConfinedChild(self._module, self._limits, writable=self._writable)
        self._degraded = self._child.degraded
        return self._child

    def _drop_child(self) -> None:
        """Kill and reap the child, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()


def _judged(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the result in `answer`, or raise what it tells of."""
    message = clean_text(str(answer.get("message", "")))
    match answer:
        case {"result": dict(result)}:
            return result
        case {"clip_error": str(code)} if code in set(Reason):
            if Reason(code).kind in {Kind.PERMANENT, Kind.RETRYABLE}:
                raise clip_error(Reason(code), message)
        case {"out_of_memory": True}:
            raise OverLimit("More memory than one clip may take.")
        case {"file_too_large": True}:
            raise OverLimit("The result is larger than one file may be.")
        case {"missing": str(name)}:
            raise ToolMissing(
                f"The Python package {clean_text(name) or 'that decodes media'} ({message})",
                "Install it again: pip install --force-reinstall av numpy simplejpeg",
            )
        case {"errno": int(number), "path": str(path)}:
            where = clean_text(path)
            error = OSError(number, message, where) if where else OSError(number, message)
            fault = environment_fault(error, doing=f"working on {where or 'a media file'}")
            raise fault or error
        case {"bug": str(text)}:
            raise InternalError(f"An operation on media failed:\n{text}")
    raise DecoderCrashed("The decoding process answered nonsense.")

"""The child's side of `kinetics_assets.io.sandbox`: confine oneself, then answer requests.

Run as a file by an isolated interpreter. The first line on standard input says what to allow and
which module holds the operations; each further line is one request, answered by one line. Nothing
of the operations' module is imported before the limits and the filter are in force.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import os
import resource
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from io import BufferedReader

_PR_SET_PDEATHSIG = 1
_BUG_CHARACTERS = 4000


def main() -> None:
    """Serve requests until standard input ends."""
    _die_with_parent()
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.dup(1)
    # whatever a library prints goes to standard error; whatever it reads is empty
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - pathlib costs start-up time
        os.dup2(nothing.fileno(), 0)
    config = json.loads(requests.readline())
    if os.getppid() != config["parent_pid"]:
        return  # the parent died before the death signal was set
    sys.path[:] = config["sys_path"]
    degraded = _confine(config)
    _send(answers, {"degraded": degraded})
    _serve(requests, answers, config)


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _confine(config: Mapping[str, Any]) -> list[str]:
    """Give up what decoding does not need; return what could not be given up."""
    # isort: split - sys.path is set just before
    from kinetics_assets.io import landlock, seccomp

    wanted = {
        "RLIMIT_AS": config["memory_bytes"],
        "RLIMIT_FSIZE": config["file_bytes"],
        "RLIMIT_NOFILE": config["open_files"],
        # not one thread or process more, whatever else this user runs; root is exempt
        "RLIMIT_NPROC": 0,
        "RLIMIT_CORE": 0,
    }
    degraded = [text for name, value in wanted.items() if (text := _limit(name, value))]
    if config["writable"] is not None:
        degraded.append(landlock.confine_writes(config["writable"]))
    degraded.append(seccomp.install())
    return [text for text in degraded if text]


def _limit(name: str, value: int) -> str:
    """Set a resource limit for good and return "", or why it could not be set."""
    which = getattr(resource, name)
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    try:
        resource.setrlimit(which, (value, value))
    except (OSError, ValueError) as error:
        return f"{name} refused: {error}"
    return ""


def _serve(requests: BufferedReader, answers: int, config: Mapping[str, Any]) -> None:
    """Answer one line per request until there are no more."""
    operations: Mapping[str, Callable[..., dict[str, Any]]] | None = None
    for line in requests:
        try:
            if operations is None:
                operations = importlib.import_module(config["module"]).OPERATIONS
            request = json.loads(line)
            result = operations[request["operation"]](**request["arguments"])
            answer = {"result": result}
        except Exception as error:  # noqa: BLE001 - the parent turns each into its own kind
            answer = _failure(error, config["file_bytes"])
        _send(answers, answer)


def _failure(error: Exception, file_bytes: int) -> dict[str, Any]:
    """Return the answer that describes `error`; `file_bytes` is our own cap on a file."""
    from kinetics_assets.core.errors import ClipError

    if isinstance(error, ClipError):
        return {"clip_error": error.reason, "message": error.message}
    if isinstance(error, MemoryError):
        return {"out_of_memory": True}
    if isinstance(error, ImportError):
        return {"missing": error.name or "", "message": str(error)}
    if isinstance(error, OSError) and error.errno is not None:
        ours = resource.getrlimit(resource.RLIMIT_FSIZE)[0] == file_bytes
        if error.errno == errno.EFBIG and ours:
            return {"file_too_large": True}
        text = error.strerror or str(error)
        return {"errno": error.errno, "message": text, "path": str(error.filename or "")}
    return {"bug": "".join(traceback.format_exception(error))[-_BUG_CHARACTERS:]}


def _send(answers: int, answer: Mapping[str, Any]) -> None:
    """Write `answer` as one line."""
    view = memoryview(json.dumps(answer).encode() + b"\n")
    while view:
        view = view[os.write(answers, view) :]


if __name__ == "__main__":
    main()

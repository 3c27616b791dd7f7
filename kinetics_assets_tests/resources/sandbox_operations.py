"""What a sandboxed child is asked to do in tests: misbehave. No package code names this module."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def _tried(action: Any) -> Record:  # noqa: ANN401 - any function
    """Return the errno with which `action` fails, 0 if it works."""
    try:
        action()
    except OSError as error:
        return {"errno": error.errno}
    return {"errno": 0}


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _raise_limit() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    unlimited = (ctypes.c_ulong * 2)(2**64 - 1, 2**64 - 1)
    if libc.setrlimit(0, unlimited) != 0:
        raise OSError(ctypes.get_errno(), "setrlimit")


def _spin(*, seconds: float = 1e9) -> Record:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return {}


def _sleep(*, flag: str = "") -> Record:
    if flag:
        Path(flag).touch()
    time.sleep(1e6)
    return {}


def _hoard() -> Record:
    kept = [bytearray(16 << 20) for _ in range(1000)]
    return {"kept": len(kept)}


def _die(*, number: int) -> Record:
    os.kill(os.getpid(), number)
    return {}


def _die_once(*, flag: str) -> Record:
    if not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"survived": True}


def _babble() -> Record:
    return {"text": "x" * 1_000_000}


def _chatter() -> Record:
    os.write(2, b"noise " * 200_000)
    print("also on standard output")  # noqa: T201 - that is what is tested
    return {"done": True}


def _echo(**arguments: Any) -> Record:  # noqa: ANN401 - whatever JSON holds
    return arguments


def _facts() -> Record:
    return {
        "pid": os.getpid(),
        "environment": dict(os.environ),
        "open_files": sorted(int(entry.name) for entry in Path("/proc/self/fd").iterdir()),
        "session": os.getsid(0),
        "status": Path("/proc/self/status").read_text(encoding="utf-8"),
        "cwd": str(Path("/proc/self/cwd").readlink()),
        "av_is_loaded": "av" in sys.modules,
    }


def _missing() -> Record:
    raise ModuleNotFoundError("No module named 'av'", name="av")


def _change(*, how: str, path: str) -> Record:
    actions = {
        "remove": lambda: Path(path).unlink(),
        "rename": lambda: Path(path).rename(f"{path}.moved"),
        "truncate": lambda: os.truncate(path, 0),
        "make": lambda: Path(path).touch(),
        "make folder": lambda: Path(path).mkdir(),
        "link": lambda: Path(path).symlink_to("/etc/passwd"),
        "append": lambda: Path(path).open("ab").close(),
    }
    return _tried(actions[how])


def _write(*, path: str, size: int) -> Record:
    with Path(path).open("wb", buffering=0) as file:
        try:
            while size > 0:
                size -= file.write(b"x" * min(size, 1 << 16))
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from error
    return {}


def _os_error(*, number: int, path: str) -> Record:
    raise OSError(number, os.strerror(number), path)


def _bug() -> Record:
    raise ZeroDivisionError("a bug in an operation")


def _thread() -> Record:
    done: list[int] = []
    thread = threading.Thread(target=done.append, args=(1,))
    thread.start()
    thread.join()
    return {"ran": len(done)}


OPERATIONS = {
    "socket": lambda: _tried(socket.socket),
    "socketpair": lambda: _tried(socket.socketpair),
    "fork": lambda: _tried(_fork),
    "exec": lambda: _tried(lambda: os.execv("/bin/true", ["true"])),
    "subprocess": lambda: _tried(lambda: subprocess.run(["/bin/true"], check=False)),
    "signal parent": lambda: _tried(lambda: os.kill(os.getppid(), signal.SIGTERM)),
    "leave session": lambda: _tried(os.setsid),
    "raise limit": lambda: _tried(_raise_limit),
    "spin": _spin,
    "sleep": _sleep,
    "hoard": _hoard,
    "die": _die,
    "die once": _die_once,
    "babble": _babble,
    "chatter": _chatter,
    "echo": _echo,
    "facts": _facts,
    "missing": _missing,
    "write": _write,
    "change": _change,
    "os error": _os_error,
    "bug": _bug,
    "thread": _thread,
}

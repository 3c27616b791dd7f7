"""What yt-dlp needs on this machine for YouTube: a JavaScript runtime, and scripts to run in it.

Without them YouTube shows fewer formats, or none, and clips would fail for no fault of theirs. So
they are looked for before the first request.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from kinetics_assets.core.errors import ToolMissing

_LEAST = {"deno": (2, 3, 0), "node": (22, 0, 0)}
"""Oldest versions that yt-dlp takes, in the order of preference; deno shuts its scripts off from
the network and from files."""
_VERSION = re.compile(r"(?:^deno |^v)([0-9]+)\.([0-9]+)\.([0-9]+)", re.MULTILINE | re.ASCII)
_SCRIPTS = "yt-dlp-ejs"
_REMEDY = "Run `pip install 'kinetics-assets[youtube]'`."
_WAIT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class YouTubeTools:
    """Tools that can be used."""

    runtime: str
    """``deno`` or ``node``."""
    path: Path
    """Its program."""
    runtime_version: str
    scripts_version: str
    yt_dlp_version: str

    @property
    def js_runtimes(self) -> dict[str, dict[str, str]]:
        """The option of this name for yt-dlp."""
        return {self.runtime: {"path": str(self.path)}}


@cache
def youtube_tools() -> YouTubeTools:
    """Return the tools, looked for once in a process that has them.

    Raises:
        ToolMissing: A tool is missing or too old.
    """
    return find_youtube_tools()


def find_youtube_tools() -> YouTubeTools:
    """Return the tools that are on this machine now.

    Raises:
        ToolMissing: A tool is missing or too old; names it and the command that mends it.
    """
    scripts = _scripts_version()
    seen: list[str] = []
    for runtime, least in _LEAST.items():
        for path in _programs(runtime):
            found = _version_of(path)
            if found and found >= least:
                text = ".".join(map(str, found))
                return YouTubeTools(runtime, path, text, scripts, version("yt-dlp"))
            said = ".".join(map(str, found)) if found else "does not start"
            seen.append(f"{runtime} {said}")
    wanted = " or ".join(f"{name} {least[0]}.{least[1]}" for name, least in _LEAST.items())
    there = f"; found: {', '.join(dict.fromkeys(seen))}" if seen else ""
    raise ToolMissing(f"A JavaScript runtime for YouTube ({wanted} or later{there})", _REMEDY)


def _scripts_version() -> str:
    """Return the version of the scripts.

    Raises:
        ToolMissing: They are not there, or not those that the installed yt-dlp takes.
    """
    try:
        have = version(_SCRIPTS) if importlib.util.find_spec("yt_dlp_ejs") else ""
    except PackageNotFoundError:
        have = ""
    if not have:
        raise ToolMissing(f"{_SCRIPTS}, the scripts that yt-dlp runs for YouTube,", _REMEDY)
    pinned = re.compile(rf"{_SCRIPTS}==([0-9.]+)")
    wanted = next((m[1] for text in requires("yt-dlp") or () if (m := pinned.match(text))), have)
    if have.split(".")[:2] != wanted.split(".")[:2]:
        raise ToolMissing(
            f"{_SCRIPTS} {have} (yt-dlp {version('yt-dlp')} wants {wanted})",
            f"Run `pip install '{_SCRIPTS}=={wanted}'`.",
        )
    return have


def _programs(runtime: str) -> list[Path]:
    """Return where the program `runtime` may be: on the path, or installed as a package."""
    found = [Path(path)] if (path := shutil.which(runtime)) else []
    if runtime == "deno" and importlib.util.find_spec("deno"):
        try:
            found.append(Path(importlib.import_module("deno").find_deno_bin()))
        except FileNotFoundError:
            return found
    return found


def _version_of(path: Path) -> tuple[int, ...] | None:
    """Return the version that a program tells, None if it tells none."""
    try:
        done = subprocess.run(  # noqa: S603 - a program of this machine, with a fixed argument
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_WAIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stdout)
    return tuple(map(int, found.groups())) if found and done.returncode == 0 else None

"""Cookies of a login, read once and never written back.

yt-dlp writes the cookies that it ends with into the file that they came from. It is given a private
copy in memory instead: the user's file stays as it is, and no copy is left on a disk.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

_FIRST_LINE = re.compile(r"#( Netscape)? HTTP Cookie File")
_FIELDS = 7
_EXPIRES = re.compile(r"([0-9]+(\.[0-9]+)?)?", re.ASCII)
_MAX_BYTES = 4 * 2**20
_REMEDY = "Export the cookies of a browser in Netscape format (cookies.txt)."


@dataclass(frozen=True, slots=True)
class Cookies:
    """Cookies as text in Netscape format."""

    text: str = ""

    def __repr__(self) -> str:
        """Return how many there are, and none of them."""
        return f"Cookies({len(self.values)} hidden)"

    @property
    def values(self) -> tuple[str, ...]:
        """What must not be shown."""
        return tuple(fields[-1] for fields in _records(self.text))

    def copy(self) -> io.StringIO | None:
        """Return a file of their own for one downloader, None without cookies."""
        return io.StringIO(self.text) if self.text else None


def read_cookies(path: Path | None) -> Cookies:
    """Return the cookies in the file at `path`, none for None.

    Every line is checked here: yt-dlp would print one that it cannot read.

    Raises:
        SettingsError: The file cannot be read, or is not in Netscape format.
    """
    if path is None:
        return Cookies()
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise SettingsError(
            f"sources.youtube_cookies: {path} cannot be read ({why}).", remedy=_REMEDY
        ) from None
    lines = text.splitlines()
    if not lines or not _FIRST_LINE.match(lines[0]):
        raise SettingsError(
            f"sources.youtube_cookies: {path} does not begin as a cookie file.", remedy=_REMEDY
        )
    for number, line in enumerate(lines, 1):
        fields = _fields(line)
        if fields and (len(fields) != _FIELDS or not _EXPIRES.fullmatch(fields[4])):
            raise SettingsError(
                f"sources.youtube_cookies: line {number} of {path} is no cookie.", remedy=_REMEDY
            )
    return Cookies(text)


def _records(text: str) -> list[list[str]]:
    """Return the fields of each cookie in `text`."""
    return [fields for line in text.splitlines() if (fields := _fields(line))]


def _fields(line: str) -> list[str]:
    """Return the fields of a line, none for a comment or an empty one."""
    line = line.removeprefix("#HttpOnly_")
    return [] if line.startswith(("#", "$")) or not line.strip() else line.split("\t")

"""What clips are fetched with: yt-dlp and its JavaScript runtime, cookies, proxy, torrents."""

from __future__ import annotations

import re
import stat
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import KineticsError, SettingsError, ToolMissing
from kinetics_assets.sources.youtube_cookies import read_cookies
from kinetics_assets.sources.youtube_proxy import Proxy
from kinetics_assets.sources.youtube_tools import find_youtube_tools
from kinetics_assets.stages.doctor.check import Check, failed, lacking
from kinetics_assets.stages.doctor.probing import DIED, ask
from kinetics_assets.stages.paused import paused_sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kinetics_assets.core.settings import Settings, SourceSettings

YT_DLP_FLOOR = (2026, 7, 4)
"""First release without CVE-2026-55404."""
_OLD_DAYS = 120
_OLD_COOKIES_DAYS = 60
_CALENDAR = re.compile(r"(\d{4})\.(\d{1,2})\.(\d{1,2})", re.ASCII)


def supply_checks(settings: Settings, *, now: datetime) -> Iterator[Check]:
    """Yield what is found of the sources and their tools; nothing is asked of any network."""
    sources = settings.sources
    yield sources_check(settings)
    yield yt_dlp_check(sources, now=now)
    yield scripts_check(sources)
    yield cookies_check(sources, now=now)
    yield proxy_check(sources)
    yield torrent_check(sources)


def sources_check(settings: Settings, *, folder: Path | None = None) -> Check:
    """Return whether the sources are set up rightly, and which are left alone at present.

    Args:
        settings: Which sources there are.
        folder: Where the hosts' states are; None for this machine's.
    """
    order = ", ".join(settings.sources.order)
    try:
        paused = paused_sources(_without_cookies(settings), tuple(Split), folder=folder)
    except KineticsError as error:
        return failed("sources", error, state="missing")
    if not paused:
        return Check("sources", "ok", f"{order}; none is left alone.")
    return Check(
        "sources",
        "warning",
        "; ".join(
            f"{one.name} ({one.host}) is left alone until {one.until:%Y-%m-%d %H:%M} UTC:"
            f" {one.cause}"
            for one in paused
        ),
        f"Wait until then, or run `kinetics prepare {settings.dataset} --retry-now`.",
    )


def yt_dlp_check(sources: SourceSettings, *, now: datetime, installed: str | None = None) -> Check:
    """Return the version of yt-dlp and its age, in days.

    Args:
        sources: Whether it is needed.
        now: The time, with a zone.
        installed: The version; by default that of the package that is installed.
    """
    is_needed = "youtube" in sources.order
    remedy = "Run `pip install -U yt-dlp`."
    try:
        text = installed or version("yt-dlp")
    except PackageNotFoundError:
        return Check("yt-dlp", lacking(is_needed=is_needed), "It is not installed.", remedy)
    found = _CALENDAR.match(text)
    if found is None:
        return Check("yt-dlp", "warning", f"Version {text}, whose age it does not tell.", remedy)
    year, month, day = map(int, found.groups())
    if (year, month, day) < YT_DLP_FLOOR:
        floor = ".".join(map(str, YT_DLP_FLOOR))
        state = lacking(is_needed=is_needed, otherwise="warning")
        return Check("yt-dlp", state, f"Version {text} has a known hole before {floor}.", remedy)
    days = (now - datetime(year, month, day, tzinfo=UTC)).days
    if days > _OLD_DAYS:
        says = f"Version {text} is {days} days old; sites change faster than that."
        return Check("yt-dlp", "warning", says, remedy)
    return Check("yt-dlp", "ok", f"Version {text}, {max(days, 0)} days old.")


def scripts_check(sources: SourceSettings) -> Check:
    """Return which JavaScript runtime and scripts yt-dlp has for YouTube."""
    is_needed = "youtube" in sources.order and "youtube" in sources.youtube_extractors
    try:
        tools = find_youtube_tools()
    except ToolMissing as error:
        return failed("js runtime", error, state=lacking(is_needed=is_needed))
    except PackageNotFoundError:
        remedy = "Run `pip install 'kinetics-assets[youtube]'`."
        return Check("js runtime", lacking(is_needed=is_needed), "There is no yt-dlp.", remedy)
    return Check(
        "js runtime",
        "ok",
        f"{tools.runtime} {tools.runtime_version} at {tools.path},"
        f" yt-dlp-ejs {tools.scripts_version}.",
    )


def cookies_check(sources: SourceSettings, *, now: datetime) -> Check:
    """Return whether the cookies file can be used, who may read it and its age; no content."""
    path = sources.youtube_cookies
    if path is None:
        return Check(
            "cookies",
            "off",
            "None are set, so sites are asked as a guest.",
            "For videos that want a login, set sources.youtube_cookies to a cookies.txt.",
        )
    try:
        read_cookies(path)
        about = path.stat()
    except SettingsError as error:
        return failed("cookies", error, state="missing")
    except OSError as error:
        says = f"{path} cannot be read ({error.strerror})."
        return Check("cookies", "missing", says, "Export the cookies of a browser again.")
    days = (now - datetime.fromtimestamp(about.st_mtime, UTC)).days
    says = f"{path}, mode {stat.S_IMODE(about.st_mode):03o}, {max(days, 0)} days old"
    if about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Check(
            "cookies",
            "warning",
            f"{says}: others may use it, and with it the login.",
            f"Run `chmod 600 '{path}'`.",
        )
    if days > _OLD_COOKIES_DAYS:
        return Check(
            "cookies",
            "warning",
            f"{says}; sites end logins sooner than that.",
            "Export the cookies of a browser again.",
        )
    return Check("cookies", "ok", f"{says}.")


def proxy_check(sources: SourceSettings) -> Check:
    """Return which proxy is set, without user and password; it is not asked."""
    proxy = Proxy.of(sources.youtube_proxy)
    if proxy is None:
        return Check(
            "proxy",
            "off",
            "None is set; the proxies of the environment are never used.",
            "If this machine needs one, set sources.youtube_proxy.",
        )
    login = " with a login" if proxy.user or proxy.password else ""
    return Check("proxy", "ok", f"{proxy.address}{login}, for the source youtube.")


def torrent_check(sources: SourceSettings) -> Check:
    """Return whether libtorrent can be loaded; needed when a torrent is set."""
    answer = ask("imports", "libtorrent")
    is_needed = bool(sources.torrent_file) and "torrent" in sources.order
    remedy = "Run `pip install 'kinetics-assets[torrent]'`."
    if DIED in answer:
        state = lacking(is_needed=is_needed, otherwise="warning")
        return Check("torrent", state, f"Loading libtorrent {answer[DIED]}.", remedy)
    found = answer["libtorrent"]
    if "version" in found:
        return Check("torrent", "ok", f"libtorrent {found['version']}.")
    if found["absent"]:
        says = "libtorrent is not installed, so this source is passed over."
        return Check("torrent", lacking(is_needed=is_needed), says, remedy)
    state = lacking(is_needed=is_needed, otherwise="warning")
    return Check("torrent", state, f"libtorrent cannot be loaded ({found['error']}).", remedy)


def _without_cookies(settings: Settings) -> Settings:
    """Return the settings without the cookies file, which is a finding of its own."""
    return replace(settings, sources=replace(settings.sources, youtube_cookies=None))

"""What clips are fetched with; nothing here asks a network."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kinetics_assets.core.settings import Settings, SourceSettings
from kinetics_assets.io.host_pace import HostPace
from kinetics_assets.stages.doctor.supplies import (
    cookies_check,
    proxy_check,
    scripts_check,
    sources_check,
    torrent_check,
    yt_dlp_check,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)
YOUTUBE = SourceSettings(order=("youtube",))
NO_YOUTUBE = SourceSettings(order=("local",))
SECRET = "canary-3f9a"


@pytest.mark.parametrize(
    ("installed", "sources", "state", "says"),
    [
        ("2026.10.26", YOUTUBE, "ok", "6 days old"),
        ("2026.7.4", YOUTUBE, "ok", "120 days old"),
        ("2026.07.04.123", NO_YOUTUBE, "ok", "120 days old"),
        ("2026.7.3", YOUTUBE, "missing", "before 2026.7.4"),
        ("2025.12.31", NO_YOUTUBE, "warning", "before 2026.7.4"),
        ("a fork", YOUTUBE, "warning", "does not tell"),
    ],
)
def test_yt_dlp_has_a_floor_and_an_age(
    installed: str, sources: SourceSettings, state: str, says: str
) -> None:
    """Below the floor it is missing where it is used; one remedy for all."""
    found = yt_dlp_check(sources, now=NOW, installed=installed)
    assert (found.state, says in found.says) == (state, True)
    assert found.is_ok or found.remedy == "Run `pip install -U yt-dlp`."


def test_an_old_yt_dlp_is_a_warning() -> None:
    """Sites change faster than that."""
    later = NOW + timedelta(days=300)
    assert yt_dlp_check(YOUTUBE, now=later, installed="2026.10.26").state == "warning"


def _deno(folder: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a stand-in the only JavaScript runtime of this machine."""
    program = folder / "deno"
    program.write_text(f"#!/bin/sh\necho 'deno {version} (stable)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(
        "kinetics_assets.sources.youtube_tools._programs",
        lambda runtime: [program] if runtime == "deno" else [],
    )
    monkeypatch.setattr("kinetics_assets.sources.youtube_tools._scripts_version", lambda: "0.8.0")


def test_the_js_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one is used; one that is too old is missing for YouTube, off for other sites."""
    _deno(tmp_path, "2.5.0", monkeypatch)
    found = scripts_check(YOUTUBE)
    assert (found.state, "deno 2.5.0" in found.says) == ("ok", True)
    _deno(tmp_path, "1.0.0", monkeypatch)
    found = scripts_check(YOUTUBE)
    assert (found.state, "deno 1.0.0" in found.says) == ("missing", True)
    assert "kinetics-assets[youtube]" in found.remedy
    assert scripts_check(NO_YOUTUBE).state == "off"
    assert scripts_check(replace(YOUTUBE, youtube_extractors=("generic",))).state == "off"


def _cookies(folder: Path) -> SourceSettings:
    """Return settings with a cookies file that only its owner may read."""
    path = folder / "cookies.txt"
    fields = ("example.org", "FALSE", "/", "TRUE", "0", "session", SECRET)
    path.write_text("# Netscape HTTP Cookie File\n" + "\t".join(fields) + "\n")
    path.chmod(0o600)
    os.utime(path, (NOW.timestamp() - 3 * 86400,) * 2)
    return replace(YOUTUBE, youtube_cookies=path)


def test_cookies_are_told_by_mode_and_age(tmp_path: Path) -> None:
    """Never by content, also when the file is wrong."""
    assert cookies_check(YOUTUBE, now=NOW).state == "off"
    sources = _cookies(tmp_path)
    path = sources.youtube_cookies
    assert path is not None
    found = [cookies_check(sources, now=NOW)]
    assert found[0].says == f"{path}, mode 600, 3 days old."
    found.append(cookies_check(sources, now=NOW + timedelta(days=90)))
    assert (found[-1].state, "93 days old" in found[-1].says) == ("warning", True)
    path.chmod(0o644)
    found.append(cookies_check(sources, now=NOW))
    assert (found[-1].state, "chmod 600" in found[-1].remedy) == ("warning", True)
    path.write_text(f"# Netscape HTTP Cookie File\n{SECRET}\n")
    found.append(cookies_check(sources, now=NOW))
    assert (found[-1].state, "line 2" in found[-1].says) == ("missing", True)
    path.unlink()
    found.append(cookies_check(sources, now=NOW))
    assert (found[-1].state, "No such file" in found[-1].says) == ("missing", True)
    assert SECRET not in str(found)


def test_the_proxy_is_told_without_its_login() -> None:
    """The address only."""
    assert proxy_check(YOUTUBE).state == "off"
    found = proxy_check(replace(YOUTUBE, youtube_proxy=f"http://me:{SECRET}@proxy.test:3128"))
    assert found.says == "http://proxy.test:3128 with a login, for the source youtube."


def test_a_source_that_is_left_alone_is_told(tmp_path: Path) -> None:
    """Until when, why, and what ends it; unusable cookies are another finding."""
    settings = Settings(
        root=tmp_path, dataset="demo", sources=replace(YOUTUBE, youtube_cookies=tmp_path / "no")
    )
    pace = tmp_path / "pace"
    assert sources_check(settings, folder=pace).is_ok
    HostPace("www.youtube.com", folder=pace).pause(3600, cause="A bot check.")
    found = sources_check(settings, folder=pace)
    assert (found.state, "A bot check." in found.says) == ("warning", True)
    assert "kinetics prepare demo --retry-now" in found.remedy


@pytest.mark.parametrize(
    "changed",
    [
        {"order": ("mirorr",)},
        {"order": ("local",), "local_folders": (Path("/nowhere/at/all"),)},
    ],
)
def test_a_source_that_is_set_up_wrongly_is_missing(
    changed: dict[str, object], tmp_path: Path
) -> None:
    """With the error's own words and remedy."""
    sources = replace(YOUTUBE, **changed)  # type: ignore[arg-type]
    settings = Settings(root=tmp_path, dataset="demo", sources=sources)
    found = sources_check(settings)
    assert found.state == "missing"
    assert found.remedy


@pytest.mark.parametrize(
    ("text", "torrent", "state"),
    [
        ('raise ModuleNotFoundError("no", name="libtorrent")', "", "off"),
        ('raise ModuleNotFoundError("no", name="libtorrent")', "magnet:?x", "missing"),
        ('raise ImportError("libssl.so.1.1")', "", "warning"),
        ("import os; os.abort()", "magnet:?x", "missing"),
        ('__version__ = "2.1"', "", "ok"),
    ],
)
def test_libtorrent(
    text: str, torrent: str, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optional, unless a torrent is set; one command brings it."""
    (tmp_path / "libtorrent.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    sources = SourceSettings(order=("torrent",), torrent_file=torrent)
    found = torrent_check(sources)
    assert found.state == state
    assert found.is_ok or "kinetics-assets[torrent]" in found.remedy

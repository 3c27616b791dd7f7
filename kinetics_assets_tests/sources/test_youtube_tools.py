"""What YouTube's own pages need beside yt-dlp: a JavaScript runtime and the scripts for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinetics_assets.core.errors import ClipError, ToolMissing
from kinetics_assets.core.settings import SourceSettings
from kinetics_assets.sources import youtube_tools
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.youtube import YouTubeSource
from kinetics_assets.sources.youtube_tools import find_youtube_tools
from kinetics_assets_tests.video_site import CLIPS, ID, Fetch, VideoSite, info


def _program(folder: Path, name: str, says: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("programs", "runtime", "version"),
    [
        ({"deno": "echo 'deno 2.3.0 (stable)'"}, "deno", "2.3.0"),
        ({"node": "echo v22.0.0"}, "node", "22.0.0"),
        ({"deno": "echo deno 2.2.9", "node": "echo v24.1.0"}, "node", "24.1.0"),
        ({"deno": "echo 'deno 2.10.0'", "node": "echo v24.1.0"}, "deno", "2.10.0"),
        ({"deno": "exit 1", "node": "echo v22.4.1"}, "node", "22.4.1"),
    ],
)
def test_a_runtime_that_is_new_enough_is_found(
    programs: dict[str, str],
    runtime: str,
    version: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Deno before node, and neither if it is too old or does not start."""
    monkeypatch.setattr(youtube_tools, "_scripts_version", lambda: "0.8.0")
    _without_packages(monkeypatch)
    for name, says in programs.items():
        _program(tmp_path / "bin", name, says)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    tools = find_youtube_tools()
    assert (tools.runtime, tools.runtime_version) == (runtime, version)
    assert tools.js_runtimes == {runtime: {"path": str(tmp_path / "bin" / runtime)}}


def _without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the PyPI package of deno be none."""
    real = youtube_tools.importlib.util.find_spec
    monkeypatch.setattr(
        youtube_tools.importlib.util, "find_spec", lambda n: None if n == "deno" else real(n)
    )


def test_without_a_runtime_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """YouTube is not asked for a single video; the fault names what there is and what to do."""
    monkeypatch.setattr(youtube_tools, "_scripts_version", lambda: "0.8.0")
    _without_packages(monkeypatch)
    _program(tmp_path / "bin", "node", "echo v20.20.2")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    youtube_tools.youtube_tools.cache_clear()
    source = YouTubeSource(SourceSettings(youtube_interval_seconds=0.0))
    with pytest.raises(ToolMissing, match=r"found: node 20\.20\.2") as caught:
        source.fetch(CLIPS[:1], label="", scratch=tmp_path)
    assert "kinetics-assets[youtube]" in caught.value.remedy


def test_the_scripts_must_be_those_that_yt_dlp_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No scripts, or another release's, are named before a clip fails for their want."""
    versions = {"yt-dlp-ejs": "0.1.0", "yt-dlp": "2026.10.26"}
    monkeypatch.setattr(youtube_tools, "version", versions.__getitem__)
    wanted = ["yt-dlp-ejs==0.8.0; extra == 'default'"]
    monkeypatch.setattr(youtube_tools, "requires", lambda _: wanted)
    monkeypatch.setattr(youtube_tools.importlib.util, "find_spec", lambda _: object())
    with pytest.raises(ToolMissing, match=r"0\.1\.0 .*wants 0\.8\.0"):
        youtube_tools._scripts_version()
    versions["yt-dlp-ejs"] = "0.8.3"
    assert youtube_tools._scripts_version() == "0.8.3"
    monkeypatch.setattr(youtube_tools.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ToolMissing, match="scripts"):
        youtube_tools._scripts_version()


def test_another_site_needs_no_tools(
    site: VideoSite, fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only YouTube's own pages need a JavaScript runtime."""
    monkeypatch.setenv("PATH", str(tmp_path))
    youtube_tools.youtube_tools.cache_clear()
    site.describes(ID, info(site.has("/x.mp4")))
    answer = fetch(site.source())
    assert isinstance(answer, Found)
    assert not isinstance(answer, ClipError)

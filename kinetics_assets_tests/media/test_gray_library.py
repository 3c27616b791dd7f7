"""The library for grey frames: compared with libswscale before it is believed."""

from __future__ import annotations

import shutil
from importlib.metadata import distribution
from pathlib import Path

import pytest

from kinetics_assets.engines.cpu_compiled import compiler, gray420
from kinetics_assets.engines.cpu_compiled import gray as over_bgr
from kinetics_assets.media import gray_library
from kinetics_assets_tests.resources.compilers import skip_without

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, compiler.COMPILERS)), reason="no C++ compiler"
)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing is remembered, before the test or after it."""
    monkeypatch.delenv(compiler.SWITCH, raising=False)
    monkeypatch.setattr(gray_library, "_library", gray_library._library.__wrapped__)
    return monkeypatch


@needs_compiler
def test_code_that_gives_other_bytes_is_not_taken(
    fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Off by an eighth of a level of colour, it is refused; BGR pixels are still served."""
    skip_without("__AVX2__")
    if gray_library._bundled_swscale() is None:
        pytest.skip("PyAV is not from a wheel")
    assert gray_library._library() is not None
    wanted = over_bgr.gray_library()
    text = gray420.SOURCE.read_text(encoding="utf-8")
    spoiled = tmp_path / "spoiled.cpp"
    spoiled.write_text(text.replace("NEUTRAL = 8 * 128", "NEUTRAL = 8 * 128 - 1"), encoding="utf-8")
    assert spoiled.read_text(encoding="utf-8") != text
    for header in gray420.HEADERS:
        shutil.copy(header, tmp_path)
    fresh.setattr(gray_library, "_SOURCES", (over_bgr.SOURCE, spoiled))
    fresh.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert gray_library.gray_library() == wanted
    kept = (tmp_path / "kinetics-assets" / "cpu").iterdir()
    assert [path.suffix for path in kept] == [".refused"]


@needs_compiler
def test_a_libswscale_that_may_change_unseen_is_not_followed(fresh: pytest.MonkeyPatch) -> None:
    """Where PyAV brings none of its own, frames go over its BGR pixels."""
    fresh.setattr(gray_library, "_BUNDLED", "libnothing")
    assert gray_library._bundled_swscale() is None
    assert gray_library.gray_library() == over_bgr.gray_library()


def test_the_libswscale_is_known_by_its_hash() -> None:
    """So another PyAV is asked anew."""
    known = gray_library._bundled_swscale()
    if known is None:
        pytest.skip("PyAV is not from a wheel")
    assert "sha256=" in known
    assert known in (distribution("av").read_text("RECORD") or "")


def test_without_a_compiler_there_is_no_library(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody is bothered by that; nor is a compiler looked for by whoever wants none."""
    fresh.setattr(over_bgr, "_library", over_bgr._library.__wrapped__)
    fresh.setenv("PATH", str(tmp_path))
    assert gray_library.gray_library() is None
    fresh.setenv(compiler.SWITCH, "numba")
    assert gray_library.gray_library() is None

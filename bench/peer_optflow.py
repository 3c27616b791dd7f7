"""The peer of flow_cpu.py: OpenCV's TV-L1 on one thread, driven through its standard input.

Runs in a venv of its own that has opencv-contrib and numpy and nothing of this project. Says its
versions as one JSON line; then, for each line with a path of a `.npy` pair (2, H, W), writes the
flow (2, H, W) to the path with the suffix `.flow.npy` and says the CPU seconds the pair took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np


def main() -> None:
    """Serve pairs until standard input ends."""
    cv2.setNumThreads(1)
    solver = cv2.optflow.DualTVL1OpticalFlow_create()
    print(json.dumps({"opencv": cv2.__version__, "numpy": np.__version__}), flush=True)
    for line in sys.stdin:
        path = Path(line.strip())
        first, second = np.load(path)
        start = time.process_time()
        flow = solver.calc(first, second, None)
        seconds = time.process_time() - start
        np.save(path.with_suffix(".flow.npy"), np.moveaxis(flow, 2, 0))
        print(seconds, flush=True)


if __name__ == "__main__":
    main()

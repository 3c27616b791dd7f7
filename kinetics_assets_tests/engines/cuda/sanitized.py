"""Run the kernels of a library built with sanitizers; started with their run time preloaded."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from kinetics_assets.engines import reference
from kinetics_assets.engines.cuda.queue import BatchQueue
from kinetics_assets_tests.engines.cuda.shim import ShimDevice
from kinetics_assets_tests.engines.moving import moving_texture


def main(library: Path) -> None:
    """Solve two sizes in one batch, in a ring and in place, and compare them with the oracle."""
    clips = [
        moving_texture(0.6, 0.2, width_px=23, height_px=20),
        moving_texture(0.7, 0.2, width_px=17, height_px=9),
    ]
    oracles = [reference.solve_pair(*clip).flow for clip in clips]
    for shared_bytes in (512, 16_384):
        device = ShimDevice(shared_bytes=shared_bytes, threads=64, library=library)
        for solved, oracle in zip(
            BatchQueue(device).solve(clips, np.float32), oracles, strict=True
        ):
            assert np.array_equal(solved.flow[0], oracle)
        BatchQueue(device).solve(clips, np.uint8, bound_px=20)
    sys.stdout.write("every bit is right\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

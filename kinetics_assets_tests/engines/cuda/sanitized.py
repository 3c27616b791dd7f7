"""Run the kernels of a library built with sanitizers; started with their run time preloaded."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

import numpy as np

from kinetics_assets.engines import reference
from kinetics_assets.engines.cuda import plan
from kinetics_assets.engines.cuda.queue import BatchQueue
from kinetics_assets_tests.engines.cuda.shim import ShimDevice
from kinetics_assets_tests.engines.moving import moving_texture


def main(library: Path) -> None:
    """Solve two sizes in one batch by each solver, and compare them with the oracle."""
    clips = [
        moving_texture(0.6, 0.2, width_px=23, height_px=20),
        moving_texture(0.7, 0.2, width_px=17, height_px=9),
    ]
    oracles = [reference.solve_pair(*clip).flow for clip in clips]
    for shared_bytes in (512, 16_384, 200_000):
        device = ShimDevice(shared_bytes=shared_bytes, threads=64, library=library)
        split = (2, 3) if shared_bytes == 200_000 else (0, 0)
        with mock.patch.object(plan, "register_sweep", return_value=split):
            solved = BatchQueue(device).solve(clips, np.float32)
            BatchQueue(device).solve(clips, np.uint8, bound_px=20)
        assert all(
            np.array_equal(one.flow[0], oracle) for one, oracle in zip(solved, oracles, strict=True)
        )
    sys.stdout.write("every bit is right\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A small video known to be good: who fails on it cannot blame the video."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from kinetics_assets.media.facts import FrameFacts

if TYPE_CHECKING:
    from pathlib import Path

WIDTH_PX: Final = 96
HEIGHT_PX: Final = 64
FRAMES: Final = 4
_STEP_PX: Final = 2
_RATE: Final = Fraction(25)


def write_canary(target: Path) -> FrameFacts:
    """Write a few frames of a pattern that moves to the right, as MP4, and return their facts.

    Raises:
        OSError: The file cannot be written.
    """
    import av
    import numpy as np

    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    with av.open(str(target), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=_RATE, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for number in range(FRAMES):
            shifted = x - _STEP_PX * number
            plane = (128 + 60 * np.sin(shifted / 5) * np.cos(y / 7)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(plane, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, 1 / _RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return FrameFacts(FRAMES, WIDTH_PX, HEIGHT_PX)

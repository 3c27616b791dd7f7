"""How x264 is asked to encode a resized clip where no setting says otherwise.

Fitted on the inputs of ``bench/kinetics_like.py`` against ffmpeg with preset medium and crf 23, so
that SSIM is not below, PSNR and VMAF not more than 0.2 below, and the pictures take at most 1.25
times the bytes. Two sets, since two things differ by how much smaller a clip gets. The cost: most
of it is decoding and scaling at 720p, so that little may be spent on encoding, and nearly all of it
is encoding at 340x256. And the picture: one that is not scaled still has the traces of the codec
that it came from, and to keep them takes a closer search.

What both have in common: rounding close to the nearest level (``deadzone``) does at a higher crf
for nothing what ``trellis`` does at a lower one; and x264 gives chroma finer steps only where its
psychovisual decisions are on, which these presets lack, so that it is asked for here.

Whoever changes a set raises the revision of the stage in `kinetics_assets.stages.digests`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_TIMES_SMALLER: Final = 1.4
_BOTH: Final = "trellis=0:deadzone-inter=6:deadzone-intra=3:aq-strength=0.9:chroma-qp-offset=-1"


@dataclass(frozen=True, slots=True)
class Encoding:
    """Settings of x264."""

    preset: str
    crf: float
    x264_params: str


SMALLER: Final = Encoding("superfast", 22.8, f"{_BOTH}:mbtree=1:rc-lookahead=10:b-adapt=0")
"""For a clip whose short side is at least 1.4 times of what it is to be: 360p and up for 256."""

SAME_SIZE: Final = Encoding("faster", 23.2, f"{_BOTH}:subme=3")
"""For a clip that stays as large as it is, or nearly."""


def fitted(from_px: int, to_px: int) -> Encoding:
    """Return the settings for a clip whose short side goes from `from_px` to `to_px` pixels."""
    return SMALLER if from_px >= _TIMES_SMALLER * to_px else SAME_SIZE

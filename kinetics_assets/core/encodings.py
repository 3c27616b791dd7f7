"""How x264 is asked to encode a resized clip where no setting says otherwise.

Fitted on the inputs of ``bench/kinetics_like.py`` against ffmpeg with preset medium and crf 23, so
that SSIM is not below, PSNR and VMAF not more than 0.2 below, and the pictures take at most 1.25
times the bytes. Several sets, since two things differ. The cost: most of it is decoding and scaling
at 720p, so that little may be spent on encoding, and nearly all of it is encoding at 340x256. And
the picture: one that is not scaled still has the traces of the codec that it came from, and to keep
those of H.264 and AV1 takes a closer search than to keep those of VP9.

What all have in common: rounding close to the nearest level (``deadzone``) does at a higher crf
for nothing what ``trellis`` does at a lower one; and x264 gives chroma finer steps only where its
psychovisual decisions are on, which these presets lack, so that it is asked for here.

Whoever changes a set raises the revision of the stage in `kinetics_assets.stages.digests`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_TIMES_SMALLER: Final = 1.4
_VP9: Final = ("vp9", "libvpx-vp9")
"""Names of the decoders that libav has for it."""
_ALL: Final = "trellis=0:deadzone-intra=3:chroma-qp-offset=-1"


@dataclass(frozen=True, slots=True)
class Encoding:
    """Settings of x264."""

    preset: str
    crf: float
    x264_params: str


SMALLER: Final = Encoding(
    "superfast",
    22.8,
    f"{_ALL}:deadzone-inter=6:aq-strength=0.9:mbtree=1:rc-lookahead=10:b-adapt=0",
)
"""For a clip whose short side is at least 1.4 times of what it is to be: 360p and up for 256."""

SAME_SIZE: Final = Encoding(
    "faster",
    23,
    f"{_ALL}:deadzone-inter=7:aq-strength=0.7:me=dia:subme=3:analyse=p8x8,i8x8,i4x4",
)
"""For a clip that stays as large as it is, or nearly."""

SAME_SIZE_OF_VP9: Final = Encoding(
    "faster",
    23.3,
    f"{_ALL}:deadzone-inter=7:aq-mode=3:aq-strength=0.8:ipratio=1.3:me=dia:subme=2",
)
"""The same, where the clip came as VP9."""


def fitted(from_px: int, to_px: int, *, codec: str) -> Encoding:
    """Return the settings for a clip whose short side goes from `from_px` to `to_px` pixels.

    Args:
        from_px: Short side of the clip, upright or not.
        to_px: What it is to be.
        codec: Name of the clip's video codec or of its decoder, as libav spells them.
    """
    if from_px >= _TIMES_SMALLER * to_px:
        return SMALLER
    return SAME_SIZE_OF_VP9 if codec in _VP9 else SAME_SIZE

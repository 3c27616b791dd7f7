"""What the numbers of a picture mean: range and matrix, kept when encoding, met when drawing.

ITU-R 601, also assumed for untagged pictures, is what JPEG uses; 709 is another matrix, and a
picture written without converting is off by up to 33 levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

UNSPECIFIED = 2
"""H.273 number for "not said", of matrix, primaries and transfer."""
_BT709, _BT470BG, _SMPTE170M = 1, 5, 6
_BT2020_NCL, _BT2020_CL = 9, 10
_COMPUTABLE = frozenset({0, _BT709, UNSPECIFIED, 4, _BT470BG, _SMPTE170M, 7, _BT2020_NCL})
"""Matrices, and 0 for none, that libswscale has."""
_LIMITED, _FULL = 1, 2


@dataclass(frozen=True, slots=True)
class ColourTags:
    """Tags of a picture as libav and H.273 number them."""

    range: int
    """1 limited, 2 full."""
    matrix: int
    primaries: int
    transfer: int

    @property
    def is_full(self) -> bool:
        """Whether black is 0, not 16."""
        return self.range == _FULL

    @property
    def is_jpeg_matrix(self) -> bool:
        """Whether the planes mean in a JPEG what they mean here, apart from the range."""
        return self.matrix in {UNSPECIFIED, _BT470BG, _SMPTE170M}

    @property
    def is_hd_matrix(self) -> bool:
        """Whether the planes have the matrix of HD video, ITU-R BT.709."""
        return self.matrix == _BT709


def matrix_to_compute_with(tag: int) -> int:
    """Return the H.273 number of the matrix to use for pictures tagged with `tag`.

    libswscale refuses frames with reserved numbers and with matrices that it lacks. They count as
    not tagged; 2020 with constant luminance, as 2020.
    """
    if tag in _COMPUTABLE:
        return tag
    return _BT2020_NCL if tag == _BT2020_CL else UNSPECIFIED


def colour_of(frame: Any) -> ColourTags:  # noqa: ANN401 - PyAV's frame
    """Return the tags of `frame`, once it is in YCbCr: RGB becomes 601, limited."""
    if frame.format.is_rgb:
        return ColourTags(_LIMITED, _SMPTE170M, frame.color_primaries, frame.color_trc)
    is_full = frame.color_range == _FULL or frame.format.name.startswith("yuvj")
    return ColourTags(
        range=_FULL if is_full else _LIMITED,
        matrix=frame.colorspace,
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
    )


def copy_tags(tags: ColourTags, encoder: Any) -> None:  # noqa: ANN401 - PyAV's codec context
    """Write `tags` on a video encoder that is not open yet."""
    encoder.color_range = tags.range
    encoder.colorspace = tags.matrix
    encoder.color_primaries = tags.primaries
    encoder.color_trc = tags.transfer

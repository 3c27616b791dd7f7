"""Grey frames straight from the planes of decoded frames, with the bytes of the way over BGR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kinetics_assets.engines.cpu_compiled.gray420 import Gray420Maker, factors, is_served
from kinetics_assets.engines.planes import BT709
from kinetics_assets.media.colour import colour_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kinetics_assets.core.geometry import Size
    from kinetics_assets.engines.cpu_compiled.gray420 import CompiledGray420

_PLAIN: Final = {"yuv420p", "yuvj420p"}
_BT601: Final = (0.299, 0.114)
SHARES: Final = {
    1: BT709,
    2: _BT601,
    4: (0.30, 0.11),
    5: _BT601,
    6: _BT601,
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""H.273 number of a matrix -> shares of red and blue in luma; untagged (2) is taken for 601."""
_RANGES: Final = {0, 1, 2}


class GrayOfPlanes:
    """Makes grey frames of one size, of upright frames of any size, where it can."""

    def __init__(self, size: Size, code: CompiledGray420) -> None:
        """Prepare for frames of `size`."""
        self._size, self._code = size, code
        self._shape = (0, 0)
        self._maker: Gray420Maker | None = None

    def make(self, frame: Any) -> NDArray[np.uint8] | None:  # noqa: ANN401 - PyAV's frame
        """Return `frame` in grey, good until the next call; None where another way is to be taken.

        Libswscale converts other formats otherwise, interlaced frames field by field, and an odd
        number of rows with colour between them; it refuses matrices and ranges that are not known.
        """
        shares = SHARES.get(frame.colorspace)
        if shares is None or frame.format.name not in _PLAIN or frame.interlaced_frame:
            return None
        if frame.color_range not in _RANGES:
            return None
        shape = (frame.height, frame.width)
        if shape != self._shape:
            self._shape, self._maker = shape, self._maker_of(shape)
        if self._maker is None:
            return None
        planes = [(plane.buffer_ptr, plane.line_size) for plane in frame.planes]
        return self._maker.make(planes, factors(shares, is_full=colour_of(frame).is_full))

    def _maker_of(self, shape: tuple[int, int]) -> Gray420Maker | None:
        """Return what makes frames of `shape` (H, W), if that is served."""
        width_px, height_px = self._size.width_px, self._size.height_px
        if not is_served(shape, width_px, height_px):
            return None
        return Gray420Maker(shape, width_px, height_px, code=self._code)

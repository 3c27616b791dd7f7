"""Encoding JPEG pictures with libjpeg-turbo: baseline, the tables that OpenCV uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]


def encode_gray(plane: Plane, *, quality: int) -> bytes:
    """Return a (H, W) uint8 plane as a grey JPEG."""
    import numpy as np
    import simplejpeg

    pixels = np.ascontiguousarray(plane)[:, :, None]
    return bytes(simplejpeg.encode_jpeg(pixels, quality, "GRAY", "Gray", fastdct=False))


def encode_bgr(pixels: Plane, *, quality: int) -> bytes:
    """Return (H, W, 3) uint8 BGR pixels as a JPEG with 4:2:0 colour."""
    import numpy as np
    import simplejpeg

    block = np.ascontiguousarray(pixels)
    return bytes(simplejpeg.encode_jpeg(block, quality, "BGR", "420", fastdct=False))


def encode_planes(luma: Plane, blue: Plane, red: Plane, *, quality: int) -> bytes:
    """Return full-range ITU-R 601 planes, colour at half size rounded up, as a JPEG."""
    import simplejpeg

    if luma.shape[0] % 2 or luma.shape[1] % 2:
        luma = _with_even_memory(luma)
    return bytes(simplejpeg.encode_jpeg_yuv_planes(luma, blue, red, quality, fastdct=False))


def _with_even_memory(luma: Plane) -> Plane:
    """Return a copy of `luma` behind whose odd side the last column or row is repeated.

    libjpeg-turbo reads luma up to an even side. Beyond the picture lies whatever libswscale left
    there, so the same frame would not always give the same bytes.
    """
    import numpy as np

    height, width = luma.shape
    memory = np.empty((height + height % 2, width + width % 2), np.uint8)
    memory[:height, :width] = luma
    memory[:height, width:] = luma[:, -1:]
    memory[height:] = memory[height - 1]
    return memory[:height, :width]

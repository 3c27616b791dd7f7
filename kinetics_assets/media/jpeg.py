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
    import numpy as np
    import simplejpeg

    height, width = luma.shape
    if height % 2 or width % 2:
        # libjpeg-turbo reads luma up to an even side. Beyond the picture lies whatever libswscale
        # left there, so the same frame would not always give the same bytes.
        padded = np.pad(luma, ((0, height % 2), (0, width % 2)), mode="edge")
        luma = padded[:height, :width]
    return bytes(simplejpeg.encode_jpeg_yuv_planes(luma, blue, red, quality, fastdct=False))

"""From a decoded frame to the JPEG of its upright picture.

Planes of 8-bit 4:2:0 frames, which nearly all video is, are drawn in their size, range and matrix
and encoded by our own code. Other formats are scaled by libswscale; those with another matrix than
a JPEG's, RGB and turned frames take the way over BGR pixels.

Shrinking averages over areas, so that it does not alias. Bicubic is sharper and dearer. Denseflow's
way, bilinear from BGR pixels without smoothing, gives the pictures of the old OpenCV path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kinetics_assets.engines.linear import LinearResize
from kinetics_assets.engines.planes import BT709
from kinetics_assets.media.colour import colour_of
from kinetics_assets.media.jpeg import encode_bgr
from kinetics_assets.media.picture import bgr_maker, plane_pixels, size_of, turned, yuv_maker
from kinetics_assets.media.picture_encoder import PictureEncoder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kinetics_assets.core.geometry import Orientation, Size
    from kinetics_assets.core.settings import FrameRecipe
    from kinetics_assets.media.picture import Plane

_GROWING: Final = "BICUBIC"
_SHRINKING: Final = {"area": "AREA", "bicubic": "BICUBIC"}
_PLAIN: Final = {"yuv420p", "yuvj420p"}
"""Formats whose planes are those of a JPEG, but for size, range and matrix."""


def frame_encoder(
    way: Orientation,
    size: Size,
    *,
    stored: Size,
    recipe: FrameRecipe,
    library: Path | None = None,
) -> Callable[[Any], bytes]:
    """Return a function from a frame to the JPEG of its upright picture.

    Args:
        way: How frames become upright.
        size: Of the upright pictures.
        stored: Size of the frames; one of another size is scaled to `size` all the same.
        recipe: Scaling and quality.
        library: File of compiled code that makes the same bytes faster.
    """
    if recipe.scaling == "denseflow":
        return _like_denseflow(way, size, quality=recipe.jpeg_quality)
    target, quality = way.undo(size), recipe.jpeg_quality
    interpolation = _GROWING if _grows(stored, target) else _SHRINKING[recipe.scaling]
    make_planes = yuv_maker(interpolation, full_range=True)
    make_bgr = bgr_maker(interpolation)
    encoder = PictureEncoder(size, quality=quality, library=library)
    averages = recipe.scaling == "area"

    def encode(frame: Any) -> bytes:  # noqa: ANN401 - PyAV's frame
        tags = colour_of(frame)
        matrix = None if tags.is_jpeg_matrix else BT709
        if way.is_upright and (matrix is None or tags.is_hd_matrix):
            given = size_of(frame)
            if frame.format.name in _PLAIN and (
                given == target or (averages and not _grows(given, target))
            ):
                if encoder.is_compiled:
                    rows = [(plane.buffer_ptr, plane.line_size) for plane in frame.planes]
                    shape = (given.height_px, given.width_px)
                    return encoder.encode_rows(
                        rows, shape=shape, is_full=tags.is_full, matrix=matrix
                    )
                planes = [plane_pixels(plane) for plane in frame.planes]
                return encoder.encode(planes, is_full=tags.is_full, matrix=matrix)
            if matrix is None and not frame.format.is_rgb:
                planes = [plane_pixels(plane) for plane in make_planes(frame, target).planes]
                return encoder.encode(planes, is_full=True)
        return encode_bgr(turned(make_bgr(frame, target), way), quality=quality)

    return encode


def _grows(given: Size, target: Size) -> bool:
    """Return whether a side becomes longer."""
    return target.width_px > given.width_px or target.height_px > given.height_px


def _like_denseflow(way: Orientation, size: Size, *, quality: int) -> Callable[[Any], bytes]:
    """Return a function from a frame to the JPEG of its upright picture, as denseflow makes it."""
    to_bgr = bgr_maker("BILINEAR")
    resizers: dict[tuple[int, int], LinearResize] = {}
    shape = (size.height_px, size.width_px, 3)

    def shrink(pixels: Plane) -> Plane:
        if pixels.shape == shape:
            return pixels
        given = (pixels.shape[0], pixels.shape[1])
        if given not in resizers:
            resizers.clear()  # working memory of one size is enough
            resizers[given] = LinearResize(given, size.width_px, size.height_px, channels=3)
        resizer = resizers[given]
        return resizer.resize(pixels[resizer.rows].reshape(len(resizer.rows), -1)).reshape(shape)

    def encode(frame: Any) -> bytes:  # noqa: ANN401 - PyAV's frame
        # turned before it is scaled, as OpenCV does
        pixels = turned(to_bgr(frame, size_of(frame)), way)
        return encode_bgr(shrink(pixels), quality=quality)

    return encode

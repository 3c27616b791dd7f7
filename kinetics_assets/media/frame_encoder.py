"""From a decoded frame to the JPEG of its upright picture.

Planes of ITU-R 601 or untagged frames go to the JPEG encoder as they are, apart from size and
range; frames with another matrix (HD video is tagged 709), RGB and turned frames take the way over
BGR pixels. A step that turns 709 planes into 601 planes in numpy was tried and costs more.

Shrinking averages over areas, so that it does not alias. Bicubic is sharper and dearer. Denseflow's
way, bilinear from BGR pixels without smoothing, gives the pictures of the old OpenCV path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kinetics_assets.engines.linear import LinearResize
from kinetics_assets.media.colour import ColourTags, colour_of
from kinetics_assets.media.full_range import FullRange
from kinetics_assets.media.jpeg import encode_bgr, encode_planes
from kinetics_assets.media.picture import bgr_maker, plane_pixels, size_of, turned, yuv_maker

if TYPE_CHECKING:
    from collections.abc import Callable

    from kinetics_assets.core.geometry import Orientation, Size
    from kinetics_assets.core.settings import FrameRecipe
    from kinetics_assets.media.picture import Plane

_GROWING: Final = "BICUBIC"
_SHRINKING: Final = {"area": "AREA", "bicubic": "BICUBIC"}


def frame_encoder(
    way: Orientation, size: Size, *, stored: Size, recipe: FrameRecipe
) -> Callable[[Any], bytes]:
    """Return a function from a frame to the JPEG of its upright picture.

    Args:
        way: How frames become upright.
        size: Of the upright pictures.
        stored: Size of the frames; one of another size is scaled to `size` all the same.
        recipe: Scaling and quality.
    """
    if recipe.scaling == "denseflow":
        return _like_denseflow(way, size, quality=recipe.jpeg_quality)
    target, quality = way.undo(size), recipe.jpeg_quality
    grows = target.width_px > stored.width_px or target.height_px > stored.height_px
    interpolation = _GROWING if grows else _SHRINKING[recipe.scaling]
    make_planes = yuv_maker(interpolation, full_range=True)
    make_bgr = bgr_maker(interpolation)
    full_range = FullRange(target)

    def encode(frame: Any) -> bytes:  # noqa: ANN401 - PyAV's frame
        tags = colour_of(frame)
        if not way.is_upright or not tags.is_jpeg_matrix or frame.format.is_rgb:
            return encode_bgr(turned(make_bgr(frame, target), way), quality=quality)
        if _needs_range_only(frame, tags, target):
            planes = full_range.stretch([plane_pixels(plane) for plane in frame.planes])
        else:
            luma, blue, red = make_planes(frame, target).planes
            planes = (plane_pixels(luma), plane_pixels(blue), plane_pixels(red))
        return encode_planes(*planes, quality=quality)

    return encode


def _needs_range_only(frame: Any, tags: ColourTags, target: Size) -> bool:  # noqa: ANN401 - PyAV's frame
    """Return whether the planes of `frame` have the form of a JPEG's, but for their range."""
    return size_of(frame) == target and frame.format.name == "yuv420p" and not tags.is_full


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

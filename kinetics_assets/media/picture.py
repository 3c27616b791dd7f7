"""Turning decoded frames into upright pictures of one size."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from kinetics_assets.core.errors import Undecodable
from kinetics_assets.core.geometry import Orientation, Size
from kinetics_assets.media.colour import colour_of, matrix_to_compute_with
from kinetics_assets.media.interlaced import Unmarked

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]


def size_of(frame: Any) -> Size:  # noqa: ANN401 - PyAV's frame
    """Return the stored size of `frame`."""
    return Size(frame.width, frame.height)


def turned(pixels: Plane, way: Orientation) -> Plane:
    """Return `pixels`, (H, W) or (H, W, C), turned upright; a view where that is possible."""
    if way.transpose:
        pixels = pixels.swapaxes(0, 1)
    if way.flip_horizontal:
        pixels = pixels[:, ::-1]
    if way.flip_vertical:
        pixels = pixels[::-1]
    return pixels


def plane_pixels(plane: Any) -> Plane:  # noqa: ANN401 - PyAV's plane
    """Return the pixels of an 8-bit plane as a (H, W) view of its memory."""
    return _rows_of(plane, plane.height, plane.width)


def bgr_maker(interpolation: str) -> Callable[[Any, Size], Plane]:
    """Return a function (frame, stored size) -> (H, W, 3) BGR pixels, not turned.

    It raises Undecodable where libswscale refuses the frame.
    """
    from av.video.reformatter import VideoReformatter

    scaler, unmarked = VideoReformatter(), Unmarked()

    def make(frame: Any, size: Size) -> Plane:  # noqa: ANN401 - PyAV's frame
        frame = frame if size == size_of(frame) else unmarked(frame)
        picture = _reformatted(
            scaler, frame, size, format="bgr24", interpolation=interpolation, threads=1
        )
        return plane_pixels_bgr(picture)

    return make


def plane_pixels_bgr(picture: Any) -> Plane:  # noqa: ANN401 - PyAV's frame
    """Return the pixels of a bgr24 picture as a (H, W, 3) view of its memory, rows maybe apart."""
    rows = _rows_of(picture.planes[0], picture.height, 3 * picture.width)
    return rows.reshape(picture.height, picture.width, 3)


def _rows_of(plane: Any, height: int, width_bytes: int) -> Plane:  # noqa: ANN401 - PyAV's plane
    """Return the rows of a plane, upper first, as a view; a copy where memory has the last first.

    Decoders of uncompressed AVI files give such planes.
    """
    pitch = plane.line_size
    if pitch > 0:
        return np.frombuffer(plane, np.uint8).reshape(-1, pitch)[:height, :width_bytes]
    # PyAV's buffer begins at the upper row all the same, and so ends behind the memory
    last = plane.buffer_ptr + (height - 1) * pitch
    memory = ctypes.string_at(last, (height - 1) * -pitch + width_bytes)
    rows: Plane = np.ndarray(
        (height, width_bytes), np.uint8, memory, offset=(height - 1) * -pitch, strides=(pitch, 1)
    )
    return rows


def yuv_maker(interpolation: str, *, full_range: bool) -> Callable[[Any, Size], Any]:
    """Return a function (frame, stored size) -> 8-bit 4:2:0 frame, not turned.

    It raises Undecodable where libswscale refuses the frame.

    Args:
        interpolation: Name of a libswscale method.
        full_range: Convert to full range; else the source's range is kept.
    """
    from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

    scaler, unmarked = VideoReformatter(), Unmarked()
    method = Interpolation[interpolation]
    if full_range:
        # else it drops fractions on the way, and colour comes out a level low: grey gets a tint
        method |= Interpolation.ACCURATE_RND

    def make(frame: Any, size: Size) -> Any:  # noqa: ANN401 - PyAV's frames
        frame = frame if size == size_of(frame) else unmarked(frame)
        tags = colour_of(frame)
        wanted = ColorRange.JPEG if full_range else ColorRange(tags.range)
        return _reformatted(
            scaler,
            frame,
            size,
            format="yuvj420p" if full_range else "yuv420p",
            interpolation=method,
            src_color_range=None if frame.format.is_rgb else ColorRange(tags.range),
            dst_color_range=wanted,
            threads=1,
            # an RGB frame has no matrix to keep
            dst_colorspace=Colorspace.ITU601 if frame.format.is_rgb else None,
        )

    return make


def _reformatted(scaler: Any, frame: Any, size: Size, **how: Any) -> Any:  # noqa: ANN401 - PyAV's
    """Return what PyAV's `scaler` makes of `frame`, whose tags stay as they are.

    Raises:
        Undecodable: libswscale refuses the frame.
    """
    import av

    tag = frame.colorspace
    known = matrix_to_compute_with(tag)
    if known != tag:
        frame.colorspace = known
    try:
        return scaler.reformat(frame, size.width_px, size.height_px, **how)
    except av.error.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        raise Undecodable(f"A picture cannot be converted: {error.strerror}.") from error
    finally:
        if known != tag:
            frame.colorspace = tag


def turned_yuv(frame: Any, way: Orientation) -> Any:  # noqa: ANN401 - PyAV's frames
    """Return an upright copy of a yuv420p `frame` with even sides, timestamps and tags kept."""
    from av import VideoFrame

    planes = [turned(plane_pixels(plane), way) for plane in frame.planes]
    height, width = planes[0].shape
    packed = np.concatenate([np.ascontiguousarray(p).reshape(-1) for p in planes])
    upright = VideoFrame.from_ndarray(packed.reshape(height * 3 // 2, width), format="yuv420p")
    upright.pts, upright.time_base, upright.duration = frame.pts, frame.time_base, frame.duration
    upright.colorspace, upright.color_range = frame.colorspace, frame.color_range
    upright.color_primaries, upright.color_trc = frame.color_primaries, frame.color_trc
    return upright

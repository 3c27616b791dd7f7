"""The frames of a video as the flow engines want them: grey, small, in one array file.

The order is denseflow's, since flow values depend on it: decode to 8-bit BGR, grey, then bilinear
resize. Sizes are those of `kinetics_assets.media.rawframes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from kinetics_assets.engines.gray import GrayMaker
from kinetics_assets.media.decode import frames, orientation
from kinetics_assets.media.facts import FrameFacts
from kinetics_assets.media.naming import naming
from kinetics_assets.media.picture import bgr_maker, size_of, turned
from kinetics_assets.media.probe import open_video
from kinetics_assets.media.rawframes import picture_size

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.core.geometry import Size
    from kinetics_assets.core.settings import FrameRecipe
    from kinetics_assets.media.probe import Caps


def gray(source: Path, target: Path, *, recipe: FrameRecipe, caps: Caps) -> FrameFacts:
    """Write all frames of `source` to `target`, a .npy of uint8 (frames, height, width).

    Returns:
        The number of frames and their size.

    Raises:
        ClipError: The video is at fault.
        OSError: A file cannot be read or written.
    """
    with naming(target), open_video(source, caps) as video, target.open("wb") as file:
        pictures = frames(video)
        first = next(pictures)
        way = orientation(first)
        size = picture_size(first, way, video, recipe=recipe)
        to_bgr = bgr_maker("BILINEAR")
        begin = _write_header(file, 0, size)
        maker, shape = None, (0, 0)
        count, frame = 0, first
        while frame is not None:
            # turned before it is made grey: a turn moves whole pixels, so the order is all one
            bgr = np.ascontiguousarray(turned(to_bgr(frame, size_of(frame)), way))
            if maker is None or bgr.shape[:2] != shape:
                shape = (bgr.shape[0], bgr.shape[1])
                maker = GrayMaker(shape, size.width_px, size.height_px)
            file.write(maker.make(bgr).data)
            count += 1
            frame = next(pictures, None)
        file.seek(0)
        if _write_header(file, count, size) != begin:
            msg = "numpy's header grew with the number of frames"
            raise AssertionError(msg)
    return FrameFacts(count, size.width_px, size.height_px)


def _write_header(file: BinaryIO, count: int, size: Size) -> int:
    """Write the header of the array file and return where its data begins.

    Numpy pads the header so that the first number may grow later.
    """
    shape = (count, size.height_px, size.width_px)
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return file.tell()

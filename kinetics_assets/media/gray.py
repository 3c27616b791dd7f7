"""The frames of a video as the flow engines want them: grey, small, in one array file.

The order is denseflow's, since flow values depend on it: decode to 8-bit BGR, grey, then bilinear
resize. Compiled code does all of it at once for most frames, with the bytes that this gives. Sizes
are those of `kinetics_assets.media.rawframes`.
"""

from __future__ import annotations

from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np

from kinetics_assets.engines.cpu_compiled.gray import CompiledGray
from kinetics_assets.engines.cpu_compiled.gray420 import CompiledGray420
from kinetics_assets.engines.gray import GrayMaker
from kinetics_assets.media.decode import batches, frames, orientation
from kinetics_assets.media.facts import FrameFacts
from kinetics_assets.media.gray_planes import GrayOfPlanes
from kinetics_assets.media.naming import naming
from kinetics_assets.media.picture import bgr_maker, size_of, turned
from kinetics_assets.media.probe import open_video
from kinetics_assets.media.rawframes import picture_size

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

    from kinetics_assets.core.geometry import Size
    from kinetics_assets.core.settings import FrameRecipe
    from kinetics_assets.media.probe import Caps, OpenVideo


def gray(
    source: Path, target: Path, *, recipe: FrameRecipe, caps: Caps, library: str | None = None
) -> FrameFacts:
    """Write all frames of `source` to `target`, a .npy of uint8 (frames, height, width).

    Args:
        source: Absolute.
        target: Absolute.
        recipe: Size of the frames.
        caps: Limits.
        library: File of compiled code that makes the same bytes faster.

    Returns:
        The number of frames and their size.

    Raises:
        ClipError: The video is at fault.
        OSError: A file cannot be read or written.
    """
    with open_video(source, caps) as video:
        pictures = frames(video)
        first = next(pictures)
        with GrayWriter(video, first, target, recipe=recipe, library=library) as writer:
            for batch in batches(chain([first], pictures)):
                for frame in batch:
                    writer.add(frame)
    return writer.facts


class GrayWriter:
    """The grey frames of a video in a file that grows frame by frame.

    The file is complete when its block ends without an error.
    """

    def __init__(
        self,
        video: OpenVideo,
        first: Any,  # noqa: ANN401 - PyAV's frame
        target: Path,
        *,
        recipe: FrameRecipe,
        library: str | None = None,
    ) -> None:
        """Prepare for the frames of `video`, the first of which is `first`.

        Raises:
            OverLimit: The frames would be larger than the caps allow.
            OSError: The file cannot be written.
        """
        self._way = orientation(first)
        self._size = picture_size(first, self._way, video, recipe=recipe)
        self._to_bgr = bgr_maker("BILINEAR")
        self._maker: GrayMaker | None = None
        self._compiled = _loaded(library)
        self._straight = None
        if self._way.is_upright and (code := _loaded_for_planes(library)) is not None:
            self._straight = GrayOfPlanes(self._size, code)
        self._shape, self._count, self._target = (0, 0), 0, target
        with naming(target):
            self._file = target.open("wb")
            self._begin = _write_header(self._file, 0, self._size)

    @property
    def facts(self) -> FrameFacts:
        """Number of the frames so far, and their size."""
        return FrameFacts(self._count, self._size.width_px, self._size.height_px)

    def add(self, frame: Any) -> None:  # noqa: ANN401 - PyAV's frame
        """Write the next frame.

        Raises:
            OSError: The file cannot be written.
        """
        pixels = self._straight.make(frame) if self._straight is not None else None
        if pixels is None:
            pixels = self._over_bgr(frame)
        with naming(self._target):
            self._file.write(pixels.data)
        self._count += 1

    def _over_bgr(self, frame: Any) -> NDArray[np.uint8]:  # noqa: ANN401 - PyAV's frame
        """Return `frame` upright, in grey and in its size; good until the next call."""
        # turned before it is made grey: a turn moves whole pixels, so the order is all one
        bgr = turned(self._to_bgr(frame, size_of(frame)), self._way)
        if not self._way.is_upright:
            bgr = np.ascontiguousarray(bgr)
        if self._maker is None or bgr.shape[:2] != self._shape:
            self._shape = (bgr.shape[0], bgr.shape[1])
            self._maker = GrayMaker(
                self._shape, self._size.width_px, self._size.height_px, compiled=self._compiled
            )
        return self._maker.make(bgr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with naming(self._target), self._file:
            if error is not None:
                return
            self._file.seek(0)
            if _write_header(self._file, self._count, self._size) != self._begin:
                msg = "numpy's header grew with the number of frames"
                raise AssertionError(msg)


@cache
def _loaded(library: str | None) -> CompiledGray | None:
    """Return the compiled code in a file, None where there is none that can be loaded."""
    try:
        return CompiledGray(Path(library)) if library is not None else None
    except OSError:
        return None


@cache
def _loaded_for_planes(library: str | None) -> CompiledGray420 | None:
    """Return the code in a file that makes grey frames of planes, None where there is none."""
    try:
        return CompiledGray420(Path(library)) if library is not None else None
    except OSError:
        return None


def _write_header(file: BinaryIO, count: int, size: Size) -> int:
    """Write the header of the array file and return where its data begins.

    Numpy pads the header so that the first number may grow later.
    """
    shape = (count, size.height_px, size.width_px)
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return file.tell()

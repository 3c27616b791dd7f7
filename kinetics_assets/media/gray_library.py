"""The compiled code for grey frames, once it has shown that its bytes are those of the plain way.

Code that makes grey frames straight from planes follows what PyAV's libswscale does, so it is held
against that very file of it, and asked again about another.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.engines.cpu_compiled import gray as over_bgr
from kinetics_assets.engines.cpu_compiled import gray420
from kinetics_assets.media.gray_planes import SHARES, GrayOfPlanes

if TYPE_CHECKING:
    from pathlib import Path

_SOURCES: Final = (over_bgr.SOURCE, gray420.SOURCE, *gray420.HEADERS)
_ONE_AT_A_TIME: Final = threading.Lock()
_BUNDLED: Final = "libswscale"
_TRIED: Final = (
    ((97, 64), (41, 27)),
    ((340, 32), (340, 32)),
    ((32, 34), (75, 50)),
    ((99, 16), (9, 9)),
)
"""Width and height of frames, and what they become."""


def gray_library() -> Path | None:
    """Return the file of the compiled code, made on the first call on a machine; None without.

    It makes grey frames of BGR pixels and, where it may, straight of planes. For who may start
    programs: a sandboxed child is told.
    """
    from kinetics_assets.engines.cpu_compiled import compiler

    if os.environ.get(compiler.SWITCH) == "numba":
        return None
    with _ONE_AT_A_TIME:
        return _library() or over_bgr.gray_library()


@cache
def _library() -> Path | None:
    """Return the file of code that makes grey frames straight of planes, too."""
    from kinetics_assets.engines.cpu_compiled import compiler

    swscale = _bundled_swscale()
    if swscale is None:
        return None
    try:
        return compiler.library_file(
            _makes_the_same_bytes,
            sources=_SOURCES,
            compared_with=swscale,
            needs_macros=["__AVX2__"],
        )[0]
    except (compiler.NotCompiled, ToolMissing, OSError):
        return None


def _bundled_swscale() -> str | None:
    """Return name, version and hash of the libswscale that PyAV's wheel brings.

    None if it takes another, which may change without PyAV.
    """
    # not at the top: a child, which is told the file, would load it for nothing
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        record = distribution("av").read_text("RECORD") or ""
    except PackageNotFoundError:
        return None
    lines = [line for line in record.splitlines() if _BUNDLED in line]
    return lines[0] if len(lines) == 1 else None


def _makes_the_same_bytes(library: Path, compiled_by: str) -> bool:
    """Return whether a new library gives what libswscale and numpy give, on noise.

    Raises:
        OSError: It cannot be loaded.
    """
    from kinetics_assets.core.geometry import Size
    from kinetics_assets.engines.gray import GrayMaker
    from kinetics_assets.media.picture import bgr_maker

    if not over_bgr.computes_what_numpy_does(library, compiled_by):
        return False
    code, to_bgr = gray420.CompiledGray420(library), bgr_maker("BILINEAR")
    for given, wanted in _TRIED:
        straight = GrayOfPlanes(Size(*wanted), code)
        plain = GrayMaker((given[1], given[0]), *wanted)
        for matrix in SHARES:
            for colour_range in (1, 2):
                frame = _noise(*given, matrix=matrix, colour_range=colour_range)
                ours = straight.make(frame)
                theirs = plain.make(np.ascontiguousarray(to_bgr(frame, Size(*given))))
                if ours is None or not np.array_equal(ours, theirs):
                    return False
    return True


def _noise(width_px: int, height_px: int, *, matrix: int, colour_range: int) -> Any:  # noqa: ANN401 - PyAV's frame
    """Return a yuv420p frame of noise."""
    from av import VideoFrame

    frame = VideoFrame(width_px, height_px, "yuv420p")
    numbers = np.random.default_rng(matrix)
    for plane in frame.planes:
        plane.update(numbers.bytes(plane.buffer_size))
    frame.colorspace, frame.color_range = matrix, colour_range
    return frame

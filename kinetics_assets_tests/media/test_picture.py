"""Pictures in memory: rows that a decoder hands over from the last to the first."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import av
import numpy as np
import pytest

from kinetics_assets.core.errors import Undecodable
from kinetics_assets.core.geometry import UPRIGHT, Size
from kinetics_assets.core.settings import FrameRecipe
from kinetics_assets.media.frame_encoder import frame_encoder
from kinetics_assets.media.gray import gray
from kinetics_assets.media.picture import bgr_maker, yuv_maker
from kinetics_assets.media.picture_encoder import frames_library
from kinetics_assets.media.probe import Caps
from kinetics_assets.media.rawframes import rawframes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CAPS = Caps(max_side_px=1000, max_frames=100)
NOISE = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def uncompressed(path: Path, *, from_below: bool) -> Path:
    """Write a BGR AVI whose height, where it is positive, says that rows come from below."""
    with av.open(str(path), "w", format="avi") as out:
        stream: Any = out.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr24"
        for number in range(3):
            rows = NOISE[::-1] if from_below else NOISE
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rows), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    at = data.find(b"strf") + 16
    struct.pack_into("<i", data, at, 48 if from_below else -48)
    path.write_bytes(data)
    with av.open(str(path)) as made:
        first = next(made.decode(video=0))
        assert (first.planes[0].line_size < 0) == from_below
    return path


@pytest.mark.parametrize("scaling", ["area", "denseflow"])
@pytest.mark.parametrize("size", ["original", "24"])
def test_an_uncompressed_avi_is_upright_whichever_way_it_is_stored(
    size: str, scaling: Literal["area", "denseflow"], tmp_path: Path
) -> None:
    """Frames and grey frames are those of the same pictures stored from above."""
    recipe, found = FrameRecipe(size=size, scaling=scaling), []
    for from_below in (False, True):
        source = uncompressed(tmp_path / f"{from_below}.avi", from_below=from_below)
        folder, target = tmp_path / str(from_below), tmp_path / f"{from_below}.npy"
        folder.mkdir()
        facts = rawframes(source, folder, recipe=recipe, caps=CAPS)
        gray(source, target, recipe=recipe, caps=CAPS)
        found.append((facts, target.read_bytes()))
    assert found[0] == found[1]
    assert found[0][0].frames == 3


def test_planes_from_below_are_read_with_and_without_a_compiler() -> None:
    """The picture of a 4:2:0 frame that a filter turned over, which moves no byte."""
    graph = av.filter.Graph()
    begin = graph.add_buffer(
        width=64, height=48, format=av.VideoFormat("yuv420p"), time_base=Fraction(1, 25)
    )
    over, end = graph.add("vflip"), graph.add("buffersink")
    begin.link_to(over)
    over.link_to(end)
    graph.configure()
    frame = av.VideoFrame(64, 48, "yuv420p")
    for plane in frame.planes:
        plane.update(np.random.default_rng(2).bytes(plane.buffer_size))
    frame.pts = 0
    graph.push(frame)
    turned: Any = graph.pull()
    assert all(plane.line_size < 0 for plane in turned.planes)
    copy = av.VideoFrame.from_ndarray(_from_above(frame), format="yuv420p")
    for size in (Size(64, 48), Size(33, 20)):
        for library in (None, frames_library()):
            encode = frame_encoder(
                UPRIGHT, size, stored=Size(64, 48), recipe=FrameRecipe(), library=library
            )
            assert encode(turned) == encode(copy)


def _from_above(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Return the planes of a 4:2:0 frame, each with its rows turned over, as PyAV wants them."""
    planes = frame.to_ndarray().reshape(-1)
    luma, blue, red = np.split(planes, [64 * 48, 64 * 48 * 5 // 4])
    parts = (luma.reshape(48, 64), blue.reshape(24, 32), red.reshape(24, 32))
    return np.concatenate([part[::-1].reshape(-1) for part in parts]).reshape(72, 64)


@pytest.mark.parametrize("tag", range(20))
def test_pictures_of_any_matrix_can_be_made(tag: int) -> None:
    """Numbers that libswscale refuses count as not tagged, 10 as 9; the tag itself stays."""
    frame, meant = (av.VideoFrame.from_ndarray(NOISE, format="rgb24") for _ in range(2))
    frame, meant = frame.reformat(format="yuv422p"), meant.reformat(format="yuv422p")
    frame.colorspace = tag
    meant.colorspace = tag if tag in range(10) and tag not in {3, 8} else {10: 9}.get(tag, 2)
    half = Size(32, 24)
    make_bgr, make_planes = bgr_maker("BICUBIC"), yuv_maker("BICUBIC", full_range=True)
    assert np.array_equal(make_bgr(frame, half), make_bgr(meant, half))
    luma = [bytes(make_planes(picture, half).planes[0]) for picture in (frame, meant)]
    assert luma[0] == luma[1]
    assert frame.colorspace == tag


def test_a_picture_that_cannot_be_converted_is_the_clips_fault() -> None:
    """No error of libswscale is taken for one of the machine."""
    frame = av.VideoFrame.from_ndarray(NOISE, format="rgb24").reformat(format="yuv422p")
    frame.color_range = 7
    with pytest.raises(Undecodable, match="cannot be converted"):
        bgr_maker("BICUBIC")(frame, Size(32, 24))

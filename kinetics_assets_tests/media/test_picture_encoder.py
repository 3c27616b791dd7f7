"""Compiled pictures: the bytes of numpy and libjpeg-turbo, and who has no compiler gets those."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kinetics_assets.core.geometry import Size
from kinetics_assets.core.settings import FrameRecipe
from kinetics_assets.engines.cpu_compiled import compiler
from kinetics_assets.engines.cpu_compiled.frames import NEEDED, CompiledFrames, Drawing, ScanRoom
from kinetics_assets.engines.jpeg_tables import scan_tables
from kinetics_assets.engines.planes import BT709, Canvas
from kinetics_assets.media.jpeg import encode_planes
from kinetics_assets.media.picture_encoder import (
    PictureEncoder,
    _library,
    _makes_the_same_bytes,
    frames_library,
)
from kinetics_assets.media.probe import Caps
from kinetics_assets.media.rawframes import rawframes
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.resources.compilers import skip_without

Frame = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
CAPS = Caps(max_side_px=1000, max_frames=100)
SIZES = [(340, 256), (16, 16), (455, 256), (33, 17), (99, 160), (342, 257)]
SHRINKING = [
    ((90, 60), (90, 60)),
    ((200, 120), (99, 60)),
    ((201, 121), (33, 17)),
    ((640, 40), (17, 40)),
    ((40, 640), (40, 31)),
    ((700, 500), (40, 3)),
    ((9, 9), (1, 1)),
]


@pytest.fixture(scope="module")
def library() -> Path:
    """The code as it is compiled here."""
    skip_without(*NEEDED)
    found = frames_library()
    assert found is not None, "it does not compile, or gives other bytes"
    return found


def noise(width: int, height: int, kind: str) -> Frame:
    """Return a frame of random levels, of extremes, or of slopes with a little noise."""
    random = np.random.default_rng(width * height)

    def plane(rows: int, columns: int) -> NDArray[np.uint8]:
        if kind == "random":
            return random.integers(0, 256, (rows, columns), dtype=np.uint8)
        if kind == "extremes":
            return (random.integers(0, 2, (rows, columns)) * 255).astype(np.uint8)
        slope = np.add.outer(np.arange(rows), np.arange(columns)) / 3
        return (slope + random.normal(0, 3, (rows, columns))).clip(0, 255).astype(np.uint8)

    half = ((height + 1) // 2, (width + 1) // 2)
    return plane(height, width), plane(*half), plane(*half)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["random", "extremes", "slopes"])
def test_bytes_are_those_of_libjpeg_turbo(size: tuple[int, int], kind: str, library: Path) -> None:
    """Of each size and quality, also those above 95, which it encodes itself."""
    frame = noise(*size, kind)
    for quality in (1, 40, 75, 90, 95, 96, 100):
        encoder = PictureEncoder(Size(*size), quality=quality, library=library)
        assert encoder.encode(frame, is_full=True) == encode_planes(*frame, quality=quality)


def test_sums_that_leave_16_bits_are_cut_alike(library: Path) -> None:
    """Each wave of the transform in black and white, which gives the largest numbers there are."""
    cosines = np.cos(np.outer(np.arange(8), 2 * np.arange(8) + 1) * np.pi / 16)
    waves = np.einsum("ux,vy->uxvy", cosines, cosines).reshape(64, 64)
    luma = np.where(np.hstack([waves, -waves]) >= 0, 255, 0).astype(np.uint8)
    blue = np.ascontiguousarray(luma[32:, :64])
    for quality in (10, 90, 95):
        encoder = PictureEncoder(Size(128, 64), quality=quality, library=library)
        wanted = encode_planes(luma, blue, 255 - blue, quality=quality)
        assert encoder.encode((luma, blue, 255 - blue), is_full=True) == wanted


def test_what_has_no_code_is_not_written(library: Path) -> None:
    """Black in steps of one is -1024, one more than baseline JPEG has: libjpeg-turbo is asked."""
    canvas = Canvas(Size(16, 16))
    tables = scan_tables(encode_planes(*canvas.views(), quality=97))
    drawing = Drawing(
        canvas,
        (16, 16),
        CompiledFrames(library),
        is_full=True,
        matrix=None,
        room=ScanRoom(canvas, tables),
    )
    for level, has_code in ((0, False), (128, True)):
        planes = [np.full(plane.shape, level, np.uint8) for plane in canvas.planes]
        found = drawing.draw(*((plane.ctypes.data, plane.strides[0]) for plane in planes))
        assert found == (encode_planes(*canvas.views(), quality=97) if has_code else None)


def test_nothing_is_written_behind_the_room(library: Path) -> None:
    """A picture that is too large for it is left to libjpeg-turbo, with the same bytes."""
    frame, canvas = noise(64, 640, "random"), Canvas(Size(64, 640))
    wanted = encode_planes(*frame, quality=95)
    room = ScanRoom(canvas, scan_tables(wanted))
    least = len(room.out) - room.bytes  # header, margin, and two rows of groups
    for size, fits in ((0, False), (1000, False), (len(wanted) // 2, False), (len(wanted), True)):
        room.bytes = size
        room.out = np.full(2 * len(wanted) + least, 170, np.uint8)
        room.out[: room.header] = np.frombuffer(wanted, np.uint8)[: room.header]
        drawing = Drawing(
            canvas, (640, 64), CompiledFrames(library), is_full=True, matrix=None, room=room
        )
        found = drawing.draw(*((plane.ctypes.data, plane.strides[0]) for plane in frame))
        assert found == (wanted if fits else None)
        assert set(room.out[size + least :].tolist()) == {170}
        assert encode_planes(*canvas.views(), quality=95) == wanted


@pytest.mark.parametrize(("given", "wanted"), SHRINKING)
def test_bytes_do_not_depend_on_the_compiler(
    given: tuple[int, int], wanted: tuple[int, int], library: Path
) -> None:
    """Size, range and matrix come out alike, in rows that lie apart in memory too."""
    frame = noise(*given, "random")
    apart = tuple(np.pad(plane, ((0, 0), (0, 7)))[:, :-7] for plane in frame)
    ways = [PictureEncoder(Size(*wanted), quality=95, library=one) for one in (None, library)]
    for is_full, matrix in itertools.product((False, True), (None, BT709)):
        pictures = {way.encode(apart, is_full=is_full, matrix=matrix) for way in ways}
        assert len(pictures) == 1


def test_frames_may_change_their_size(library: Path) -> None:
    """Each is drawn as if it were the only one."""
    encoder = PictureEncoder(Size(24, 16), quality=95, library=library)
    for size in ((48, 32), (24, 16), (60, 32), (48, 32)):
        frame = noise(*size, "slopes")
        fresh = PictureEncoder(Size(24, 16), quality=95).encode(frame, is_full=False)
        assert encoder.encode(frame, is_full=False) == fresh


def test_planes_that_cannot_be_read_are_refused(library: Path) -> None:
    """Another order of memory is an error, not wild reads."""
    luma, blue, red = noise(32, 32, "random")
    encoder = PictureEncoder(Size(16, 16), quality=95, library=library)
    with pytest.raises(ValueError, match="Cannot read"):
        encoder.encode((luma[:, ::-1], blue, red), is_full=True)
    with pytest.raises(ValueError, match=r"No 4:2:0 frame"):
        encoder.encode((luma, blue[1:], red), is_full=True)
    with pytest.raises(ValueError, match="Cannot read"):
        encoder.encode((luma.astype(np.uint16), blue, red), is_full=True)


def test_a_library_that_cannot_be_loaded_is_done_without(tmp_path: Path, library: Path) -> None:
    """The frames of a clip are the same; speed is all that is lost."""
    source = media.plain(tmp_path / "source.mp4", width_px=90, height_px=58)
    bad = tmp_path / "bad.so"
    bad.write_bytes(b"no library")
    found = []
    for number, file in enumerate((None, str(bad), str(library))):
        folder = tmp_path / str(number)
        folder.mkdir()
        facts = rawframes(source, folder, recipe=FrameRecipe(size="24"), caps=CAPS, library=file)
        found.append((facts, [path.read_bytes() for path in sorted(folder.iterdir())]))
    assert found[0] == found[1] == found[2]
    assert found[0][0].frames == len(found[0][1]) > 0


def test_a_library_that_cannot_be_loaded_is_not_kept(tmp_path: Path) -> None:
    """Its encoder does without it: it must not pass for one that makes the same bytes."""
    bad = tmp_path / "bad.so"
    bad.write_bytes(b"no library")
    with pytest.raises(OSError, match=r"bad\.so"):
        _makes_the_same_bytes(bad, "g++")


def test_without_a_compiler_there_is_no_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody is bothered by that; nor is a compiler looked for by whoever wants none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(compiler.SWITCH, raising=False)
    _library.cache_clear()
    assert frames_library() is None
    _library.cache_clear()
    monkeypatch.undo()
    assert shutil.which("python") is not None
    monkeypatch.setenv(compiler.SWITCH, "numba")
    assert frames_library() is None

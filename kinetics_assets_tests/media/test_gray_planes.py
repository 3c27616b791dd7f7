"""Grey frames straight of planes: the bytes of the way over BGR, and who takes that way."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinetics_assets.core.geometry import Size
from kinetics_assets.core.settings import FrameRecipe
from kinetics_assets.engines.cpu_compiled.gray import CompiledGray
from kinetics_assets.engines.cpu_compiled.gray420 import CompiledGray420
from kinetics_assets.engines.gray import GrayMaker
from kinetics_assets.media.gray import GrayWriter, gray
from kinetics_assets.media.gray_library import _bundled_swscale, _library, gray_library
from kinetics_assets.media.gray_planes import SHARES, GrayOfPlanes
from kinetics_assets.media.libraries import Libraries
from kinetics_assets.media.picture import bgr_maker, size_of
from kinetics_assets.media.probe import Caps
from kinetics_assets.media.product_facts import Wishes
from kinetics_assets.media.products import make_products
from kinetics_assets_tests.resources import golden, media
from kinetics_assets_tests.resources.compilers import skip_without

if TYPE_CHECKING:
    from collections.abc import Callable

CAPS = Caps(max_side_px=3000, max_frames=100)
SIZES = [
    ((340, 256), (340, 256)),
    ((256, 340), (256, 340)),
    ((455, 256), (455, 256)),
    ((1280, 720), (455, 256)),
    ((1280, 720), (340, 256)),
    ((853, 480), (455, 256)),
    ((640, 360), (455, 256)),
    ((1920, 1080), (455, 256)),
    ((99, 34), (150, 100)),
    ((700, 40), (100, 30)),
]
INTERLACED = next(case for case in golden.CASES if case.interlaced)
CLIPS: dict[str, Callable[[Path], Path]] = {
    "plain": media.plain,
    "vp9": media.vp9,
    "709": lambda path: media.colour_bars(path, matrix="709"),
    "full range": lambda path: media.colour_bars(path, matrix="601", full_range=True),
    "squared": media.wide_samples,
}
ELSEWHERE: dict[str, Callable[[Path], Path]] = {
    "odd": media.odd_size,
    "ten bit": media.ten_bit,
    "turned": lambda path: media.rotated(path, 180),
    "interlaced": INTERLACED.write,
}


@cache
def straight_library() -> Path:
    """Return the library of this machine, which serves planes."""
    skip_without("__AVX2__")
    if _bundled_swscale() is None:
        pytest.skip("PyAV is not from a wheel")
    found = _library()
    assert found is not None, "it does not compile, or gives other bytes than this libswscale"
    assert gray_library() == found
    return found


@cache
def straight_code() -> CompiledGray420:
    """Return what serves planes."""
    return CompiledGray420(straight_library())


def noise(
    size: tuple[int, int], matrix: int, colour_range: int, *, name: str = "yuv420p", seed: int = 0
) -> Any:  # noqa: ANN401 - PyAV's frame
    """Return a frame of random levels, half of which are black or white."""
    frame = av.VideoFrame(*size, name)
    random = np.random.default_rng(seed)
    for plane in frame.planes:
        levels = random.integers(-128, 384, plane.buffer_size).clip(0, 255)
        plane.update(levels.astype(np.uint8).tobytes())
    frame.colorspace, frame.color_range = matrix, colour_range
    return frame


def over_bgr(frame: Any, wanted: tuple[int, int]) -> NDArray[np.uint8]:  # noqa: ANN401 - PyAV's frame
    """Return what libswscale and then the code for BGR pixels make, which is held against numpy."""
    bgr = bgr_maker("BILINEAR")(frame, size_of(frame))
    other = CompiledGray(straight_library())
    return GrayMaker((frame.height, frame.width), *wanted, compiled=other).make(bgr).copy()


@pytest.mark.parametrize("matrix", SHARES)
@pytest.mark.parametrize(("given_size", "wanted"), SIZES)
def test_each_byte_is_that_of_libswscale(
    given_size: tuple[int, int], wanted: tuple[int, int], matrix: int
) -> None:
    """In every matrix and range that colour tags tell, and that tags leave open."""
    maker = GrayOfPlanes(Size(*wanted), straight_code())
    tags = itertools.product(("yuv420p", "yuvj420p"), (0, 1, 2))
    if given_size[0] > 900:
        tags = itertools.product(("yuv420p",), (1, 2))  # large frames take time, and tell no more
    for name, colour_range in tags:
        frame = noise(given_size, matrix, colour_range, name=name)
        ours = maker.make(frame)
        assert ours is not None
        assert np.array_equal(ours, over_bgr(frame, wanted))


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 200),
    half_height=st.integers(1, 40),
    shares=st.tuples(st.floats(0.1, 2.5), st.floats(0.05, 2.5)),
    seed=st.integers(0, 1000),
)
def test_sizes_make_no_difference(
    width: int, half_height: int, shares: tuple[float, float], seed: int
) -> None:
    """Any width and any even height, smaller and larger: nothing is special about last columns."""
    height = 2 * half_height
    wanted = (max(1, round(width * shares[0])), max(1, round(height * shares[1])))
    frame = noise((width, height), 1 + seed % 2, 1 + seed % 2, seed=seed)
    ours = GrayOfPlanes(Size(*wanted), straight_code()).make(frame)
    assert ours is not None
    assert np.array_equal(ours, over_bgr(frame, wanted))


def test_frames_may_change_their_size() -> None:
    """Each is made as if it were the only one."""
    maker = GrayOfPlanes(Size(40, 30), straight_code())
    for size in ((80, 60), (40, 30), (99, 60), (80, 60)):
        frame = noise(size, 2, 1)
        ours = maker.make(frame)
        assert ours is not None
        assert np.array_equal(ours, over_bgr(frame, (40, 30)))


@pytest.mark.parametrize(
    ("name", "size", "matrix", "colour_range"),
    [
        ("yuv420p", (64, 47), 1, 1),
        ("yuv422p", (64, 48), 1, 1),
        ("yuv420p", (64, 48), 3, 1),
        ("yuv420p", (64, 48), 10, 1),
        ("yuv420p", (64, 48), 1, 3),
    ],
)
def test_what_libswscale_treats_otherwise_is_left_to_it(
    name: str, size: tuple[int, int], matrix: int, colour_range: int
) -> None:
    """An odd height, another format, an unknown matrix or range."""
    frame = noise(size, matrix, colour_range, name=name)
    assert GrayOfPlanes(Size(32, 24), straight_code()).make(frame) is None


@pytest.mark.parametrize("size", ["24", "original"])
@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_has_the_file_that_it_has_without(
    name: str, size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole file is the same, and no frame went over BGR pixels."""
    source = CLIPS[name](tmp_path / "source")
    plain, straight = tmp_path / "plain.npy", tmp_path / "straight.npy"
    recipe, library = FrameRecipe(size=size), str(straight_library())
    gray(source, plain, recipe=recipe, caps=CAPS)
    monkeypatch.delattr(GrayWriter, "_over_bgr")
    gray(source, straight, recipe=recipe, caps=CAPS, library=library)
    assert straight.read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_clip_that_is_not_served_has_its_file_all_the_same(name: str, tmp_path: Path) -> None:
    """Libswscale makes its frames, as it does without compiled code."""
    source = ELSEWHERE[name](tmp_path / "source")
    files: list[Path] = []
    for library in (None, str(straight_library())):
        files.append(tmp_path / f"{len(files)}.npy")
        gray(source, files[-1], recipe=FrameRecipe(size="24"), caps=CAPS, library=library)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_products_are_made_straight_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One decode for many products takes the cheap way, with the same bytes."""
    source, recipe = media.plain(tmp_path / "source"), FrameRecipe(size="24")
    plain, straight = tmp_path / "plain.npy", tmp_path / "straight.npy"
    make_products(source, Wishes(gray=(plain, recipe)), CAPS)
    monkeypatch.delattr(GrayWriter, "_over_bgr")
    libraries = Libraries(gray=str(straight_library()))
    record = make_products(source, Wishes(gray=(straight, recipe)), CAPS, libraries=libraries)
    assert record["gray"]["facts"]["frames"] == 12
    assert straight.read_bytes() == plain.read_bytes()

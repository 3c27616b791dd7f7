"""Compiled grey frames: numpy's bytes, and who has no compiler gets numpy."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from kinetics_assets.core.settings import FrameRecipe
from kinetics_assets.engines.cpu_compiled import compiler
from kinetics_assets.engines.cpu_compiled.gray import SOURCE, CompiledGray, _library, gray_library
from kinetics_assets.engines.gray import GrayMaker
from kinetics_assets.media.gray import gray
from kinetics_assets.media.probe import Caps
from kinetics_assets_tests.resources import media

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, compiler.COMPILERS)), reason="no C++ compiler"
)
CAPS = Caps(max_side_px=1000, max_frames=100)
SIZES = [(1, 1), (16, 8), (19, 64), (455, 256), (97, 63), (341, 257)]


@pytest.fixture(scope="module", params=["this CPU's vectors", "no vectors"])
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> CompiledGray:
    """The code as it is compiled here, and as for a CPU that is not known."""
    if request.param == "this CPU's vectors":
        library = gray_library()
        assert library is not None
        return CompiledGray(library)
    library = tmp_path_factory.mktemp("gray") / "gray.so"
    real = next(filter(None, map(shutil.which, compiler.COMPILERS)))
    options = [option for option in compiler.options() if option != "-march=native"]
    compiler._run([real, *options, "-w", *compiler.INERT, str(SOURCE), "-o", str(library)])
    return CompiledGray(library)


@needs_compiler
@pytest.mark.parametrize("shape", [(1, 1), (63, 97), (64, 16), (65, 34), (90, 160)])
@pytest.mark.parametrize("size", SIZES)
def test_each_byte_is_numpy_s(
    compiled: CompiledGray, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    """Whatever the size, up or down, and with rows that lie apart in memory."""
    height, width = shape
    noise = np.random.default_rng(1).integers(0, 256, (height, width + 5, 3), dtype=np.uint8)
    frame = noise[:, :width]
    ours = GrayMaker(shape, *size, compiled=compiled).make(frame)
    assert np.array_equal(ours, GrayMaker(shape, *size).make(frame))


@needs_compiler
def test_frames_that_cannot_be_read_are_refused(compiled: CompiledGray) -> None:
    """Another type or order of memory is an error, not wild reads."""
    noise = np.zeros((8, 8, 3), np.uint8)
    maker = GrayMaker((8, 8), 4, 4, compiled=compiled)
    with pytest.raises(ValueError, match="Cannot read"):
        maker.make(noise[:, ::-1])
    with pytest.raises(ValueError, match="Wanted uint8"):
        maker.make(noise[:4])


@needs_compiler
def test_a_library_that_cannot_be_loaded_is_done_without(tmp_path: Path) -> None:
    """The frames are the same; speed is all that is lost."""
    source = media.plain(tmp_path / "source.mp4", width_px=90, height_px=58)
    bad = tmp_path / "bad.so"
    bad.write_bytes(b"no library")
    files = []
    for number, library in enumerate((None, str(bad), str(gray_library()))):
        files.append(tmp_path / f"{number}.npy")
        gray(source, files[-1], recipe=FrameRecipe(size="24"), caps=CAPS, library=library)
    assert len({path.read_bytes() for path in files}) == 1


def test_without_a_compiler_there_is_no_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody is bothered by that; nor is a compiler looked for by whoever wants none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(compiler.SWITCH, raising=False)
    _library.cache_clear()
    assert gray_library() is None
    _library.cache_clear()
    monkeypatch.undo()
    monkeypatch.setenv(compiler.SWITCH, "numba")
    assert gray_library() is None

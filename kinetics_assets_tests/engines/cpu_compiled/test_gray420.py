"""Grey frames of planes: which sizes are served, and what planes mean."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kinetics_assets.engines.cpu_compiled import compiler
from kinetics_assets.engines.cpu_compiled.gray import gray_library
from kinetics_assets.engines.cpu_compiled.gray420 import (
    CompiledGray420,
    Gray420Maker,
    factors,
    is_served,
)

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, compiler.COMPILERS)), reason="no C++ compiler"
)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((256, 340), (340, 256)), ((720, 1280), (455, 256)), ((2160, 3840), (455, 256)),
     ((64, 97), (300, 200)), ((2, 1), (1, 1))],
)  # fmt: skip
def test_common_sizes_are_served(shape: tuple[int, int], size: tuple[int, int]) -> None:
    """As they are, smaller and larger."""
    assert is_served(shape, *size)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((255, 340), (340, 255)), ((63, 96), (48, 32)),
     ((0, 0), (8, 8)), ((8, 8), (0, 8))],
)  # fmt: skip
def test_other_sizes_are_refused(shape: tuple[int, int], size: tuple[int, int]) -> None:
    """An odd number of rows, and what is no picture."""
    assert not is_served(shape, *size)
    with pytest.raises(ValueError, match="Cannot make"):
        Gray420Maker(shape, *size, code=None)  # type: ignore[arg-type] # is not reached


def test_factors_are_those_of_libswscale() -> None:
    """For BT.709: 8192 is 1, black 16 levels of eight eighths; full range is cut, not rounded."""
    names = ("black", "luma", "red_of_red", "blue_of_blue", "green_of_blue", "green_of_red")
    limited = factors((0.2126, 0.0722), is_full=False)
    assert [getattr(limited, name) for name in names] == [128, 9539, 14686, 17305, -1747, -4366]
    full = factors((0.2126, 0.0722), is_full=True)
    assert [getattr(full, name) for name in names] == [0, 8192, 12901, 15201, -1534, -3835]


@needs_compiler
def test_a_library_without_this_is_told_from_one_with_it() -> None:
    """Code for BGR pixels alone is no surprise at the first frame."""
    library = gray_library()
    assert isinstance(library, Path)
    with pytest.raises(OSError, match="no grey frames of planes"):
        CompiledGray420(library)

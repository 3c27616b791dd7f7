"""What every engine promises, whatever it computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kinetics_assets.core.engine_devices import device_of
from kinetics_assets.engines.base import FlowEngine
from kinetics_assets.engines.quantise import quantise
from kinetics_assets.engines.registry import ENGINE_NAMES, engine_by_name
from kinetics_assets_tests import opencvs
from kinetics_assets_tests.engines import optflows
from kinetics_assets_tests.engines.moving import moving_texture

HERE_OR_ON_A_GPU = [
    pytest.param(name, marks=[pytest.mark.gpu] if name == "cuda" else []) for name in ENGINE_NAMES
]


@pytest.fixture(scope="module")
def optflow() -> Iterator[None]:
    """Let OpenCV have its own TV-L1."""
    with optflows.present():
        yield


@pytest.fixture(scope="module", params=HERE_OR_ON_A_GPU)
def engine(request: pytest.FixtureRequest) -> FlowEngine:
    """Return each engine in turn, on two threads where it has threads.

    Those of OpenCV CUDA run in an interpreter with a stand-in for it; so does OpenCV's TV-L1 on
    the CPU, where OpenCV is without contrib.
    """
    python = None
    if request.param == "opencv_cpu":
        request.getfixturevalue("optflow")
    if request.param.startswith("opencv_cuda"):
        folder = request.getfixturevalue("tmp_path_factory").mktemp("opencv")
        python = opencvs.install(folder / "python").python
    return engine_by_name(request.param, threads=2, opencv_cuda_python=python)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_frames_have_no_flow(engine: FlowEngine, count: int) -> None:
    """A clip of no or one frame gives an empty result of the right shape, not an error."""
    frames = np.zeros((count, 20, 30), np.uint8)
    assert engine.flow(frames).shape == (0, 2, 20, 30)
    assert engine.flow_u8(frames, bound_px=20).shape == (0, 2, 20, 30)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 40), (12, 12), (16, 16), (15, 33)])
def test_tiny_frames_work(engine: FlowEngine, height: int, width: int) -> None:
    """A size below the pyramid's limit gives finite flow of that size."""
    random = np.random.default_rng(0)
    flow = engine.flow(random.integers(0, 256, (3, height, width), dtype=np.uint8))
    assert flow.shape == (2, 2, height, width)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()


def test_levels_are_the_quantised_flow(engine: FlowEngine) -> None:
    """`flow_u8` is `quantise` of `flow`, bit for bit."""
    frames = moving_texture(2.0, -1.0, width_px=60, height_px=50)
    levels = engine.flow_u8(frames, bound_px=8)
    assert levels.dtype == np.uint8
    assert np.array_equal(levels, quantise(engine.flow(frames), bound_px=8))


def test_motion_has_the_right_sign_and_order(engine: FlowEngine) -> None:
    """A texture that moves right and up has positive x flow, first, and negative y flow, second."""
    flow = engine.flow(moving_texture(2.0, -1.0))[0, :, 16:-16, 16:-16]
    assert np.median(flow[0]) == pytest.approx(2.0, abs=0.3)
    assert np.median(flow[1]) == pytest.approx(-1.0, abs=0.3)


def test_frames_may_be_strided_and_read_only(engine: FlowEngine) -> None:
    """A view of a larger block gives the flow of its copy, and the frames stay as they are."""
    block = np.repeat(moving_texture(1.0, 0.5, width_px=80, height_px=48), 2, axis=0)
    before = block.copy()
    block.flags.writeable = False
    view = block[::2, :, 8:72]
    assert np.array_equal(engine.flow(view), engine.flow(view.copy()))
    assert np.array_equal(block, before)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 20, 20), np.float32),
        np.zeros((2, 20, 20, 3), np.uint8),
        np.zeros((20, 20), np.uint8),
        np.zeros((2, 0, 20), np.uint8),
    ],
)
def test_other_arrays_are_refused(engine: FlowEngine, frames: NDArray[Any]) -> None:
    """Frames of another type or shape are refused with a message that says what is wanted."""
    with pytest.raises(ValueError, match="uint8 of shape"):
        engine.flow(frames)


def test_an_engine_says_what_it_is(engine: FlowEngine) -> None:
    """Name, profile, device and versions are filled in, so that a manifest can record them."""
    assert engine.name in ENGINE_NAMES
    assert engine.profile
    assert engine.device == ("cuda" if device_of(engine.name) == "gpu" else "cpu")
    versions = engine.versions()
    assert versions
    assert all(versions.values())

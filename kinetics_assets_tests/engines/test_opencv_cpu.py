"""OpenCV's own TV-L1 on the CPU: only by name, and only where OpenCV has contrib.

Where it has, these tests run the real one, else a stand-in that is as strict.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.engines import registry, tvl1
from kinetics_assets.engines.cpu import CpuEngine
from kinetics_assets.engines.opencv_cpu import OpenCvCpuEngine
from kinetics_assets_tests.engines import optflows
from kinetics_assets_tests.engines.moving import moving_texture, share_within_one_level

cv2 = pytest.importorskip("cv2", exc_type=ImportError, reason="cv2 lacks libGL here")
HAS_CONTRIB = optflows.has_contrib()


@pytest.fixture
def optflow() -> Iterator[ModuleType]:
    """The module with TV-L1; OpenCV's number of threads is put back."""
    threads = cv2.getNumThreads()
    with optflows.present() as module:
        yield module
    cv2.setNumThreads(threads)


def test_it_is_a_profile_of_its_own_that_auto_never_takes() -> None:
    """Its flow is never taken for that of OpenCV on CUDA."""
    engine = registry.engine_by_name("opencv_cpu", threads=1)
    assert (engine.profile, engine.device) == ("opencv4-cpu", "cpu")
    assert engine.profile != tvl1.PROFILE
    assert engine.name not in {name for name, _ in registry._PROBES}


@pytest.mark.skipif(HAS_CONTRIB, reason="this OpenCV has contrib")
def test_opencv_without_contrib_names_the_remedy() -> None:
    """The ordinary wheel has no TV-L1; the message says which has, and that they clash."""
    engine = OpenCvCpuEngine(threads=1)
    for ask in (engine.versions, lambda: engine.flow(np.zeros((2, 40, 40), np.uint8))):
        with pytest.raises(
            ToolMissing, match=r"uninstall -y opencv-python .*opencv-contrib-python"
        ):
            ask()


def test_no_opencv_at_all_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any cv2 the error is that of the other engines of OpenCV."""
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ToolMissing, match="Import said"):
        OpenCvCpuEngine().versions()


def test_parameters_are_those_of_denseflow(
    optflow: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are named, so that other defaults of another OpenCV change nothing."""
    create = optflow.DualTVL1OpticalFlow_create
    given: list[dict[str, float]] = []

    def spy(**options: float) -> object:
        given.append(options)
        return create(**options)

    monkeypatch.setattr(optflow, "DualTVL1OpticalFlow_create", spy)
    OpenCvCpuEngine(threads=1).flow(np.zeros((3, 20, 20), np.uint8))
    assert len(given) == 2  # one solver per pair
    numbers = {"tau": 0.25, "lambda_": 0.15, "theta": 0.3, "nscales": 5, "warps": 5}
    more = {"epsilon": 0.01, "scaleStep": 0.8, "gamma": 0.0, "useInitialFlow": False}
    loops = {"innnerIterations": 30, "outerIterations": 10, "medianFiltering": 5}
    assert given[0] == numbers | more | loops


def test_a_size_does_not_depend_on_those_before(optflow: ModuleType) -> None:
    """A solver that saw small frames stays at their number of levels: none is kept."""
    del optflow
    engine, frames = OpenCvCpuEngine(threads=1), moving_texture(3.0, 0.0)
    alone = engine.flow(frames)
    engine.flow(frames[:, :20, :20])
    assert np.array_equal(engine.flow(frames), alone)
    assert np.median(alone[0, 0]) == pytest.approx(3.0, abs=0.3)


def test_it_can_be_shared_between_threads(optflow: ModuleType) -> None:
    """Each pair has a solver of its own thread; all get the same flow."""
    del optflow
    engine, frames = OpenCvCpuEngine(threads=1), moving_texture(2.0, 1.0, width_px=64, height_px=48)
    alone, found = engine.flow(frames), []
    workers = [threading.Thread(target=lambda: found.append(engine.flow(frames))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [np.array_equal(flow, alone) for flow in found] == [True] * 3


def test_opencv_gets_the_threads_that_the_step_holds(optflow: ModuleType) -> None:
    """OpenCV's threads are those of the process; without a number it has what it likes."""
    del optflow
    cv2.setNumThreads(2)
    frames = np.zeros((2, 20, 20), np.uint8)
    OpenCvCpuEngine().flow(frames)
    assert cv2.getNumThreads() == 2
    OpenCvCpuEngine(threads=1).flow(frames)
    assert cv2.getNumThreads() == 1
    with pytest.raises(ValueError, match="at least one thread"):
        OpenCvCpuEngine(threads=0)


@pytest.mark.skipif(not HAS_CONTRIB, reason="this OpenCV is without contrib")
def test_the_real_one_is_near_ours_and_not_ours() -> None:
    """Most samples are within a grey level of the CUDA profile, not all are equal."""
    frames = moving_texture(2.0, -1.0)
    theirs = OpenCvCpuEngine(threads=1).flow_u8(frames, bound_px=20)
    ours = CpuEngine(threads=1).flow_u8(frames, bound_px=20)
    assert share_within_one_level(theirs, ours) > 0.8
    assert not np.array_equal(theirs, ours)

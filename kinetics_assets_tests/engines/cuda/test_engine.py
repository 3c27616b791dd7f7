"""The CUDA engine's host side, on a device made by g++ and behind a stand-in of CuPy."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from kinetics_assets.core.errors import DeviceLost, ToolMissing
from kinetics_assets.engines import reference
from kinetics_assets.engines.base import FlowField
from kinetics_assets.engines.cuda import device, engine
from kinetics_assets.engines.cuda.engine import CudaEngine
from kinetics_assets.engines.quantise import quantise
from kinetics_assets_tests.engines.cuda.nvrtc import Nvrtc
from kinetics_assets_tests.engines.cuda.shim import ShimDevice
from kinetics_assets_tests.engines.cuda.standin_cupy import (
    CUDADriverError,
    CUDARuntimeError,
    StandinCupy,
)
from kinetics_assets_tests.engines.moving import moving_texture

CLIP = np.concatenate([moving_texture(0.4, 0.2, width_px=20, height_px=18) for _ in range(2)])
ORACLE = reference.ReferenceEngine().flow(CLIP)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> StandinCupy:
    """Return a stand-in of CuPy with a device, which the engine takes for the real one.

    Kernels that one test has compiled, the next one finds.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "kernels"))
    monkeypatch.setattr(device, "device_count", lambda: 1)
    standin = StandinCupy(Nvrtc())
    monkeypatch.setitem(sys.modules, "cupy", standin)
    return standin


def test_flow_through_cupy_is_the_oracles(cupy: StandinCupy) -> None:
    """Arrays, arguments and shared memory reach the kernels; results come back, bit for bit."""
    ours = CudaEngine()
    assert np.array_equal(ours.flow(CLIP), ORACLE)
    assert np.array_equal(ours.flow_u8(CLIP, bound_px=3), quantise(ORACLE, bound_px=3))
    assert len(cupy.modules) == 1
    assert cupy.modules[0].suffix == ".cubin"


def test_clips_of_uneven_size_share_a_batch() -> None:
    """Each clip gets its own flow, in order; those of fewer than two frames an empty one."""
    on = ShimDevice(threads=32)
    clips = [CLIP[:1], CLIP, moving_texture(0.5, 0, width_px=18, height_px=25), CLIP[:0], CLIP[1:3]]
    flows = CudaEngine(on=on).flow_u8_of_clips(clips, bound_px=2)
    assert on.batches == [3 + 1 + 1]
    for clip, flow in zip(clips, flows, strict=True):
        assert np.array_equal(flow, reference.ReferenceEngine().flow_u8(clip, bound_px=2))


def test_nothing_to_do_needs_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips without pairs are answered where there is no device at all."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert CudaEngine().flow(CLIP[:1]).shape == (0, 2, 18, 20)
    assert CudaEngine().flow_u8_of_clips([], bound_px=2) == []
    with pytest.raises(DeviceLost):
        CudaEngine().flow(CLIP)


def test_a_batch_that_does_not_fit_is_halved() -> None:
    """Too little memory makes more batches, and not one bit differs."""
    on = ShimDevice(threads=32, memory_bytes=80_000)
    flows = CudaEngine(on=on).flow_u8_of_clips([CLIP, CLIP[:2], CLIP], bound_px=2)
    assert len(on.batches) > 2
    assert sum(on.batches) == 7
    assert np.array_equal(flows[0], quantise(ORACLE, bound_px=2))
    assert np.array_equal(flows[2], flows[0])


def test_no_room_for_one_pair_is_a_fault_of_the_machine() -> None:
    """It is told with the size, and never done on the CPU instead."""
    with pytest.raises(DeviceLost, match=r"one pair of 20x18 frames.*'cpu'"):
        CudaEngine(on=ShimDevice(memory_bytes=100)).flow(CLIP)


def test_cupys_own_memory_error_halves_too(cupy: StandinCupy) -> None:
    """The pool's error, and the run time's and the driver's of number 2, mean short memory."""
    cupy.memory_bytes = 80_000
    assert np.array_equal(CudaEngine(budget_bytes=1 << 30).flow(CLIP), ORACLE)
    cupy.memory_bytes = 1 << 30
    for error in (CUDARuntimeError(2, "cudaErrorMemoryAllocation"), CUDADriverError(2, "memory")):
        faults = [error]

        def fail_once(faults: list[CUDARuntimeError] = faults) -> None:
            if faults:
                raise faults.pop()

        cupy.before_launch = fail_once
        assert np.array_equal(CudaEngine().flow(CLIP), ORACLE)
        assert not faults


def test_locked_memory_that_became_too_small_is_given_back(cupy: StandinCupy) -> None:
    """A lane has the memory of its largest batch and no other: CuPy's pool would keep them all."""
    lane = device.CupyDevice()
    for size in (1000, 3000, 2000, 5000):
        lane.host_arrays(0, pixels=size, results=size, sample=np.uint8)
    assert cupy.kept_locked_bytes == []


def test_a_device_that_others_have_filled_is_a_fault_of_the_machine(cupy: StandinCupy) -> None:
    """Not even a context has room then, and no MemoryError without a remedy reaches the user."""

    def full() -> None:
        raise CUDARuntimeError(2, "cudaErrorMemoryAllocation: out of memory")

    cupy.cuda.Device = full
    with pytest.raises(DeviceLost, match=r"no memory left.*limits\.gpu_slots"):
        CudaEngine().flow(CLIP)


def test_a_lost_device_is_a_fault_of_the_machine(cupy: StandinCupy) -> None:
    """Any other CUDA error ends the step, with what the device said."""
    ours = CudaEngine()
    ours.warm_up()

    def fail() -> None:
        raise CUDADriverError(719, "CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure")

    cupy.before_launch = fail
    with pytest.raises(DeviceLost, match="CUDA_ERROR_LAUNCH_FAILED") as caught:
        ours.flow(CLIP)
    assert "nvidia-smi" in caught.value.remedy


def test_no_device_is_told_before_cupy_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where devices are hidden, the error says so whether CuPy is installed or not."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceLost, match=r"no usable CUDA device.*CUDA_VISIBLE_DEVICES.*'cpu'"):
        CudaEngine().warm_up()


def test_missing_cupy_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a device but without CuPy the error says what to install."""
    monkeypatch.setattr(device, "device_count", lambda: 1)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ToolMissing, match=r"pip install 'kinetics-assets\[cuda\]'"):
        CudaEngine().warm_up()
    monkeypatch.setattr(engine, "_CUPY_WHEELS", ("no-such-wheel",))
    with pytest.raises(ToolMissing, match=r"pip install 'kinetics-assets\[cuda\]'"):
        CudaEngine().versions()


def test_flow_that_is_not_finite_is_never_written() -> None:
    """A device that computes NaN is found out."""

    class Broken(ShimDevice):
        def run(self, plan, pixels, results, *, bound_px, lane):  # noqa: ANN001, ANN202
            """Leave out where memory gets its first values."""
            rest = tuple(step for step in plan.launches if step.kernel != "begin_level")
            plan = replace(plan, launches=rest)
            return super().run(plan, pixels, results, bound_px=bound_px, lane=lane)

    with pytest.raises(FloatingPointError, match="NaN"):
        CudaEngine(on=Broken(threads=32)).flow_u8(CLIP, bound_px=2)


@pytest.mark.parametrize("bound_px", [0.0, -3.0, float("nan")])
def test_the_bound_must_be_positive(bound_px: float) -> None:
    """A bound that maps nothing is refused before anything runs."""
    on = ShimDevice()
    with pytest.raises(ValueError, match="bound"):
        CudaEngine(on=on).flow_u8(CLIP, bound_px=bound_px)
    assert not on.batches


def test_threads_can_share_the_engine() -> None:
    """Calls from several threads take turns; each gets its own result."""
    ours = CudaEngine(on=ShimDevice(threads=32))
    results: dict[int, FlowField] = {}

    def work(start: int) -> None:
        results[start] = ours.flow(CLIP[start : start + 2])[0]

    threads = [threading.Thread(target=work, args=(start,)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(results[start], ORACLE[start]) for start in range(3))

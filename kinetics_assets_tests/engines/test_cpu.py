"""The fast CPU engine: equal to the oracle with either kind of kernels, and deterministic."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.engines import cpu, cpu_kernels, reference, tvl1
from kinetics_assets.engines.cpu import CpuEngine
from kinetics_assets.engines.cpu_compiled import compiler
from kinetics_assets.engines.quantise import quantise
from kinetics_assets_tests.engines.moving import (
    clip_pair,
    end_point_error_px,
    moving_texture,
    share_within_one_level,
)

CUT_LEVELS = 40
SMALL = {"width_px": 170, "height_px": 128}
FULL = {"width_px": 340, "height_px": 256}
PAIRS = [
    ("bikes", 0, SMALL),
    ("bikes", 84, SMALL),  # fast motion, as 96 and 100
    ("bikes", 96, SMALL),
    ("bikes", 120, SMALL),
    ("bikes", 168, SMALL),
    ("bikes", 186, SMALL),  # a scene cut
    ("carphone", 0, SMALL),
    ("bigbuckbunny", 32, SMALL),
    ("bikes", 24, FULL),
    ("bikes", 100, FULL),  # of all pairs the one on which rounding differences grow most
    ("carphone", 30, FULL),
    ("bigbuckbunny", 64, FULL),
]


@pytest.fixture
def numba_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the engine use the kernels of numba."""
    monkeypatch.setenv(compiler.SWITCH, "numba")


@pytest.fixture(params=["numba", "compiled"])
def either_kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the engine use the kernels of numba, and in a second test the compiled ones."""
    if request.param == "compiled" and not any(map(shutil.which, compiler.COMPILERS)):
        pytest.skip("no C++ compiler")
    monkeypatch.setenv(compiler.SWITCH, request.param)


def _levels(flow: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return grey levels with the usual bound."""
    return quantise(flow, bound_px=20)


@pytest.mark.slow
def test_agrees_with_the_oracle_on_real_footage() -> None:
    """Every pair has 98 % of its samples within one grey level of the oracle, the median 99.9 %.

    A pair across a scene cut (frames 40 levels apart in the mean) has no motion to agree on.
    """
    agreements = {}
    for name, first, size in PAIRS:
        pair = clip_pair(name, first, **size)
        if np.abs(pair[0].astype(np.int16) - pair[1]).mean() > CUT_LEVELS:
            continue
        ours, oracle = (_levels(solver.solve_pair(*pair).flow) for solver in (cpu, reference))
        agreements[name, first, size["width_px"]] = share_within_one_level(ours, oracle)
    assert len(agreements) == len(PAIRS) - 1
    assert not {pair: share for pair, share in agreements.items() if share < 0.98}
    assert np.median(list(agreements.values())) >= 0.999


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("first", [84, 100, 186])
def test_is_the_oracle_bit_for_bit(first: int) -> None:
    """Fast motion and a scene cut, where any rounding difference would grow: the same bits."""
    pair = clip_pair("bikes", first, width_px=68, height_px=51)
    ours, oracle = cpu.solve_pair(*pair), reference.solve_pair(*pair)
    assert np.array_equal(ours.flow, oracle.flow)


@pytest.mark.usefixtures("either_kernels")
def test_runs_as_many_iterations_as_the_oracle() -> None:
    """Odd sizes and one level alone too: the stop rule ends every warp where the oracle's does."""
    for width, height in [(96, 72), (61, 45), (33, 17), (5, 3), (1, 1)]:
        pair = moving_texture(1.4, 0.7, width_px=width, height_px=height)
        ours, oracle = cpu.solve_pair(*pair), reference.solve_pair(*pair)
        assert ours.iterations.tolist() == oracle.iterations.tolist()
        assert np.array_equal(ours.flow, oracle.flow)


@pytest.mark.usefixtures("either_kernels")
def test_flow_far_outside_the_image_is_the_oracles() -> None:
    """Noise, whose flow leaves the image on all sides, meets the replicated border alike."""
    pair = np.random.default_rng(11).integers(0, 256, (2, 24, 30), dtype=np.uint8)
    ours, oracle = cpu.solve_pair(*pair), reference.solve_pair(*pair)
    assert np.array_equal(ours.flow, oracle.flow)


@pytest.mark.parametrize("threshold", [0.3, 1.0, 8.704])
def test_the_schedule_is_the_stop_rule(threshold: float) -> None:
    """The distance to the next test is what stepping through the stop rule gives."""
    for error in [threshold * factor for factor in (1.0, 1.5, 2.0, 2.5, 3.01, 17.3, 250.0, 1e9)]:
        done, expected = 1, error
        while True:
            done += 1
            if (done % 2 == 1 and expected < threshold) or done > tvl1.MAX_ITERATIONS:
                break
            expected -= threshold
        assert cpu_kernels.iterations_until_test(error, threshold) == min(
            done - 1, tvl1.MAX_ITERATIONS
        )


@pytest.mark.parametrize("shift", [(1.3, -0.7), (-3.25, 2.5), (0.1, 0.05)])
def test_known_motion_is_found(shift: tuple[float, float]) -> None:
    """A generated texture that moves by parts of a pixel is followed to a third of a pixel."""
    flow = CpuEngine(threads=1).flow(moving_texture(*shift))
    assert end_point_error_px(flow[0], *shift) < 0.3


@pytest.mark.usefixtures("either_kernels")
def test_equal_frames_do_not_move() -> None:
    """Equal frames have exactly zero flow."""
    frame = moving_texture(0, 0)[0]
    assert not CpuEngine(threads=2).flow(np.stack([frame] * 4)).any()


@pytest.mark.usefixtures("either_kernels")
def test_a_pair_does_not_depend_on_its_company() -> None:
    """Alone, in a clip, on one thread or on four, after another size: the same bits."""
    random = np.random.default_rng(5)
    still = moving_texture(0.6, 0.3, width_px=75, height_px=53)
    frames = np.concatenate([still, random.integers(0, 256, (2, 53, 75), dtype=np.uint8), still])
    alone = np.stack([CpuEngine(threads=1).flow(frames[t : t + 2])[0] for t in range(5)])
    CpuEngine(threads=1).flow(moving_texture(1, 1, width_px=16, height_px=20))
    for threads in (1, 2, 4):
        assert np.array_equal(CpuEngine(threads=threads).flow(frames), alone)
    assert np.array_equal(CpuEngine(threads=3).flow(frames[2:]), alone[2:])


def test_no_flow_reads_outside_the_texture() -> None:
    """Whatever the flow, NaN and infinities included, the taps lie inside image and margin."""
    wild = [np.nan, np.inf, -np.inf, 1e30, -1e30, 9.99, -9.99, 0.0]
    cells, weights = np.empty(8, np.int32), np.empty((4, 8), np.float32)
    taps = cpu_kernels._taps
    limit = np.float32(9)  # as for an image of eight pixels
    taps(
        np.array(wild, np.float32), np.uintp(0), np.float32(0), np.float32(1), limit, cells, weights
    )
    assert cells.min() >= -2
    assert cells.max() <= 9


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    """A bound that cannot be used is reported, not lost in the pool."""
    with pytest.raises(ValueError, match="bound"):
        CpuEngine(threads=2).flow_u8(np.zeros((4, 20, 20), np.uint8), bound_px=-1)


def test_threads_must_be_positive() -> None:
    """No threads is refused when the engine is made, not when it runs."""
    with pytest.raises(ValueError, match="thread"):
        CpuEngine(threads=0)
    assert CpuEngine().threads >= 1


@pytest.mark.usefixtures("numba_kernels")
def test_warm_up_compiles_every_kernel() -> None:
    """After `warm_up` a call compiles nothing more, whatever the frame."""
    CpuEngine(threads=1).warm_up()
    kernels = [cpu_kernels.solve_level, cpu_kernels.resize, cpu_kernels.gradient_texture]
    before = [list(kernel.signatures) for kernel in kernels]  # type: ignore[attr-defined]  # numba's
    CpuEngine(threads=2).flow(moving_texture(1, 1, width_px=50, height_px=70))
    assert [list(kernel.signatures) for kernel in kernels] == before  # type: ignore[attr-defined]  # numba's


def test_kernels_are_cached_for_the_user_when_the_package_is_read_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A package folder that cannot be written moves numba's cache to the user's cache folder."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "a variable to restore afterwards")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cpu._choose_kernel_cache()
    assert "NUMBA_CACHE_DIR" not in os.environ
    package = Path(cpu.__file__).parent
    monkeypatch.setattr(os, "access", lambda path, _: path != package)
    cpu._choose_kernel_cache()
    assert Path(os.environ["NUMBA_CACHE_DIR"]) == tmp_path / "kinetics-assets" / "numba"
    assert Path(os.environ["NUMBA_CACHE_DIR"]).is_dir()
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/the/user's/choice")
    cpu._choose_kernel_cache()
    assert os.environ["NUMBA_CACHE_DIR"] == "/the/user's/choice"


def test_kernels_are_cached_somewhere_without_a_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where no cache folder can be made, a private temporary one serves this process."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "a variable to restore afterwards")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cpu._choose_kernel_cache()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("numba_kernels")
def test_missing_numba_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without numba the error says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "kinetics_assets.engines.cpu_kernels", None)
    monkeypatch.delattr("kinetics_assets.engines.cpu_kernels")
    with pytest.raises(ToolMissing, match="pip install numba"):
        CpuEngine(threads=1).warm_up()

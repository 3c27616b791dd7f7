"""The kernels compile for every device that we name, fit its registers, and are kept on disk."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Final, cast

import pytest

from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.engines.cuda import compiler
from kinetics_assets.engines.cuda.plan import KERNELS, SOLVERS, SOURCE
from kinetics_assets_tests.engines.cuda.nvrtc import Nvrtc

ARCHITECTURES: Final = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
MOST_REGISTERS: Final = {"solve_in_ring": 64, "solve_in_place": 64, "solve_in_registers": 80}
"""What a thread may have: 1,024, or 704, share the registers of a multiprocessor."""


@pytest.fixture
def nvrtc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Nvrtc:
    """Return the compiler, and keep what it makes in a folder of this test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Nvrtc()


@pytest.fixture
def short_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take a kernel that compiles at once for ours, where any will do."""
    source = tmp_path / "short.cu"
    source.write_text('extern "C" __global__ void kernel(float *x) { x[threadIdx.x] *= 2.0f; }\n')
    monkeypatch.setattr(compiler, "SOURCE", source)


def _file(nvrtc: Nvrtc, capability: int) -> Path:
    """Return the compiled kernels for a device."""
    return compiler.kernels_file(cast("ModuleType", nvrtc), capability)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_kernel_spills_registers(architecture: str) -> None:
    """NVRTC compiles each kernel without a stack frame; the solver's threads all fit at once."""
    nvrtc = Nvrtc()
    program = nvrtc.createProgram(SOURCE.read_text(encoding="utf-8"), SOURCE.name)
    nvrtc.compileProgram(program, (*compiler.options(architecture), "--ptxas-options=-v"))
    log = nvrtc.getProgramLog(program)
    nvrtc.destroyProgram(program)
    entries = re.findall(rf"entry function '(\w+)' for '{architecture}'", log)
    assert sorted(entries) == sorted(KERNELS)
    spills = re.findall(
        r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", log
    )
    assert spills == [("0", "0", "0")] * len(KERNELS)
    registers = {
        name: int(used)
        for name, used in re.findall(r"function '(\w+)' for.*?Used (\d+) reg", log, flags=re.DOTALL)
    }
    assert all(0 < registers[name] <= MOST_REGISTERS[name] for name in SOLVERS), registers


@pytest.mark.usefixtures("short_source")
def test_kernels_are_compiled_once(nvrtc: Nvrtc) -> None:
    """A second process finds machine code of the device, made with the exact options."""
    path = _file(nvrtc, 90)
    assert path.read_bytes().startswith(b"\x7fELF")
    assert _file(nvrtc, 90) == path
    assert nvrtc.compilations == 1
    assert _file(nvrtc, 80) != path
    assert [entry for entry in path.parent.iterdir() if entry.suffix != ".cubin"] == []


def test_a_device_newer_than_the_compiler_gets_intermediate_code(nvrtc: Nvrtc) -> None:
    """The driver translates it; its operations are those of the source.

    None is contracted: only the solvers, which ask for it, have fused multiply-adds. None is
    approximate but the guesses from which their divisions and roots begin.
    """
    text = _file(nvrtc, 999).read_text(encoding="utf-8")
    kernels = dict(re.findall(r"\.entry (\w+)\((.*?)(?=\.entry|\Z)", text, flags=re.DOTALL))
    assert sorted(kernels) == sorted(KERNELS)
    assert {name for name, code in kernels.items() if "fma.rn" in code} == {*SOLVERS}
    assert set(re.findall(r"\w+\.approx\S*", text)) == {
        "rcp.approx.ftz.f32",
        "rsqrt.approx.ftz.f32",
    }
    assert len(re.findall(r"\.ftz", text)) == len(re.findall(r"approx\.ftz", text))


def test_a_device_older_than_the_compiler_is_refused(nvrtc: Nvrtc) -> None:
    """The error names the compiler, what it knows, and the command to run."""
    nvrtc.oldest = 80
    with pytest.raises(ToolMissing, match=r"NVRTC.*kinetics-assets\[cuda\].*the device is sm_75"):
        _file(nvrtc, 75)
    assert nvrtc.compilations == 0


def test_a_compiler_that_does_not_take_the_source_is_refused(
    nvrtc: Nvrtc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its own words are in the error, and nothing is kept."""
    source = tmp_path / "broken.cu"
    source.write_text('extern "C" __global__ void kernel() { nonsense; }\n')
    monkeypatch.setattr(compiler, "SOURCE", source)
    with pytest.raises(ToolMissing, match="nonsense"):
        _file(nvrtc, 90)
    assert not list(tmp_path.rglob("*.cubin"))


@pytest.mark.usefixtures("short_source")
def test_no_home_is_no_obstacle(
    nvrtc: Nvrtc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the cache folder cannot be made, a temporary one serves this process."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert _file(nvrtc, 90).parent.parent == tmp_path

"""Engines: CuPy and OpenCV as stand-in modules, denseflow as a stand-in program, real processes."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import FlowRecipe, Settings
from kinetics_assets.stages.doctor.check import Check
from kinetics_assets.stages.doctor.flow import (
    cpu_check,
    cupy_check,
    denseflow_check,
    engine_check,
    engines_of,
    opencv_check,
    opencv_cuda_check,
)
from kinetics_assets.stages.doctor.probing import ask
from kinetics_assets_tests import opencvs
from kinetics_assets_tests.opencvs import OpenCv

CUPY = """
__version__ = "13.4"
class _Nvrtc:
    getVersion = staticmethod(lambda: (12, 9))
    getSupportedArchs = staticmethod(lambda: [90, 50])
class cuda:
    nvrtc = _Nvrtc
"""
NO_NVRTC = CUPY.replace("lambda: (12, 9)", "lambda: 1 / 0")
LIB_GL = 'raise ImportError("libGL.so.1: cannot open shared object file")'


def _stand_in(name: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `import name` in a new process run `text`."""
    (folder / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{os.environ.get('PYTHONPATH', '')}")


@pytest.mark.parametrize(
    ("choice", "state", "says"),
    [
        ("auto", "off", "numba 0.* neither g"),
        ("numba", "off", "KINETICS_CPU_KERNELS says so"),
        ("compiled", "missing", "neither g"),
        ("fast", "missing", "'fast'"),
    ],
)
def test_kernels_of_the_cpu_engine(
    choice: str, state: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a compiler numba's run, which is no fault; what was asked for in vain is one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("KINETICS_CPU_KERNELS", choice)
    found = cpu_check(ask("cpu", seconds=600), is_needed=True)
    assert found.state == state
    assert re.search(says, found.says)
    assert found.remedy


def test_compiled_kernels_of_the_cpu_engine() -> None:
    """Their compiler is named; where there is none, what to install is."""
    found = cpu_check(ask("cpu", seconds=600), is_needed=True)
    has_compiler = shutil.which("g++") or shutil.which("clang++")
    assert ("C++ kernels" in found.says) == bool(has_compiler)
    assert ("g++" in found.remedy) == (not has_compiler)


@pytest.mark.parametrize(
    ("text", "states", "says"),
    [
        (
            'raise ModuleNotFoundError("no cupy", name="cupy")',
            ("off", "missing"),
            "CuPy is not installed",
        ),
        ('raise ImportError("libcudart.so.12")', ("warning", "missing"), "libcudart.so.12"),
        ("import os; os.abort()", ("warning", "missing"), "ended with status -6"),
        (NO_NVRTC, ("warning", "missing"), "no CUDA compiler"),
        (CUPY, ("ok", "ok"), "CuPy 13.4, NVRTC 12.9"),
    ],
)
def test_cupy(
    text: str,
    states: tuple[str, str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not there, broken, without a compiler, usable: told apart, mended by one command."""
    _stand_in("cupy", text, tmp_path, monkeypatch)
    answer = ask("cupy")
    found = [cupy_check(answer, is_needed=is_needed) for is_needed in (False, True)]
    assert tuple(one.state for one in found) == states
    assert says in found[0].says
    assert found[0].is_ok or "kinetics-assets[cuda]" in found[0].remedy


@pytest.mark.parametrize(
    ("text", "state", "remedy"),
    [
        (LIB_GL, "warning", "libgl1"),
        ('raise ImportError("numpy")', "warning", "opencv-python-headless"),
        ('__version__ = "5"', "ok", ""),
    ],
)
def test_opencv(
    text: str, state: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without libGL, broken, usable: told apart, one remedy each."""
    _stand_in("cv2", text, tmp_path, monkeypatch)
    answer = ask("opencv")
    found = opencv_check(answer, is_needed=False)
    assert found.state == state
    assert remedy in found.remedy
    assert found.is_ok or opencv_check(answer, is_needed=True).state == "missing"
    contrib = opencv_check(answer, is_needed=False, needs_contrib=True)
    assert (contrib.state, "opencv-contrib" in contrib.remedy) == ("missing", True)


def test_opencv_with_contrib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is good for all that needs OpenCV without CUDA."""
    text = '__version__ = "5"\nclass optflow:\n    DualTVL1OpticalFlow_create = print\n'
    _stand_in("cv2", text, tmp_path, monkeypatch)
    assert opencv_check(ask("opencv"), is_needed=True, needs_contrib=True).is_ok


@pytest.fixture(scope="module")
def opencv(tmp_path_factory: pytest.TempPathFactory) -> OpenCv:
    """An interpreter with a stand-in for a CUDA OpenCV."""
    return opencvs.install(tmp_path_factory.mktemp("opencv") / "it's")


@pytest.mark.parametrize(
    ("mode", "how", "engine", "expected"),
    [
        ("well", {}, "opencv_cuda", ("ok", "4.10.0", "")),
        ("well", {"version": "4.5.4"}, "opencv_cuda", ("warning", "several times slower", "4.5.5")),
        ("no_cuda", {}, "opencv_cuda", ("missing", "built without CUDA", "WITH_CUDA")),
        (
            "well",
            {"lacks": ["BroxOpticalFlow"]},
            "opencv_cuda-brox",
            ("missing", "Brox", "contrib"),
        ),
        ("no_device", {}, "opencv_cuda", ("missing", "sees no device", "nvidia-smi")),
        ("old_driver", {}, "opencv_cuda", ("missing", "driver is too old", "nvidia-smi")),
        ("broken", {}, "opencv_cuda", ("missing", "libcudart.so.12", "import cv2")),
    ],
)
def test_opencv_cuda(
    mode: str,
    how: dict[str, object],
    engine: str,
    expected: tuple[str, str, str],
    opencv: OpenCv,
) -> None:
    """Its interpreter is asked; what it lacks for the engine in use is told with one remedy."""
    opencv.behave(mode, **how)
    state, says, remedy = expected
    found = opencv_cuda_check(opencv.python, names={engine, "cpu"})
    assert found.state == state
    assert says in found.says
    assert remedy in found.remedy


def test_opencv_cuda_that_nobody_wants() -> None:
    """Our own OpenCV without CUDA is no fault, an interpreter that is named and not there is."""
    assert opencv_cuda_check(None, names={"cpu"}).state == "off"
    assert opencv_cuda_check(None, names={"opencv_cuda"}).state == "missing"
    named = opencv_cuda_check(Path("/nowhere/python"), names={"cpu"})
    assert (named.state, "/nowhere/python" in named.says) == ("missing", True)


def _program(folder: Path, text: str) -> Path:
    """Return a program called denseflow."""
    path = folder / "denseflow"
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_denseflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not there is off, unless the settings name it; one that does not start is told with why."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert denseflow_check(None, is_needed=False).state == "off"
    assert denseflow_check(None, is_needed=True).state == "missing"
    named = denseflow_check(tmp_path / "nowhere", is_needed=False)
    assert (named.state, str(tmp_path / "nowhere") in named.says) == ("missing", True)

    path = _program(tmp_path, "#!/bin/sh\necho 'error: libopencv.so: cannot open' >&2\nexit 127\n")
    broken = denseflow_check(None, is_needed=False)
    assert (broken.state, "libopencv.so" in broken.says) == ("warning", True)
    assert denseflow_check(path, is_needed=False).state == "missing"
    path.write_bytes(b"\x7fELF, but broken")
    assert "Exec format error" in denseflow_check(None, is_needed=False).says

    monkeypatch.setenv("KINETICS_SOURCES__YOUTUBE_PROXY", "http://a:secret@host:1")
    _program(tmp_path, f"#!/bin/sh\nenv > '{tmp_path}/seen'\n")
    assert denseflow_check(None, is_needed=True).is_ok
    assert "secret" not in (tmp_path / "seen").read_text()


def test_which_engine_and_why(tmp_path: Path) -> None:
    """As set; what auto is, and why it is no better one; what a split was begun with is kept."""
    checks = [Check("gpu", "off", "There is no NVIDIA GPU.", "Buy one."), Check("cupy", "ok", "")]
    answer = {"auto": {"is": "cpu"}}
    settings = Settings(root=tmp_path, dataset="demo")
    found = engine_check(settings, answer, checks=checks)
    assert (found.state, found.says) == ("ok", "auto is cpu here, as gpu is off.")

    choices = Layout.of(settings).choices(Split.TRAIN)
    choices.parent.mkdir(parents=True)
    choices.write_text('{"flow_engine": "cuda"}')
    assert "train was begun with cuda" in engine_check(settings, answer, checks=checks).says
    engines = engines_of(settings, auto="cpu")
    assert (engines[Split.TRAIN], engines[Split.VAL]) == ("cuda", "cpu")

    named = Settings(root=tmp_path, dataset="demo", flow=FlowRecipe(engine="cpu"))
    assert engine_check(named, answer, checks=checks).says == "cpu, as flow.engine says."
    assert set(engines_of(named, auto=None).values()) == {"cpu"}
    unknown = Settings(root=tmp_path, dataset="demo", flow=FlowRecipe(engine="cdua"))
    assert engine_check(unknown, answer, checks=checks).state == "missing"

    choices.unlink()
    nothing = {"auto": {"fault": "No engine.", "remedy": "Run `pip install numba`."}}
    found = engine_check(settings, nothing, checks=checks)
    assert (found.state, found.remedy) == ("missing", "Run `pip install numba`.")

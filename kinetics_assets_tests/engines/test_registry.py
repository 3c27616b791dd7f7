"""Names of engines, and what "auto" chooses."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from kinetics_assets.core.engine_devices import device_of
from kinetics_assets.core.errors import ToolMissing, UnknownEngine
from kinetics_assets.engines import registry
from kinetics_assets.engines.cpu import CpuEngine
from kinetics_assets.engines.cuda import probe
from kinetics_assets_tests import opencvs


@pytest.mark.parametrize("name", registry.ENGINE_NAMES)
def test_every_name_has_its_engine(name: str) -> None:
    """The engine behind a name carries that name, and the name resolves to itself."""
    assert registry.engine_by_name(name).name == name
    assert registry.resolve_engine(name) == name


@pytest.mark.parametrize("name", registry.FILE_ENGINE_NAMES)
def test_every_engine_of_files_has_its_name(name: str) -> None:
    """Engines that take a video are found by name too, and cannot be taken for the others."""
    engine = registry.file_engine_by_name(name)
    assert engine.name == name
    assert registry.resolve_engine(name) == name
    assert registry.signature(name) == (name, engine.profile)
    assert device_of(name) == ("gpu" if engine.device == "cuda" else "cpu")
    with pytest.raises(UnknownEngine):
        registry.engine_by_name(name)
    with pytest.raises(UnknownEngine):
        registry.file_engine_by_name("cpu")


def test_threads_reach_the_engine() -> None:
    """The thread count is handed to the engine that uses threads."""
    engine = registry.engine_by_name("cpu", threads=3)
    assert isinstance(engine, CpuEngine)
    assert engine.threads == 3


@pytest.mark.parametrize("ask", [registry.engine_by_name, registry.resolve_engine])
def test_unknown_names_are_refused(ask: object) -> None:
    """A name that is none lists those that are."""
    assert callable(ask)
    with pytest.raises(UnknownEngine, match="preview-dis"):
        ask("tvl2")


def test_auto_is_not_an_engine() -> None:
    """The word is resolved once and recorded; it never names an engine itself."""
    with pytest.raises(UnknownEngine):
        registry.engine_by_name("auto")


def test_auto_takes_the_first_that_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probes are asked in order, and a preview is never chosen."""
    probes = (
        ("first", lambda python: python is None),
        ("second", lambda python: python == Path("python")),
        ("third", lambda _: True),
    )
    monkeypatch.setattr(registry, "_PROBES", probes)
    assert registry.resolve_engine("auto") == "first"
    python = Path("python")
    assert registry.resolve_engine("auto", opencv_cuda_python=python) == "second"
    monkeypatch.setattr(registry, "_PROBES", probes[:1])
    with pytest.raises(ToolMissing, match="pip install"):
        registry.resolve_engine("auto", opencv_cuda_python=python)


def test_auto_is_a_gpu_where_one_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a device and CuPy it is cuda; where devices are hidden it is the CPU as before."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert registry.resolve_engine("auto") == "cpu"
    monkeypatch.setattr(probe, "device_count", lambda: 1)
    has_cupy = find_spec("cupy") is not None
    assert registry.resolve_engine("auto") == ("cuda" if has_cupy else "cpu")


def test_auto_is_denseflow_only_with_a_gpu_and_without_cupy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It comes before the CPU and behind our own engine, and only where it can be run."""
    (tmp_path / "denseflow").write_text("#!/nowhere\n")
    (tmp_path / "denseflow").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    others = [each for each in registry._PROBES if each[0] in {"denseflow", "cpu"}]
    monkeypatch.setattr(registry, "_PROBES", tuple(others))
    monkeypatch.setattr(probe, "device_count", lambda: 0)
    assert registry.resolve_engine("auto") == "cpu"
    monkeypatch.setattr(probe, "device_count", lambda: 1)
    assert registry.resolve_engine("auto") == "denseflow"
    (tmp_path / "denseflow").chmod(0o644)
    assert registry.resolve_engine("auto") == "cpu"


def test_auto_is_opencv_only_where_its_interpreter_has_cuda(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The interpreter is asked where there is a device; one that is not there is passed over."""
    others = [each for each in registry._PROBES if each[0] in {"opencv_cuda", "cpu"}]
    monkeypatch.setattr(registry, "_PROBES", tuple(others))
    opencv = opencvs.install(tmp_path / "python")
    monkeypatch.setattr(probe, "device_count", lambda: 0)
    assert registry.resolve_engine("auto", opencv_cuda_python=opencv.python) == "cpu"
    assert not opencv.pids
    monkeypatch.setattr(probe, "device_count", lambda: 1)
    assert registry.resolve_engine("auto", opencv_cuda_python=opencv.python) == "opencv_cuda"
    assert registry.resolve_engine("auto", opencv_cuda_python=tmp_path / "none") == "cpu"
    opencv.behave("no_device")
    assert registry.resolve_engine("auto", opencv_cuda_python=opencv.python) == "cpu"


def test_auto_goes_from_best_to_last() -> None:
    """The order is fixed, for it decides what a dataset is made of."""
    names = [name for name, _ in registry._PROBES]
    assert names == ["cuda", "opencv_cuda", "denseflow", "cpu"]


def test_asking_for_names_loads_nothing_heavy() -> None:
    """The registry, and an engine made by it, import no numba, CuPy, OpenCV or dagster."""
    code = (
        "import sys; from kinetics_assets.engines import registry;"
        "[registry.engine_by_name(name) for name in registry.ENGINE_NAMES];"
        "[registry.file_engine_by_name(name) for name in registry.FILE_ENGINE_NAMES];"
        "heavy = {'numba', 'cupy', 'cv2', 'dagster', 'pyarrow', 'av'} & set(sys.modules);"
        "sys.exit(str(sorted(heavy)) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""Whether there is a device, told by the driver's libraries."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kinetics_assets.engines.cuda import probe


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    """Return a library like the driver's management library, of a machine with three devices."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to make a library with")
    source = tmp_path / "driver.cpp"
    source.write_text(
        'extern "C" int start() { return 0; } extern "C" int broken() { return 18; }\n'
        'extern "C" int count(int *found) { *found = 3; return 0; }\n'
    )
    library = tmp_path / "libdriver.so"
    subprocess.run([compiler, "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    return library


def test_a_driver_is_asked_for_its_devices(driver: Path) -> None:
    """The count is the driver's; one that does not start, or cannot count, has none."""
    assert probe._counted(str(driver), "start", "count", "start") == 3
    assert probe._counted(str(driver), "start", "count", None) == 3
    assert probe._counted(str(driver), "broken", "count", None) == 0
    assert probe._counted(str(driver), "start", "broken", None) == 0


def test_no_driver_is_no_answer(driver: Path) -> None:
    """A library that is not there, or is another one, leaves the question to the next."""
    assert probe._counted("libno-such-driver.so.1", "start", "count", None) is None
    assert probe._counted(str(driver), "no_such_function", "count", None) is None


@pytest.mark.parametrize("hidden", ["", " ", "-1", "NoDevFiles"])
def test_hidden_devices_do_not_count(hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that is given no device has none, whatever the machine has."""
    monkeypatch.setattr(probe, "_counted", lambda *_: 3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert probe.device_count() == 0
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-4b6c,1")
    assert probe.device_count() == 3
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert probe.device_count() == 3

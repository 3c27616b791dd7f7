"""What is said of the code that makes pictures: real answers of real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinetics_assets.engines.cpu_compiled.compiler import SWITCH
from kinetics_assets.stages.doctor.frame_code import frame_code_check
from kinetics_assets.stages.doctor.probing import DIED, ask


def test_without_a_compiler_numpy_does_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is missing, and what makes it fast is named."""
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = frame_code_check(ask("frame_code"))
    assert found.state == "off"
    assert found.says.startswith("numpy makes frames and grey frames for flow: ")
    assert "g++" in found.remedy


def test_who_switched_it_off_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler would not help there."""
    monkeypatch.setenv(SWITCH, "numba")
    found = frame_code_check(ask("frame_code"))
    assert (found.state, found.remedy) == ("off", f"Unset {SWITCH}.")


def test_each_kind_of_code_is_told_apart() -> None:
    """A processor without AVX2 has code for grey frames only."""
    both = {"frames": "/frames.so", "gray": "/gray.so", "switched_off": False}
    assert frame_code_check(both).is_ok
    found = frame_code_check(both | {"frames": None})
    assert (found.state, found.says.partition(":")[0]) == ("off", "numpy makes frames")


def test_code_that_crashes_is_a_warning() -> None:
    """Steps would crash too: the finding says how they do without it."""
    found = frame_code_check({DIED: "ended with status -4"})
    assert found.state == "warning"
    assert f"{SWITCH}=numba" in found.remedy

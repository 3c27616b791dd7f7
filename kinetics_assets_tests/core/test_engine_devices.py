"""What definitions believe of an engine's device is what the engine says itself."""

from __future__ import annotations

import pytest

from kinetics_assets.core.engine_devices import device_of
from kinetics_assets.engines.registry import ENGINE_NAMES, engine_by_name


@pytest.mark.parametrize("name", ENGINE_NAMES)
def test_every_engine_agrees(name: str) -> None:
    """The table by name and the engine's own word are the same."""
    try:
        engine = engine_by_name(name)
    except ImportError as error:  # ToolMissing and the like end the test; a stray import too
        pytest.fail(str(error))
    assert device_of(name) == ("gpu" if engine.device == "cuda" else "cpu")


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("cuda", "gpu"),
        ("opencv_cuda", "gpu"),
        ("opencv_cuda-brox", "gpu"),
        ("denseflow", "gpu"),
        ("cpu", "cpu"),
        ("cudalike", "cpu"),
    ],
)
def test_families_run_on_a_gpu(name: str, device: str) -> None:
    """A family's methods go with it; a name that only begins alike does not."""
    assert device_of(name) == device

"""Which devices may be leased: what the driver has, the environment leaves, the settings name."""

from __future__ import annotations

import re

import pytest

from kinetics_assets.core.errors import DeviceLost
from kinetics_assets.io import devices
from kinetics_assets.io.devices import find_devices
from kinetics_assets.io.nvml import Gpu

MACHINE = (Gpu("GPU-aa11"), Gpu("GPU-bb22", ("MIG-cc33", "MIG-dd44")), Gpu("GPU-ee55"))


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three GPUs, one of them in MIG mode; how they are read is tested in `test_nvml`."""
    monkeypatch.setattr(devices, "read_gpus", lambda: MACHINE)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["GPU-aa11", "MIG-cc33", "MIG-dd44", "GPU-ee55"]),
        ("2,0", ["GPU-ee55", "GPU-aa11"]),
        ("1", ["MIG-cc33", "MIG-dd44"]),
        ("GPU-bb22", ["MIG-cc33", "MIG-dd44"]),
        ("MIG-dd", ["MIG-dd44"]),
        ("GPU-e, 0,GPU-ee55", ["GPU-ee55", "GPU-aa11"]),
        ("0,7,2", ["GPU-aa11"]),
        ("0,-1,2", ["GPU-aa11"]),
    ],
)
def test_the_environment_leaves_devices_as_cuda_reads_it(
    visible: str | None, expected: list[str]
) -> None:
    """Numbers, UUIDs and their beginnings count, up to the first name that is none."""
    env = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert list(find_devices(env=env)) == expected


@pytest.mark.parametrize("visible", ["", "-1", "NoDevFiles", "9", "nonsense"])
def test_an_environment_that_hides_every_gpu_is_told(visible: str) -> None:
    """The message has the variable with its value."""
    said = re.escape(f"CUDA_VISIBLE_DEVICES is {visible!r}")
    with pytest.raises(DeviceLost, match=said):
        find_devices(env={"CUDA_VISIBLE_DEVICES": visible})


def test_the_setting_goes_before_the_environment() -> None:
    """Listed devices are what is used, each once, under the names that mean them everywhere."""
    env = {"CUDA_VISIBLE_DEVICES": "2"}
    assert find_devices(["0", "MIG-c", "GPU-aa11"], env=env) == ("GPU-aa11", "MIG-cc33")


def test_a_listed_device_that_is_not_there_is_told_with_those_that_are() -> None:
    """A number or UUID that the driver does not know is an error, not a smaller set."""
    with pytest.raises(DeviceLost, match=r"'GPU-zz'.*There are: GPU-aa11, MIG-cc33"):
        find_devices(["0", "GPU-zz"], env={})


def test_other_names_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that no driver gives need no driver: so can leases be tried without a GPU."""
    monkeypatch.delattr(devices, "read_gpus")
    assert find_devices(["left", "right", "left"], env={}) == ("left", "right")


def test_mig_mode_without_an_instance_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a GPU cannot be used; the remedy is the command that makes an instance."""
    monkeypatch.setattr(devices, "read_gpus", lambda: (Gpu("GPU-aa11", ()),))
    with pytest.raises(DeviceLost, match=r"no MIG instance was made.*nvidia-smi mig"):
        find_devices(env={})

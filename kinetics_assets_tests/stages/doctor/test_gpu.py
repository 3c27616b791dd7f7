"""What keeps CUDA from a GPU, from stand-ins for the driver's libraries in a real process."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kinetics_assets.core.settings import FlowRecipe, Limits, Settings
from kinetics_assets.stages.doctor.flow import devices_check, engine_check
from kinetics_assets.stages.doctor.gpu import gpu_check
from kinetics_assets.stages.doctor.probing import DIED, ask

HERE = Path(__file__).parent
NVML = HERE.parent.parent / "io" / "stand_in_nvml.c"
COMPILER = shutil.which("cc")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with stand-ins for NVML and CUDA's driver."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("driver")
    sources = {"libnvidia-ml.so.1": NVML, "libcuda.so.1": HERE / "stand_in_cuda.c"}
    for name, source in sources.items():
        argv = [COMPILER, "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(folder / name)]
        subprocess.run([*argv, str(source)], check=True)
    return folder


@pytest.fixture
def driver(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Make one GPU of capability 9.0 what processes find, and return what changes that."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(libraries))
    monkeypatch.setenv("FAKE_COUNT", "1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("told", "says", "remedy"),
    [
        ({"FAKE_INIT": "18"}, "different versions", "Restart the machine"),
        ({"FAKE_INIT": "9"}, "not loaded", "modprobe nvidia"),
        ({"FAKE_COUNT": "0"}, "runs, but has no GPU", "with its GPUs"),
        ({"FAKE_CUDA_INIT": "803"}, "different versions", "Restart the machine"),
        ({"FAKE_CUDA_INIT": "100"}, "sees no device", "CUDA_VISIBLE_DEVICES"),
        ({"FAKE_CUDA_INIT": "77"}, "error 77", "nvidia-smi"),
        ({"FAKE_CUDA_VERSION": "11080"}, "CUDA 11.8 is too old", "Update the driver"),
        ({"FAKE_CAPABILITY": "35"}, r"capability below 5.0.*Stand-in 0 \(3.5\)", "newer GPU"),
        ({"FAKE_CRASH": "1"}, "ended with status -6", "nvidia-smi"),
    ],
)
def test_each_fault_of_driver_and_gpu_is_told_apart(
    told: dict[str, str], says: str, remedy: str, driver: pytest.MonkeyPatch
) -> None:
    """One finding, one remedy; missing where a GPU is wanted, else a warning."""
    for name, value in told.items():
        driver.setenv(name, value)
    answer = ask("gpu", "")
    found = gpu_check(answer, is_needed=True)
    assert found.state == "missing"
    assert re.search(says, found.says)
    assert remedy in found.remedy
    assert 'flow.engine = "cpu"' in found.remedy
    assert gpu_check(answer, is_needed=False).state == "warning"


def test_a_usable_gpu_is_told_with_its_slots(driver: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its name, capability and driver; which device steps may lease; an older compiler is met."""
    driver.setenv("KINETICS_MACHINE_DIR", str(tmp_path))
    answer = ask("gpu", "")
    found = gpu_check(answer, is_needed=True)
    assert found.is_ok
    assert "Stand-in 0 (9.0); driver for CUDA 12.8" in found.says
    settings = Settings(root=tmp_path, dataset="demo", limits=Limits(gpu_slots=2))
    devices = devices_check(settings, answer["devices"], driver=found)
    assert devices is not None
    assert devices.says == "GPU-0000 (0 of 2 slots taken)."
    assert gpu_check(answer, oldest=100, is_needed=True).state == "missing"


def test_a_device_of_the_settings_that_is_not_there_is_missing(
    driver: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The names that there are stand in the remedy."""
    answer = ask("gpu", "", "7")
    settings = Settings(root=tmp_path, dataset="demo", limits=Limits(gpu_devices=("7",)))
    found = devices_check(settings, answer["devices"], driver=gpu_check(answer, is_needed=True))
    assert found is not None
    assert found.state == "missing"
    assert "'7'" in found.says
    assert "GPU-0000" in found.remedy


def test_a_driver_that_hangs_is_given_up(driver: pytest.MonkeyPatch) -> None:
    """The process is killed, and the finding says so."""
    driver.setenv("FAKE_HANG", "1")
    answer = ask("gpu", "", seconds=1)
    assert answer == {DIED: "gave no answer in 1 s"}
    assert "gave no answer" in gpu_check(answer, is_needed=False).says
    recipe = FlowRecipe(engine="auto")
    settings = Settings(root=Path("/nowhere"), dataset="demo", flow=recipe)
    assert engine_check(settings, answer, checks=[]).state == "missing"


@pytest.mark.parametrize(
    ("vendor", "kind", "says", "state"),
    [
        ("0x10de", "0x030200", "an NVIDIA GPU, but no NVIDIA driver", "warning"),
        ("0x10de", "0x020000", "no NVIDIA GPU", "off"),
        ("0x8086", "0x030000", "no NVIDIA GPU", "off"),
    ],
)
def test_no_gpu_is_another_finding_than_no_driver(
    vendor: str, kind: str, says: str, state: str, tmp_path: Path
) -> None:
    """Where there is no driver, the kernel's list of devices tells which it is."""
    device = tmp_path / "0000:01:00.0"
    device.mkdir()
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")
    fault = {"fault": "This machine has no NVIDIA driver.", "remedy": "Install it."}
    answer = {"has_driver": False, "gpus": fault, "cuda": {"absent": True}}
    found = gpu_check(answer, is_needed=False, pci_folder=tmp_path)
    assert (found.state, says in found.says) == (state, True)
    assert gpu_check(answer, is_needed=True, pci_folder=tmp_path).state == "missing"


def test_a_container_without_cudas_library_is_told() -> None:
    """The driver answers, CUDA's part of it was not let in."""
    answer = {"has_driver": True, "gpus": {"is": ["GPU-0"]}, "cuda": {"absent": True}}
    found = gpu_check(answer, is_needed=True)
    assert "libcuda.so.1" in found.says
    assert "NVIDIA_DRIVER_CAPABILITIES" in found.remedy

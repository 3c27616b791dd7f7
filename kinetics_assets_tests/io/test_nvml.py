"""The driver's GPUs, from stand-ins for NVML and nvidia-smi: a real library, a real program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from kinetics_assets.core.errors import DeviceLost
from kinetics_assets.io.nvml import Gpu, read_gpus

ABSENT = "libkinetics-no-such-library.so"
COMPILER = shutil.which("cc")


@pytest.fixture(scope="module")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of the stand-in library."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    target = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    source = Path(__file__).with_name("stand_in_nvml.c")
    argv = [COMPILER, "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(target), str(source)]
    subprocess.run(argv, check=True)
    return str(target)


def _tell(monkeypatch: pytest.MonkeyPatch, **values: int) -> None:
    """Tell the stand-in library what to answer."""
    for name, value in values.items():
        monkeypatch.setenv(f"FAKE_{name.upper()}", str(value))


def _install(folder: Path, monkeypatch: pytest.MonkeyPatch, *, modes: str, status: int = 0) -> None:
    """Put a stand-in nvidia-smi on the PATH that answers the two questions we ask."""
    program = folder / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        f"--query-gpu=uuid,mig.mode.current) printf '{modes}' ;;\n"
        "-L) cat <<'END'\n"
        "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0000)\n"
        "  MIG 3g.40gb     Device  0: (UUID: MIG-0000)\n"
        "  MIG 4g.40gb     Device  1: (UUID: MIG-0001)\n"
        "GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-0001)\n"
        "END\n"
        ";;\n"
        "esac\n"
        f"exit {status}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_library_tells_gpus_and_their_mig_instances(
    nvml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPUs come in the driver's order; only one in MIG mode has instances."""
    _tell(monkeypatch, count=2)
    assert read_gpus(library=nvml) == (Gpu("GPU-0000"), Gpu("GPU-0001"))
    _tell(monkeypatch, mig=1, instances=2)
    assert read_gpus(library=nvml) == (
        Gpu("GPU-0000", None),
        Gpu("GPU-0001", ("MIG-0000", "MIG-0001")),
    )


@pytest.mark.parametrize("fault", ["lost", "dying"])
def test_a_gpu_off_the_bus_is_left_out_as_long_as_there_is_another(
    fault: str, nvml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One lost GPU does not stop the others; the only one lost is an error that says so."""
    _tell(monkeypatch, count=2, **{fault: 0})
    assert read_gpus(library=nvml) == (Gpu("GPU-0001"),)
    _tell(monkeypatch, count=1)
    with pytest.raises(DeviceLost, match=r"off the bus.*Xid"):
        read_gpus(library=nvml)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (4, "may not be asked.*Give this user access"),
        (9, "not loaded.*modprobe"),
        (18, "different versions.*Restart the machine"),
        (999, "error 999.*nvidia-smi"),
    ],
)
def test_what_the_library_complains_of_is_told(
    status: int, words: str, nvml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fault of the driver has its own message, a remedy, and the way around."""
    _tell(monkeypatch, init=status)
    with pytest.raises(DeviceLost, match=words) as caught:
        read_gpus(library=nvml)
    assert 'flow.engine = "cpu"' in caught.value.remedy


def test_a_driver_without_a_gpu_is_told(nvml: str) -> None:
    """A driver that answers but has no GPU is another fault than no driver."""
    with pytest.raises(DeviceLost, match="runs, but has no GPU"):
        read_gpus(library=nvml)


def test_the_program_answers_where_there_is_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nvidia-smi gives the same facts, MIG instances included."""
    _install(tmp_path, monkeypatch, modes="GPU-0000, [N/A]\\nGPU-0001, Disabled\\n")
    assert read_gpus(library=ABSENT) == (Gpu("GPU-0000"), Gpu("GPU-0001"))
    _install(tmp_path, monkeypatch, modes="GPU-0000, Enabled\\nGPU-0001, Disabled\\n")
    assert read_gpus(library=ABSENT) == (
        Gpu("GPU-0000", ("MIG-0000", "MIG-0001")),
        Gpu("GPU-0001", None),
    )


@pytest.mark.parametrize(
    ("modes", "status", "words"),
    [
        ("Failed to initialize NVML: Driver/library version mismatch\\n", 18, "different versions"),
        ("NVIDIA-SMI has failed\\n", 9, "not loaded.*NVIDIA-SMI has failed"),
        ("No devices were found\\n", 0, "runs, but has no GPU"),
        ("No devices were found\\n", 6, "runs, but has no GPU"),
    ],
)
def test_what_the_program_complains_of_is_told(
    modes: str, status: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exit status decides; its own words are kept."""
    _install(tmp_path, monkeypatch, modes=modes, status=status)
    with pytest.raises(DeviceLost, match=words):
        read_gpus(library=ABSENT)


def test_a_machine_without_a_driver_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither library nor program: the driver is missing, or the container does not have it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceLost, match=r"no NVIDIA driver.*Install the driver.*container"):
        read_gpus(library=ABSENT)


def test_a_program_that_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot be started, and one that hangs, are faults of the driver too."""
    program = tmp_path / "nvidia-smi"
    program.write_bytes(b"\x7fELF, but broken")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(DeviceLost, match="does not answer"):
        read_gpus(library=ABSENT)
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    monkeypatch.setattr("kinetics_assets.io.nvml._PROGRAM_SECONDS", 0.2)
    with pytest.raises(DeviceLost, match=r"does not answer.*timed out"):
        read_gpus(library=ABSENT)

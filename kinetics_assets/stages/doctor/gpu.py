"""Is there a GPU that CUDA can use, and if not, which of the many reasons is it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetics_assets.stages.doctor.check import Check, State, lacking
from kinetics_assets.stages.doctor.probing import DIED

if TYPE_CHECKING:
    from collections.abc import Iterable

PCI_FOLDER = Path("/sys/bus/pci/devices")
_NVIDIA, _DISPLAY = "0x10de", "0x03"
_LEAST_DRIVER = 12000
"""What a driver says that runs programs of CUDA 12."""
_LEAST_CAPABILITY = 50
"""Oldest that the compilers of CUDA 12 take, for where none is installed."""
_CPU_INSTEAD = 'or set flow.engine = "cpu".'
_CUDA_ERRORS = {
    3: ("CUDA does not start.", "Restart the machine"),
    35: ("The NVIDIA driver is too old for CUDA.", "Update the driver"),
    100: ("CUDA sees no device.", "Unset CUDA_VISIBLE_DEVICES, or name devices that exist in it"),
    802: ("The GPUs are not ready.", "Start the service nvidia-fabricmanager"),
    803: (
        "The NVIDIA driver and its CUDA library are of different versions.",
        "Restart the machine; in a container, restart the container",
    ),
    804: (
        "The CUDA library is newer than the driver, and this GPU does not take that.",
        "Take the compat folder of CUDA out of LD_LIBRARY_PATH",
    ),
}
"""Error of CUDA's driver -> what is wrong, what to do."""


def gpu_check(
    answer: dict[str, Any],
    *,
    oldest: int | None = None,
    is_needed: bool,
    pci_folder: Path = PCI_FOLDER,
) -> Check:
    """Return what the GPUs are, or the one thing that keeps CUDA from them.

    Args:
        answer: Of the question ``gpu``.
        oldest: Compute capability from which on kernels can be compiled here.
        is_needed: Whether the settings need a GPU.
        pci_folder: Where the kernel shows PCI devices.
    """
    if DIED in answer:
        says = f"The process that looked for GPUs {answer[DIED]}."
        return _check(
            says, "Run `nvidia-smi`; restart the machine if it hangs", is_needed=is_needed
        )
    gpus, cuda = answer["gpus"], answer["cuda"]
    if "fault" in gpus:
        if answer["has_driver"]:
            state = lacking(is_needed=is_needed, otherwise="warning")
            return Check("gpu", state, gpus["fault"], gpus["remedy"])
        return _without_driver(is_needed=is_needed, pci_folder=pci_folder)
    if cuda.get("absent"):
        return _check(
            f"The driver has {len(gpus['is'])} GPUs, but CUDA's library (libcuda.so.1) is missing.",
            "In a container, start it with NVIDIA_DRIVER_CAPABILITIES=compute,utility",
            is_needed=is_needed,
        )
    if "error" in cuda:
        otherwise = (f"CUDA does not start (error {cuda['error']}).", "Run `nvidia-smi`")
        return _check(*_CUDA_ERRORS.get(cuda["error"], otherwise), is_needed=is_needed)
    return _devices(cuda, oldest=oldest or _LEAST_CAPABILITY, is_needed=is_needed)


def _devices(cuda: dict[str, Any], *, oldest: int, is_needed: bool) -> Check:
    """Return what CUDA's devices are, or that the driver or all of them are too old."""
    major, minor = divmod(cuda["version"], 1000)
    driver = f"driver for CUDA {major}.{minor // 10}"
    if cuda["version"] < _LEAST_DRIVER:
        return _check(
            f"The {driver} is too old for CUDA 12.", "Update the driver", is_needed=is_needed
        )
    texts = [f"{one['name']} ({_dotted(one['capability'])})" for one in cuda["devices"]]
    says = f"{', '.join(texts)}; {driver}."
    old = [one for one in cuda["devices"] if one["capability"] < oldest]
    if not old:
        return Check("gpu", "ok", says)
    return _check(
        f"Compute capability below {_dotted(oldest)}, for which nothing can be compiled: {says}",
        "Hide the old GPUs (limits.gpu_devices)"
        if len(old) < len(texts)
        else "Use a newer GPU, or an older compiler (`pip install 'nvidia-cuda-nvrtc-cu12<13'`)",
        is_needed=is_needed,
    )


def _without_driver(*, is_needed: bool, pci_folder: Path) -> Check:
    """Return that the driver is missing, or the GPU itself."""
    if _has_nvidia_gpu(_read(pci_folder)):
        return _check(
            "There is an NVIDIA GPU, but no NVIDIA driver.",
            "Install the driver; in a container, start the container with its GPUs",
            is_needed=is_needed,
        )
    return _check(
        "There is no NVIDIA GPU.", "Use a machine with one", is_needed=is_needed, otherwise="off"
    )


def _read(pci_folder: Path) -> Iterable[tuple[str, str]]:
    """Yield vendor and class of each PCI device."""
    for device in sorted(pci_folder.iterdir()) if pci_folder.is_dir() else ():
        try:
            yield (device / "vendor").read_text().strip(), (device / "class").read_text().strip()
        except OSError:
            continue


def _has_nvidia_gpu(devices: Iterable[tuple[str, str]]) -> bool:
    """Return whether one of the devices is a display or compute device of NVIDIA."""
    return any(vendor == _NVIDIA and kind.startswith(_DISPLAY) for vendor, kind in devices)


def _check(says: str, remedy: str, *, is_needed: bool, otherwise: State = "warning") -> Check:
    """Return a finding against the GPU, with the way around it."""
    state = lacking(is_needed=is_needed, otherwise=otherwise)
    return Check("gpu", state, says, f"{remedy}, {_CPU_INSTEAD}")


def _dotted(number: int) -> str:
    """Return 9.0 for 90."""
    return f"{number // 10}.{number % 10}"

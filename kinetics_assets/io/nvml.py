"""The GPUs that the NVIDIA driver reports: through NVML, its library, or the program nvidia-smi.

NVML is asked without starting CUDA, so a process may ask, and choose a device for itself or for its
children afterwards.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.errors import DeviceLost

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARY = "libnvidia-ml.so.1"
PROGRAM = "nvidia-smi"
CPU_INSTEAD = 'For flow without a GPU set flow.engine = "cpu".'
"""End of every remedy: what can be done without mending the machine."""
_PROGRAM_SECONDS = 30.0
_TEXT_BYTES = 96
_NOT_FOUND, _LOST = 6, 15
_LINE = re.compile(r"^\s*(GPU|MIG)\s.*\(UUID:\s*([^)\s]+)\)\s*$", re.MULTILINE)

_PROBLEMS = {
    4: ("The NVIDIA driver may not be asked.", "Give this user access to /dev/nvidia*."),
    9: (
        "The NVIDIA driver is not loaded.",
        "Load it (`modprobe nvidia`); in a container, start the container with its GPUs.",
    ),
    18: (
        "The NVIDIA driver and its library are of different versions.",
        "Restart the machine: the driver was updated while it ran.",
    ),
    _LOST: (
        "A GPU has fallen off the bus.",
        "See the Xid lines in `dmesg`; reset the GPU or restart the machine.",
    ),
}
"""Status of NVML, which is also nvidia-smi's exit status -> what is wrong, what to do."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as the driver reports it."""

    uuid: str
    """``GPU-`` and its number."""
    mig: tuple[str, ...] | None = None
    """Its MIG instances, None while MIG mode is off; with MIG mode on only they can be used."""


def read_gpus(*, library: str = LIBRARY) -> tuple[Gpu, ...]:
    """Return the GPUs of this machine in the order of nvidia-smi, which is that of the PCI bus.

    A GPU that has fallen off the bus is left out if there is another.

    Args:
        library: NVML; where it cannot be loaded, nvidia-smi is looked for on the PATH.

    Raises:
        DeviceLost: There is no driver, it does not answer, or no GPU is usable; the message says
            which.
    """
    try:
        nvml = ctypes.CDLL(library)
    except OSError:
        gpus = _ask_program()
    else:
        gpus = _ask_library(nvml)
    if not gpus:
        raise DeviceLost(
            "The NVIDIA driver runs, but has no GPU.",
            remedy=f"In a container, start the container with its GPUs. {CPU_INSTEAD}",
        )
    return gpus


class _Status(Exception):
    """A call to NVML that did not go well."""

    def __init__(self, number: int) -> None:
        """Keep the status."""
        super().__init__(number)
        self.number = number


def _ask_library(nvml: ctypes.CDLL) -> tuple[Gpu, ...]:
    """Return the GPUs that NVML knows."""
    count = ctypes.c_uint()
    found = []
    lost: _Status | None = None
    try:
        with _session(nvml):
            _check(nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)))
            for index in range(count.value):
                try:
                    found.append(_gpu(nvml, index))
                except _Status as status:
                    if status.number != _LOST:
                        raise
                    lost = status
        if lost and not found:
            raise lost
    except _Status as status:
        raise _problem(status.number, "") from None
    return tuple(found)


@contextmanager
def _session(nvml: ctypes.CDLL) -> Iterator[None]:
    """Hold NVML open for the length of the block."""
    _check(nvml.nvmlInit_v2())
    try:
        yield
    finally:
        nvml.nvmlShutdown()


def _gpu(nvml: ctypes.CDLL, index: int) -> Gpu:
    """Return the GPU with this number."""
    handle = ctypes.c_void_p()
    _check(nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)))
    return Gpu(_uuid(nvml, handle), _mig_instances(nvml, handle))


def _uuid(nvml: ctypes.CDLL, handle: ctypes.c_void_p) -> str:
    """Return the UUID of a GPU or of a MIG instance."""
    text = ctypes.create_string_buffer(_TEXT_BYTES)
    _check(nvml.nvmlDeviceGetUUID(handle, text, _TEXT_BYTES))
    return text.value.decode("ascii", errors="replace")


def _mig_instances(nvml: ctypes.CDLL, handle: ctypes.c_void_p) -> tuple[str, ...] | None:
    """Return the UUIDs of a GPU's MIG instances, None when MIG mode is off or unknown to it."""
    mode, pending, most = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_uint()
    if not hasattr(nvml, "nvmlDeviceGetMigMode"):  # a driver from before there was MIG
        return None
    status = nvml.nvmlDeviceGetMigMode(handle, ctypes.byref(mode), ctypes.byref(pending))
    if status != 0 or not mode.value:
        return None
    _check(nvml.nvmlDeviceGetMaxMigDeviceCount(handle, ctypes.byref(most)))
    uuids = []
    for index in range(most.value):
        instance = ctypes.c_void_p()
        status = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index, ctypes.byref(instance))
        if status != _NOT_FOUND:
            _check(status)
            uuids.append(_uuid(nvml, instance))
    return tuple(uuids)


def _ask_program() -> tuple[Gpu, ...]:
    """Return the GPUs that nvidia-smi lists."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise DeviceLost(
            f"This machine has no NVIDIA driver ({LIBRARY} and {PROGRAM} are missing).",
            remedy="Install the driver; in a container, start the container with its GPUs and"
            f" NVIDIA_DRIVER_CAPABILITIES=compute,utility. {CPU_INSTEAD}",
        )
    modes = _said(program, "--query-gpu=uuid,mig.mode.current", "--format=csv,noheader")
    with_mig: dict[str, list[str] | None] = {}
    for uuid, mode in re.findall(r"^\s*([^,\s]+)\s*,\s*(.*?)\s*$", modes, re.MULTILINE):
        with_mig[uuid] = [] if mode == "Enabled" else None
    if any(instances is not None for instances in with_mig.values()):
        current: list[str] | None = None
        for kind, uuid in _LINE.findall(_said(program, "-L")):
            if kind == "GPU":
                current = with_mig.get(uuid)
            elif current is not None:
                current.append(uuid)
    return tuple(
        Gpu(uuid, None if instances is None else tuple(instances))
        for uuid, instances in with_mig.items()
    )


def _said(program: str, *arguments: str) -> str:
    """Return what nvidia-smi prints."""
    try:
        done = subprocess.run(  # noqa: S603 - no argument comes from outside
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROGRAM_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceLost(
            f"{program} does not answer ({error}).",
            remedy=f"Run it by hand; restart the machine if it hangs. {CPU_INSTEAD}",
        ) from error
    if done.returncode == _NOT_FOUND or "No devices were found" in done.stdout:
        return ""
    if done.returncode != 0:
        raise _problem(done.returncode, " ".join((done.stdout + done.stderr).split()))
    return done.stdout


def _check(status: Any) -> None:  # noqa: ANN401 - what ctypes returns
    """Raise `_Status` unless an NVML call went well."""
    if status != 0:
        raise _Status(int(status))


def _problem(status: int, words: str) -> DeviceLost:
    """Return the error of a status that is not 0; `words` are the tool's own."""
    message, remedy = _PROBLEMS.get(
        status,
        (
            f"The NVIDIA driver answers with error {status}.",
            f"Run `{PROGRAM}` to see what is wrong.",
        ),
    )
    said = f" {PROGRAM}: {words}" if words else ""
    return DeviceLost(f"{message}{said}", remedy=f"{remedy} {CPU_INSTEAD}")

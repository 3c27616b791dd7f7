"""The GPUs that our steps on this machine may use, each by the name that CUDA takes.

Names are UUIDs, which mean the same device in every process, whatever CUDA_VISIBLE_DEVICES says
there. Where MIG mode is on, the MIG instances are the devices.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import DeviceLost
from kinetics_assets.io.nvml import CPU_INSTEAD, Gpu, read_gpus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Variable that tells CUDA which devices there are."""


def find_devices(
    listed: Sequence[str] = (), *, env: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """Return the devices that may be leased, at least one.

    Args:
        listed: ``limits.gpu_devices``: numbers as nvidia-smi counts them, UUIDs or their beginning;
            any other name is taken as it is. It goes before the environment. Empty means every
            device that CUDA_VISIBLE_DEVICES leaves.
        env: The environment.

    Raises:
        DeviceLost: There is no driver, it does not answer, or no device is left; the message says
            which.
    """
    if listed:
        if not any(_is_real(name) for name in listed):
            return tuple(dict.fromkeys(listed))
        return _listed(listed, read_gpus())
    if VISIBLE not in env:
        return _all_of(read_gpus())
    return _visible(env[VISIBLE])


def _all_of(gpus: Iterable[Gpu]) -> tuple[str, ...]:
    """Return the devices of `gpus`: the MIG instances of one in MIG mode, else itself."""
    names = tuple(name for gpu in gpus for name in _devices_of(gpu))
    if not names:
        raise DeviceLost(
            "MIG mode is on, and no MIG instance was made.",
            remedy=f"Make one (`nvidia-smi mig -cgi ... -C`) or switch MIG mode off. {CPU_INSTEAD}",
        )
    return names


def _devices_of(gpu: Gpu) -> tuple[str, ...]:
    """Return the devices of one GPU; none in MIG mode without instances."""
    return (gpu.uuid,) if gpu.mig is None else gpu.mig


def _listed(names: Sequence[str], gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """Return the devices that the setting's `names` stand for, each once, in that order."""
    found: dict[str, None] = {}
    for name in names:
        matches = _matching(name, gpus) if _is_real(name) else (name,)
        if not matches:
            raise DeviceLost(
                f"limits.gpu_devices names {name!r}, which is no usable GPU of this machine.",
                remedy=f"There are: {', '.join(_all_of(gpus))}. {CPU_INSTEAD}",
            )
        found |= dict.fromkeys(matches)
    return tuple(found)


def _visible(text: str) -> tuple[str, ...]:
    """Return the devices that CUDA_VISIBLE_DEVICES leaves; like CUDA, stop at a name unknown."""
    found: dict[str, None] = {}
    names = [name.strip() for name in text.split(",")]
    gpus = read_gpus() if _is_real(names[0]) else ()
    for name in names:
        matches = _matching(name, gpus)
        if not matches:
            break
        found |= dict.fromkeys(matches)
    if not found:
        raise DeviceLost(
            f"{VISIBLE} is {text!r}, which leaves no GPU.",
            remedy=f"Unset it, or name the GPUs that may be used. {CPU_INSTEAD}",
        )
    return tuple(found)


def _matching(name: str, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """Return the devices that one of the driver's names stands for, none if it knows no such."""
    if name.isdecimal():
        return _devices_of(gpus[int(name)]) if int(name) < len(gpus) else ()
    if name.startswith("GPU-"):
        return tuple(d for gpu in gpus if gpu.uuid.startswith(name) for d in _devices_of(gpu))
    if name.startswith("MIG-"):
        return tuple(d for gpu in gpus for d in gpu.mig or () if d.startswith(name))
    return ()


def _is_real(name: str) -> bool:
    """Return whether a name has the form of the driver's numbers and UUIDs."""
    return name.isdecimal() or name.startswith(("GPU-", "MIG-"))

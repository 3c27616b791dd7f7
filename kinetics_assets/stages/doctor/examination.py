"""All findings about this machine, for the settings of one dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.stages.doctor.flow import engines_of, flow_checks
from kinetics_assets.stages.doctor.frame_code import COMPILING_SECONDS, frame_code_check
from kinetics_assets.stages.doctor.machine import machine_checks
from kinetics_assets.stages.doctor.probing import ask
from kinetics_assets.stages.doctor.supplies import supply_checks

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from kinetics_assets.core.settings import Settings
    from kinetics_assets.stages.doctor.check import Check


def examine(settings: Settings, *, now: datetime) -> list[Check]:
    """Return what is found, one finding for each thing.

    Args:
        settings: Of the dataset; what they need decides what counts as missing.
        now: The time, with a zone.
    """
    answer = ask("gpu", str(settings.flow.opencv_cuda_python or ""), *settings.limits.gpu_devices)
    engines = engines_of(settings, auto=answer.get("auto", {}).get("is"))
    needs_numba = "cpu" in engines.values()
    return [
        *machine_checks(settings, needs_numba=needs_numba),
        frame_code_check(ask("frame_code", seconds=COMPILING_SECONDS)),
        *supply_checks(settings, now=now),
        *flow_checks(settings, answer=answer),
    ]


def is_usable(checks: Iterable[Check]) -> bool:
    """Return whether all that the settings need is usable."""
    return all(check.state != "missing" for check in checks)

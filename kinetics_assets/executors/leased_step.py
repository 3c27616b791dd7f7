"""The process of a step that needs a GPU: it takes a device, then becomes the step.

Run as ``python -m kinetics_assets.executors.leased_step <order> <arguments of dagster>``. The lock
is taken by the process that does the work, so it is free the moment that process is dead; a retry
is a new process and takes a new one.
"""

from __future__ import annotations

import json
import os
import runpy
import sys

from kinetics_assets.core.errors import EnvironmentFault
from kinetics_assets.executors.devices import FAULT_VARIABLE, LeaseOrder
from kinetics_assets.io.devices import VISIBLE, find_devices
from kinetics_assets.io.leases import hold_device
from kinetics_assets.io.settings_file import load_settings


def lease_environment(order: LeaseOrder) -> dict[str, str]:
    """Return the variables that show this process its device, after waiting for one.

    Without any device the step begins all the same, sees none and is told why; whether it can do
    without is its own to say.
    """
    limits = load_settings(order.dataset).limits
    try:
        devices = find_devices(limits.gpu_devices)
        lease = hold_device(devices, slots=limits.gpu_slots, holder=order.holder)
    except EnvironmentFault as fault:
        return {VISIBLE: "", FAULT_VARIABLE: str(fault)}
    return {VISIBLE: lease.device}


def main() -> None:
    """Take the device and run the step."""
    order, *arguments = sys.argv[1:]
    os.environ.update(lease_environment(LeaseOrder(**json.loads(order))))
    sys.argv = ["dagster", *arguments]
    runpy.run_module("dagster", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

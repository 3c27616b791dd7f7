"""Where processes of one user on one machine meet: CPU slots, the pace of hosts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_VARIABLE = "KINETICS_MACHINE_DIR"


def machine_folder() -> Path:
    """Return the folder, on the machine's own disk: KINETICS_MACHINE_DIR as set, else below /tmp.

    What is in it counts per machine (locks do not reach over a network file system) and may be lost
    with a restart.
    """
    chosen = os.environ.get(_VARIABLE)
    return Path(chosen or Path(tempfile.gettempdir(), f"kinetics-assets-{os.getuid()}"))
